//! Pictures, filters, pages and changes, on made-up scores.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray,
};
use proptest::prelude::*;
use vitalog_wire::vitalog::v1::{Band, Entity, GetScoresRequest, GetScoresResponse, Score, Status};

use super::filter::Filter;
use super::page::Pages;
use super::picture::{COLUMNS, Key, Picture};
use super::pin::{PageToken, Pin};
use crate::fault::{Fault, Reason};
use crate::token::{TokenKind, open};

/// A row by what filters and changes look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    pub account: Option<&'static str>,
    pub user: Option<&'static str>,
    pub score: Option<f64>,
    pub band: Option<&'static str>,
    pub status: Option<&'static str>,
    pub stage: Option<&'static str>,
    pub segments: Vec<&'static str>,
}

/// The picture of `rows`, which are in order, at `seq`.
pub(super) fn picture_of(seq: i64, rows: &[Row]) -> Picture {
    made(seq, rows).expect("rows in order")
}

fn made(seq: i64, rows: &[Row]) -> Result<Picture, Fault> {
    let entity = match rows.first() {
        Some(Row { account: None, .. }) => Entity::User,
        Some(Row { user: Some(_), .. }) => Entity::Member,
        _ => Entity::Account,
    };
    let pin = Pin {
        model: "default".to_owned(),
        version: 0,
        entity: entity.into(),
        seq,
        as_of_us: seq,
        known_at_us: None,
    };
    Picture::new(pin, &batch_of(rows), 5)
}

fn batch_of(rows: &[Row]) -> RecordBatch {
    let text = |of: fn(&Row) -> Option<&'static str>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    let times = TimestampMicrosecondArray::from(vec![Some(1_000_001); rows.len()]);
    let mut segments = ListBuilder::new(StringBuilder::new());
    for row in rows {
        segments.append_value(row.segments.iter().map(|segment| Some(*segment)));
    }
    let segments: ArrayRef = Arc::new(segments.finish());
    let column = |name: &str| -> ArrayRef {
        match name {
            "account_id" => text(|row| row.account),
            "user_id" => text(|row| row.user),
            "score" => Arc::new(rows.iter().map(|row| row.score).collect::<Float64Array>()),
            "band" => text(|row| row.band),
            "status" => text(|row| row.status),
            "stage" => text(|row| row.stage),
            "direction" => text(|_| Some("up")),
            "segments" => Arc::clone(&segments),
            "first_active" | "last_active" | "start_at" => {
                Arc::new(times.clone().with_timezone("UTC"))
            }
            "expansion_ready" => Arc::new(BooleanArray::from(vec![Some(true); rows.len()])),
            "version" => Arc::new(Int64Array::from(vec![3; rows.len()])),
            "members" | "days_inactive" => Arc::new(Int64Array::from(vec![None; rows.len()])),
            "peg_n" | "active_days" | "active_members" | "tenure_days" | "healthy_days"
            | "days_to_renewal" => Arc::new(Int64Array::from(vec![4; rows.len()])),
            _ => Arc::new(Float64Array::from(vec![0.5; rows.len()])),
        }
    };
    let named = COLUMNS
        .split(',')
        .map(|name| (name.trim(), column(name.trim()), true));
    RecordBatch::try_from_iter_with_nullable(named).expect("columns of one length")
}

fn account(account: &'static str, score: f64) -> Row {
    Row {
        account: Some(account),
        score: Some(score),
        band: Some(if score < 20.0 { "red" } else { "green" }),
        status: Some("yellow"),
        ..Row::default()
    }
}

fn passing(picture: &Picture, request: &GetScoresRequest) -> Result<Vec<usize>, Reason> {
    let filter = Filter::new(request, picture.pin.entity()).map_err(|fault| fault.reason)?;
    Ok(filter.passing(picture))
}

fn all_pages(pages: &Pages<'_>, rows_max: usize) -> Vec<GetScoresResponse> {
    let mut all = vec![pages.page(None, rows_max)];
    while let Some(text) = all.last().map(|page| page.next_page_token.clone())
        && !text.is_empty()
    {
        let token: PageToken = open(TokenKind::Scores, "page_token", &text).expect("our own");
        assert_eq!(token.pin, pages.picture.pin);
        assert_eq!(token.earlier.as_ref(), pages.earlier.map(|one| &one.pin));
        let after = Key {
            account_id: token.account_id.as_deref(),
            user_id: token.user_id.as_deref(),
        };
        all.push(pages.page(Some(after), rows_max));
    }
    all
}

#[test]
fn a_row_becomes_a_message_with_every_column() {
    let row = Row {
        segments: vec!["big", "old"],
        stage: Some("renewal"),
        ..account("acme", 12.5)
    };
    let picture = picture_of(
        9,
        &[
            row,
            Row {
                account: Some("b"),
                ..Row::default()
            },
        ],
    );
    let half = Some(0.5);
    let time = Some(prost_types::Timestamp {
        seconds: 1,
        nanos: 1_000,
    });
    let expected = Score {
        account_id: Some("acme".to_owned()),
        user_id: None,
        raw: half,
        peg: half,
        peg_n: 4,
        score: Some(12.5),
        band: Band::Red.into(),
        active_days: 4,
        usage_frequency: half,
        first_active: time,
        last_active: time,
        days_inactive: None,
        feature_adoption: half,
        members: None,
        active_members: Some(4),
        active_user_pct: half,
        activation_rate: half,
        start_at: time,
        tenure_days: Some(4),
        time_to_first: half,
        healthy_user_pct: half,
        healthy_days: Some(4),
        trend: half,
        trend_own: half,
        direction: 1,
        churn_risk: half,
        expansion_ready: Some(true),
        status: Status::Yellow.into(),
        stage: Some("renewal".to_owned()),
        days_to_renewal: Some(4),
        segments: vec!["big".to_owned(), "old".to_owned()],
    };
    assert_eq!(picture.message(0), expected);
    let empty = picture.message(1);
    assert_eq!((empty.score, empty.band, empty.status), (None, 0, 0));
    assert_eq!((empty.stage, empty.segments), (None, Vec::new()));
    let described = picture.described();
    assert_eq!(
        (described.version, described.seq),
        (3, 9),
        "the version of the rows"
    );
    let pin: Pin = open(TokenKind::Picture, "token", &described.token).expect("our own");
    assert_eq!(pin, picture.pin);
}

#[test]
fn rows_out_of_order_are_a_bug_and_no_picture() {
    for rows in [
        [account("b", 1.0), account("a", 1.0)],
        [account("a", 1.0), account("a", 2.0)],
    ] {
        let fault = made(1, &rows).expect_err("out of order");
        assert_eq!(fault.reason, Reason::Internal);
    }
}

#[test]
fn every_filter_keeps_what_it_names() {
    let rows = [
        account("a", 5.0),
        Row {
            stage: Some("active"),
            segments: vec!["x"],
            ..account("b", 50.0)
        },
        Row {
            status: Some("red"),
            segments: vec!["x", "y"],
            ..account("c", 90.0)
        },
        Row {
            account: Some("d"),
            ..Row::default()
        },
    ];
    let picture = picture_of(1, &rows);
    let text = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    let none = GetScoresRequest::default;
    let cases: [(GetScoresRequest, &[usize]); 10] = [
        (none(), &[0, 1, 2, 3]),
        (
            GetScoresRequest {
                account_ids: text(&["d", "b", "zz", "b", ""]),
                ..none()
            },
            &[1, 3],
        ),
        (
            GetScoresRequest {
                bands: vec![3],
                ..none()
            },
            &[0],
        ),
        (
            GetScoresRequest {
                bands: vec![3, 1],
                ..none()
            },
            &[0, 1, 2],
        ),
        (
            GetScoresRequest {
                statuses: vec![3],
                ..none()
            },
            &[2],
        ),
        (
            GetScoresRequest {
                stages: text(&["active", "other"]),
                ..none()
            },
            &[1],
        ),
        (
            GetScoresRequest {
                segments: text(&["y", "x"]),
                ..none()
            },
            &[1, 2],
        ),
        (
            GetScoresRequest {
                min_score: Some(50.0),
                ..none()
            },
            &[1, 2],
        ),
        (
            GetScoresRequest {
                max_score: Some(50.0),
                ..none()
            },
            &[0, 1],
        ),
        (
            GetScoresRequest {
                account_ids: text(&["a", "b"]),
                min_score: Some(6.0),
                ..none()
            },
            &[1],
        ),
    ];
    for (request, rows) in cases {
        assert_eq!(
            passing(&picture, &request).as_deref(),
            Ok(rows),
            "{request:?}"
        );
    }
}

#[test]
fn members_are_found_by_account_and_by_user() {
    let rows: Vec<Row> = [("a", "u"), ("a", "v"), ("b", "u"), ("c", "t"), ("c", "u")]
        .map(|(account, user)| Row {
            account: Some(account),
            user: Some(user),
            ..Row::default()
        })
        .into();
    let picture = picture_of(1, &rows);
    let request = |accounts: &[&str], users: &[&str]| GetScoresRequest {
        account_ids: accounts.iter().map(|&id| id.to_owned()).collect(),
        user_ids: users.iter().map(|&id| id.to_owned()).collect(),
        ..GetScoresRequest::default()
    };
    let found = |accounts: &[&str], users: &[&str]| passing(&picture, &request(accounts, users));
    assert_eq!(found(&["a"], &[]), Ok(vec![0, 1]));
    assert_eq!(found(&[], &["u"]), Ok(vec![0, 2, 4]));
    assert_eq!(found(&[], &["t", "v"]), Ok(vec![1, 3]));
    assert_eq!(found(&["a", "c"], &["u"]), Ok(vec![0, 4]));
    assert_eq!(found(&["b"], &["t"]), Ok(vec![]));
    let users = [Row {
        user: Some("u"),
        ..Row::default()
    }];
    let picture = picture_of(1, &users);
    assert_eq!(passing(&picture, &request(&[], &["u", "w"])), Ok(vec![0]));
    assert_eq!(
        passing(&picture, &request(&["a"], &[])),
        Err(Reason::InvalidRequest)
    );
}

#[test]
fn filters_that_nothing_can_pass_are_refused() {
    let picture = picture_of(1, &[account("a", 5.0)]);
    let none = GetScoresRequest::default;
    for request in [
        GetScoresRequest {
            user_ids: vec!["u".to_owned()],
            ..none()
        },
        GetScoresRequest {
            account_ids: vec!["a".to_owned(); 101],
            ..none()
        },
        GetScoresRequest {
            bands: vec![0],
            ..none()
        },
        GetScoresRequest {
            statuses: vec![4],
            ..none()
        },
        GetScoresRequest {
            min_score: Some(f64::NAN),
            ..none()
        },
    ] {
        assert_eq!(
            passing(&picture, &request),
            Err(Reason::InvalidRequest),
            "{request:?}"
        );
    }
}

const IDS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

/// Scores of some of twelve accounts.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        any::<bool>(),
        prop::sample::select(vec![None, Some(10.0), Some(50.0)]),
        prop::sample::select(vec![None, Some("green"), Some("red")]),
        prop::sample::select(vec![None, Some("active")]),
    );
    prop::collection::vec(row, IDS.len()).prop_map(|rows| {
        let with_ids = rows.into_iter().zip(IDS);
        with_ids
            .filter(|((is_there, ..), _)| *is_there)
            .map(|((_, score, status, stage), id)| Row {
                account: Some(id),
                score,
                status,
                stage,
                ..Row::default()
            })
            .collect()
    })
}

proptest! {
    /// Whoever holds the earlier scores that passed and writes the changes over them holds those
    /// that pass now; and nothing is told that has not changed.
    #[test]
    fn changes_lead_from_the_earlier_scores_to_the_present_ones(
        before in rows(),
        now in rows(),
        page_size in 1..6_usize,
        is_filtered in any::<bool>(),
    ) {
        let (earlier, picture) = (picture_of(1, &before), picture_of(2, &now));
        let request = GetScoresRequest {
            statuses: if is_filtered { vec![3] } else { vec![] },
            ..GetScoresRequest::default()
        };
        let filter = Filter::new(&request, Entity::Account).expect("a filter");
        let held = |rows: &[Row]| -> BTreeMap<String, Row> {
            let passing = rows.iter().filter(|row| !is_filtered || row.status == Some("red"));
            passing.map(|row| (row.account.expect("one").to_owned(), row.clone())).collect()
        };
        let (mut copy, target) = (held(&before), held(&now));
        let pages = Pages { picture: &picture, earlier: Some(&earlier), filter: &filter, fingerprint: 7 };
        let mut told = 0;
        for page in all_pages(&pages, page_size) {
            prop_assert!(page.scores.len() + page.removed.len() <= page_size);
            told += page.scores.len() + page.removed.len();
            prop_assert_eq!(page.total + page.total_removed, {
                let all = held(&before).into_keys().chain(held(&now).into_keys());
                let changed: std::collections::BTreeSet<_> =
                    all.filter(|id| held(&before).get(id) != target.get(id)).collect();
                changed.len() as u64
            });
            for score in page.scores {
                let id = score.account_id.expect("an account");
                prop_assert_ne!(copy.get(&id), target.get(&id), "told without a change");
                copy.insert(id.clone(), target[&id].clone());
            }
            for id in page.removed {
                prop_assert!(copy.remove(&id.account_id.expect("an account")).is_some());
            }
        }
        prop_assert_eq!(&copy, &target);
        let last = all_pages(&pages, page_size).pop().expect("a page");
        prop_assert_eq!(told as u64, last.total + last.total_removed);
    }

    #[test]
    fn pages_hold_every_row_once_in_order(now in rows(), page_size in 1..14_usize) {
        let picture = picture_of(2, &now);
        let filter = Filter::new(&GetScoresRequest::default(), Entity::Account).expect("a filter");
        let pages = Pages { picture: &picture, earlier: None, filter: &filter, fingerprint: 7 };
        let pages = all_pages(&pages, page_size);
        prop_assert_eq!(pages.len(), now.len().div_ceil(page_size).max(1));
        let ids = pages.iter().flat_map(|page| &page.scores).map(|score| score.account_id.as_deref());
        prop_assert!(ids.eq(now.iter().map(|row| row.account)));
        prop_assert!(pages.iter().all(|page| page.total == now.len() as u64 && page.earlier.is_none()));
    }
}
