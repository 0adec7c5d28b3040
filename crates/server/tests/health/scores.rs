//! What is answered: every column, filters, refusals.

use std::io::Cursor;

use crate::support::{cause, field_of};
use crate::{ids, scores, started};
use arrow::array::{Array, AsArray};
use arrow::datatypes::Float64Type;
use arrow::ipc::reader::StreamReader;
use prost_types::{Duration, Timestamp};
use tonic::Code;
use tonic_types::StatusExt;
use vitalog_wire::vitalog::v1::get_scores_request::ChangedSince;
use vitalog_wire::vitalog::v1::query_response::Part;
use vitalog_wire::vitalog::v1::value::Kind;
use vitalog_wire::vitalog::v1::{
    Band, Entity, GetScoresRequest, ModelServiceApplyRequest, QueryRequest, Score, Value,
};

#[tokio::test(flavor = "multi_thread")]
async fn scores_are_those_of_sql_to_the_bit() {
    let (server, mut health) = started().await;
    let page = scores(&mut health, GetScoresRequest::default())
        .await
        .unwrap();
    assert_eq!((page.scores.len(), page.total), (10, 10));
    assert_eq!((page.total_removed, page.next_page_token.as_str()), (0, ""));
    let picture = page.picture.unwrap();
    assert_eq!((picture.model.as_str(), picture.version), ("default", 0));
    assert_eq!((picture.entity(), picture.seq), (Entity::Account, 55));
    let by_sql = QueryRequest {
        sql: "SELECT account_id, score, raw FROM health_scores(as_of => $1) ORDER BY account_id"
            .to_owned(),
        as_of_seq: Some(picture.seq),
        parameters: vec![Value {
            kind: Some(Kind::TimestampValue(picture.as_of.unwrap())),
        }],
        ..QueryRequest::default()
    };
    let mut stream = server
        .queries()
        .await
        .query(by_sql)
        .await
        .unwrap()
        .into_inner();
    let mut arrow = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        if let Some(Part::ArrowIpc(piece)) = message.part {
            arrow.extend_from_slice(&piece);
        }
    }
    let mut rows = Vec::new();
    for batch in StreamReader::try_new(Cursor::new(arrow), None).unwrap() {
        let batch = batch.unwrap();
        let ids = batch.column(0).as_string::<i32>();
        let scores = batch.column(1).as_primitive::<Float64Type>();
        let raws = batch.column(2).as_primitive::<Float64Type>();
        rows.extend((0..batch.num_rows()).map(|row| {
            assert!(ids.is_valid(row) && scores.is_valid(row));
            (
                ids.value(row).to_owned(),
                scores.value(row),
                raws.value(row),
            )
        }));
    }
    let given = page.scores.iter().map(|score| {
        let id = score.account_id.clone().unwrap();
        (id, score.score.unwrap(), score.raw.unwrap())
    });
    assert!(given.eq(rows));
    let best = page.scores.last().unwrap();
    assert_eq!((best.score, best.band()), (Some(100.0), Band::Green));
    assert_eq!(best.peg_n, 10);
    assert!(best.last_active.is_some() && best.user_id.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_hold_together() {
    let (_server, mut health) = started().await;
    let all = scores(&mut health, GetScoresRequest::default())
        .await
        .unwrap();
    let kept = |keep: &dyn Fn(&Score) -> bool| -> Vec<Score> {
        let rows = all.scores.iter().filter(|score| keep(score));
        rows.cloned().collect()
    };
    let none = GetScoresRequest::default;
    let named = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    let (least, most) = (all.scores[2].score, all.scores[6].score);
    let status = all.scores[0].status;
    let band = all.scores[9].band;
    let cases = [
        (
            GetScoresRequest {
                account_ids: named(&["a07", "a01", "gone"]),
                ..none()
            },
            vec![all.scores[1].clone(), all.scores[7].clone()],
        ),
        (
            GetScoresRequest {
                min_score: least,
                max_score: most,
                ..none()
            },
            all.scores[2..7].to_vec(),
        ),
        (
            GetScoresRequest {
                bands: vec![band],
                ..none()
            },
            kept(&|score| score.band == band),
        ),
        (
            GetScoresRequest {
                statuses: vec![status],
                max_score: most,
                ..none()
            },
            kept(&|score| score.status == status && score.score <= most),
        ),
        (
            GetScoresRequest {
                segments: named(&["no such segment"]),
                ..none()
            },
            vec![],
        ),
    ];
    for (request, expected) in cases {
        let page = scores(&mut health, request.clone()).await.unwrap();
        assert_eq!(page.scores, expected, "{request:?}");
        assert_eq!(page.total, expected.len() as u64);
        assert_eq!(page.picture, all.picture);
    }
    let members = GetScoresRequest {
        entity: Entity::Member.into(),
        user_ids: named(&["u3", "u4"]),
        ..none()
    };
    let members = scores(&mut health, members).await.unwrap();
    assert_eq!(ids(&members.scores), ["a03", "a04"]);
    let users = GetScoresRequest {
        entity: Entity::User.into(),
        user_ids: named(&["u3"]),
        ..none()
    };
    let users = scores(&mut health, users).await.unwrap();
    let ids = (
        &users.scores[0].account_id,
        users.scores[0].user_id.as_deref(),
    );
    assert_eq!(ids, (&None, Some("u3")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_refused_with_its_field() {
    let (_server, mut health) = started().await;
    let none = GetScoresRequest::default;
    let first = GetScoresRequest {
        page_size: 2,
        ..none()
    };
    let first = scores(&mut health, first).await.unwrap();
    let (invalid, token, missing) = ("INVALID_REQUEST", "INVALID_TOKEN", "MODEL_NOT_FOUND");
    let since = |token: &str| Some(ChangedSince::ChangedSinceToken(token.to_owned()));
    let users = GetScoresRequest {
        entity: Entity::User.into(),
        ..none()
    };
    let users = scores(&mut health, users).await.unwrap().picture.unwrap();
    let cases = [
        (
            GetScoresRequest {
                account_ids: vec!["a".to_owned(); 101],
                ..none()
            },
            "account_ids",
            invalid,
        ),
        (
            GetScoresRequest {
                user_ids: vec!["u".to_owned()],
                ..none()
            },
            "user_ids",
            invalid,
        ),
        (
            GetScoresRequest {
                page_size: 1_001,
                ..none()
            },
            "page_size",
            invalid,
        ),
        (
            GetScoresRequest {
                bands: vec![0],
                ..none()
            },
            "bands",
            invalid,
        ),
        (
            GetScoresRequest {
                min_score: Some(f64::NAN),
                ..none()
            },
            "min_score",
            invalid,
        ),
        (
            GetScoresRequest {
                entity: 9,
                ..none()
            },
            "entity",
            invalid,
        ),
        (
            GetScoresRequest {
                max_staleness: Some(Duration {
                    seconds: -1,
                    nanos: 0,
                }),
                ..none()
            },
            "max_staleness",
            invalid,
        ),
        (
            GetScoresRequest {
                as_of: Some(Timestamp {
                    seconds: i64::MAX,
                    nanos: 0,
                }),
                ..none()
            },
            "as_of",
            invalid,
        ),
        (
            GetScoresRequest {
                page_token: "00".to_owned(),
                ..none()
            },
            "page_token",
            token,
        ),
        (
            GetScoresRequest {
                page_token: first.next_page_token.clone(),
                max_score: Some(3.0),
                ..none()
            },
            "page_token",
            token,
        ),
        (
            GetScoresRequest {
                changed_since: since(&first.next_page_token),
                ..none()
            },
            "changed_since_token",
            token,
        ),
        (
            GetScoresRequest {
                changed_since: since(&users.token),
                ..none()
            },
            "changed_since_token",
            token,
        ),
        (
            GetScoresRequest {
                model: "defaul".to_owned(),
                ..none()
            },
            "model",
            missing,
        ),
        (
            GetScoresRequest {
                version: Some(3),
                ..none()
            },
            "version",
            missing,
        ),
    ];
    for (request, field, reason) in cases {
        let status = scores(&mut health, request.clone()).await.unwrap_err();
        let code = if reason == missing {
            Code::NotFound
        } else {
            Code::InvalidArgument
        };
        assert_eq!(
            cause(&status),
            (code, reason.to_owned()),
            "{request:?}: {status:?}"
        );
        assert_eq!(field_of(&status), field, "{request:?}");
    }
    let unknown = GetScoresRequest {
        model: "defaul".to_owned(),
        ..none()
    };
    let status = scores(&mut health, unknown).await.unwrap_err();
    let details = status.get_error_details();
    assert_eq!(
        details.error_info().unwrap().metadata["suggestion"],
        "default"
    );
}

/// Too few accounts to compare with: no peg, no score, and that is no 0.
#[tokio::test(flavor = "multi_thread")]
async fn a_score_that_is_not_known_is_absent() {
    let (server, mut health) = started().await;
    let apply = ModelServiceApplyRequest {
        toml:
            "name = \"tiny\"\nmin_population = 1000\n\n[[weight]]\nevent = \"login\"\nweight = 1\n"
                .to_owned(),
        allow_unknown_events: false,
    };
    server.models().await.apply(apply).await.unwrap();
    let request = GetScoresRequest {
        model: "tiny".to_owned(),
        ..GetScoresRequest::default()
    };
    let page = scores(&mut health, request.clone()).await.unwrap();
    assert_eq!(page.total, 10);
    for score in &page.scores {
        assert_eq!(
            (score.score, score.peg, score.band()),
            (None, None, Band::Unspecified)
        );
        assert!(score.raw.is_some());
    }
    let bounded = GetScoresRequest {
        min_score: Some(f64::NEG_INFINITY),
        ..request
    };
    assert_eq!(scores(&mut health, bounded).await.unwrap().total, 0);
}
