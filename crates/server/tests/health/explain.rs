//! What a score is made of.

use crate::support::{append, cause, field_of, recent};
use crate::{scores, started};
use vitalog_wire::vitalog::v1::{Entity, GetScoresRequest, HealthServiceExplainRequest};

fn explained(account_id: &str) -> HealthServiceExplainRequest {
    HealthServiceExplainRequest {
        account_id: Some(account_id.to_owned()),
        ..HealthServiceExplainRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_points_of_an_explanation_sum_to_the_score_less_one() {
    let (server, mut health) = started().await;
    let more = (0..4).map(|n| recent("a03", "u3", "export", n));
    append(&mut server.events().await, more.collect()).await;
    for account in ["a00", "a03", "a09"] {
        let answer = health
            .explain(explained(account))
            .await
            .unwrap()
            .into_inner();
        let score = answer.score.unwrap();
        let points = answer.contributions.iter().filter_map(|one| one.points);
        let error = points.sum::<f64>() - (score.score.unwrap() - 1.0);
        assert!(error.abs() < 1e-9, "{account}: {error}");
        let shown = answer
            .contributions
            .iter()
            .map(|one| one.points.map(f64::abs));
        assert!(
            shown
                .collect::<Vec<_>>()
                .is_sorted_by(|left, right| left >= right)
        );
        assert_eq!(
            answer.total_contributions,
            answer.contributions.len() as u64
        );
        assert_eq!(answer.total_signals, answer.signals.len() as u64);
        assert!(
            answer
                .signals
                .iter()
                .all(|signal| !signal.dimension.is_empty())
        );
        let request = GetScoresRequest {
            account_ids: vec![account.to_owned()],
            ..GetScoresRequest::default()
        };
        let listed = scores(&mut health, request).await.unwrap();
        assert_eq!(
            (listed.scores, listed.picture),
            (vec![score], answer.picture)
        );
    }
    let least = HealthServiceExplainRequest {
        max_rows: 1,
        ..explained("a03")
    };
    let least = health.explain(least).await.unwrap().into_inner();
    assert_eq!(least.contributions.len(), 1);
    assert!(least.total_contributions >= 2, "{least:?}");
    let one = &least.contributions[0];
    assert_eq!(
        (one.count, one.counted, one.contribution),
        (4, 4, Some(4.0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_that_is_not_there_is_not_explained() {
    let (_server, mut health) = started().await;
    let user = |user_id: &str| Some(user_id.to_owned());
    let cases = [
        (explained("nobody"), "account_id", "ENTITY_NOT_FOUND"),
        (
            HealthServiceExplainRequest {
                entity: Entity::Member.into(),
                user_id: user("u4"),
                ..explained("a03")
            },
            "user_id",
            "ENTITY_NOT_FOUND",
        ),
        (
            HealthServiceExplainRequest::default(),
            "account_id",
            "INVALID_REQUEST",
        ),
        (
            HealthServiceExplainRequest {
                user_id: user("u3"),
                ..explained("a03")
            },
            "user_id",
            "INVALID_REQUEST",
        ),
        (
            HealthServiceExplainRequest {
                max_rows: 5_001,
                ..explained("a03")
            },
            "max_rows",
            "INVALID_REQUEST",
        ),
        (
            HealthServiceExplainRequest {
                model: "other".to_owned(),
                ..explained("a03")
            },
            "model",
            "MODEL_NOT_FOUND",
        ),
    ];
    for (request, field, reason) in cases {
        let status = health.explain(request.clone()).await.unwrap_err();
        assert_eq!(cause(&status).1, reason, "{request:?}");
        assert_eq!(field_of(&status), field, "{request:?}");
    }
}
