//! What has changed since an earlier picture.

use std::collections::BTreeMap;

use crate::support::{append, recent};
use crate::{Client, all_pages, fresh, ids, scores, started};
use vitalog_wire::vitalog::v1::get_scores_request::ChangedSince;
use vitalog_wire::vitalog::v1::{GetScoresRequest, Score};

/// What a request with the same filters lists, by account.
async fn held(health: &mut Client, request: GetScoresRequest) -> BTreeMap<String, Score> {
    let pages = all_pages(health, request).await;
    let scores = pages.into_iter().flat_map(|page| page.scores);
    scores
        .map(|score| (score.account_id.clone().unwrap(), score))
        .collect()
}

fn compared(score: &Score) -> (Option<u64>, i32, i32, Option<String>) {
    let bits = score.score.map(f64::to_bits);
    (bits, score.band, score.status, score.stage.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_since_a_picture_are_exactly_what_differs() {
    let (server, mut health) = started().await;
    let mut events = server.events().await;
    let low = |request: GetScoresRequest| GetScoresRequest {
        max_score: Some(60.0),
        ..request
    };
    let picture = scores(&mut health, fresh()).await.unwrap().picture.unwrap();
    let copy = held(&mut health, low(GetScoresRequest::default())).await;
    // One leaves the low scores, one comes, the peg stays with the largest.
    let risen = (100..106).map(|n| recent("a01", "u1", "login", n));
    append(
        &mut events,
        risen.chain([recent("a011", "new", "login", 1)]).collect(),
    )
    .await;
    let now = held(&mut health, low(fresh())).await;
    for changed_since in [
        ChangedSince::ChangedSinceToken(picture.token.clone()),
        ChangedSince::ChangedSinceTime(picture.as_of.unwrap()),
    ] {
        let request = low(GetScoresRequest {
            changed_since: Some(changed_since),
            page_size: 1,
            ..GetScoresRequest::default()
        });
        let pages = all_pages(&mut health, request).await;
        assert_eq!(pages.len() as u64, pages[0].total + pages[0].total_removed);
        let earlier = pages[0].earlier.as_ref().unwrap();
        assert_eq!(earlier.as_of, picture.as_of);
        let mut updated = copy.clone();
        for page in &pages {
            for score in &page.scores {
                let id = score.account_id.clone().unwrap();
                let old = updated.insert(id, score.clone());
                assert_ne!(old.as_ref().map(compared), Some(compared(score)));
            }
            for id in &page.removed {
                assert!(updated.remove(id.account_id.as_ref().unwrap()).is_some());
            }
        }
        assert!(pages.iter().any(|page| ids(&page.scores) == ["a011"]));
        assert!(pages.iter().any(|page| !page.removed.is_empty()));
        let columns = |scores: &BTreeMap<String, Score>| -> Vec<_> {
            let rows = scores.iter();
            rows.map(|(id, score)| (id.clone(), compared(score)))
                .collect()
        };
        assert_eq!(columns(&updated), columns(&now));
    }
    let same = scores(&mut health, GetScoresRequest::default())
        .await
        .unwrap();
    let same = same.picture.unwrap().token;
    let nothing = GetScoresRequest {
        changed_since: Some(ChangedSince::ChangedSinceToken(same)),
        ..GetScoresRequest::default()
    };
    let nothing = scores(&mut health, nothing).await.unwrap();
    assert_eq!((nothing.total, nothing.total_removed), (0, 0));
}
