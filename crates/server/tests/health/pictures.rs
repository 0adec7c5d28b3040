//! Which picture answers: pages, ages, versions, the past.

use crate::support::{append, recent};
use crate::{fresh, ids, scores, started};
use prost_types::Timestamp;
use vitalog_wire::vitalog::v1::{GetScoresRequest, ModelServiceApplyRequest};

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_of_one_picture_while_appends_go_on() {
    let (server, mut health) = started().await;
    let mut events = server.events().await;
    let whole = scores(&mut health, fresh()).await.unwrap();
    let mut request = GetScoresRequest {
        page_size: 3,
        ..GetScoresRequest::default()
    };
    let mut paged = Vec::new();
    for n in 0.. {
        let page = scores(&mut health, request.clone()).await.unwrap();
        assert_eq!(page.picture, whole.picture);
        assert_eq!(
            (page.total, page.scores.len()),
            (10, if n < 3 { 3 } else { 1 })
        );
        paged.extend(page.scores);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
        // Each of these changes every score, and one stands between two pages.
        append(
            &mut events,
            vec![recent(&format!("a0{n}x"), "new", "login", n)],
        )
        .await;
    }
    assert_eq!(paged, whole.scores);
    let later = scores(&mut health, fresh()).await.unwrap();
    assert_eq!(later.total, 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_picture_that_is_gone_is_computed_again() {
    let (server, mut health) = started().await;
    let whole = scores(&mut health, fresh()).await.unwrap();
    let request = GetScoresRequest {
        page_size: 4,
        ..GetScoresRequest::default()
    };
    let first = scores(&mut health, request.clone()).await.unwrap();
    append(
        &mut server.events().await,
        vec![recent("a", "new", "login", 1)],
    )
    .await;
    // More pictures than are kept.
    for seconds in 0..20 {
        let other = GetScoresRequest {
            as_of: Some(Timestamp {
                seconds: 1_740_000_000 + seconds,
                nanos: 0,
            }),
            ..GetScoresRequest::default()
        };
        assert_eq!(scores(&mut health, other).await.unwrap().total, 0);
    }
    let next = GetScoresRequest {
        page_token: first.next_page_token,
        page_size: 1_000,
        ..request
    };
    let rest = scores(&mut health, next).await.unwrap();
    assert_eq!(rest.scores, whole.scores[4..]);
    let (again, before) = (rest.picture.unwrap(), whole.picture.unwrap());
    assert_eq!(again.token, before.token);
    assert_ne!(again.computed_at, before.computed_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_serves_until_it_is_too_old_for_the_request() {
    let (server, mut health) = started().await;
    let mut events = server.events().await;
    let first = scores(&mut health, GetScoresRequest::default())
        .await
        .unwrap();
    append(&mut events, vec![recent("b", "new", "login", 1)]).await;
    let second = scores(&mut health, GetScoresRequest::default())
        .await
        .unwrap();
    assert_eq!(second.picture, first.picture);
    let fresh_one = scores(&mut health, fresh()).await.unwrap();
    assert_eq!(fresh_one.total, 11);
    assert_eq!(ids(&fresh_one.scores)[10], "b");
    let third = scores(&mut health, GetScoresRequest::default())
        .await
        .unwrap();
    assert_eq!(third.picture, fresh_one.picture, "the newest one serves");
    for n in 2..20 {
        let seq = append(&mut events, vec![recent("b", "new", "login", n)])
            .await
            .last_seq;
        let picture = scores(&mut health, fresh()).await.unwrap().picture.unwrap();
        assert_eq!(picture.seq, seq, "everything durable is seen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_of_the_model_is_seen_at_once() {
    let (server, mut health) = started().await;
    let before = scores(&mut health, GetScoresRequest::default())
        .await
        .unwrap();
    assert_eq!(before.picture.unwrap().version, 0);
    let apply = ModelServiceApplyRequest {
        toml: "name = \"default\"\n\n[[weight]]\nevent = \"login\"\nweight = 3\n".to_owned(),
        allow_unknown_events: false,
    };
    server.models().await.apply(apply).await.unwrap();
    let after = scores(&mut health, GetScoresRequest::default())
        .await
        .unwrap();
    assert_eq!(after.picture.unwrap().version, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_asked_on_both_axes_of_time() {
    let (server, mut health) = started().await;
    let before = scores(&mut health, fresh()).await.unwrap();
    let then = before.picture.clone().unwrap().as_of;
    // A late event: it happened before that instant and is received after it.
    append(
        &mut server.events().await,
        vec![recent("a00", "u0", "login", 500)],
    )
    .await;
    let known_then = GetScoresRequest {
        as_of: then,
        known_at: then,
        ..GetScoresRequest::default()
    };
    let known_then = scores(&mut health, known_then).await.unwrap();
    assert_eq!(known_then.scores, before.scores);
    assert_eq!(known_then.picture.unwrap().known_at, then);
    let known_now = GetScoresRequest {
        as_of: then,
        ..GetScoresRequest::default()
    };
    let known_now = scores(&mut health, known_now).await.unwrap();
    assert_eq!(known_now.scores[0].raw, Some(2.0));
    assert_eq!(known_now.picture.unwrap().as_of, then);
}
