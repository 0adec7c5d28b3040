//! Questions over days that the retention dropped: refused where they would need them, answered
//! where they would not.

use vitalog_event::{day_of_timestamp_us, parse_timestamp_us};
use vitalog_query::QueryErrorKind;

use crate::support::{Layout, answer, engine_over, error_of, request};
use crate::world::{World, define};

const MODEL: &str = "
name = \"m\"
period_days = 7
steps = [\"login\", \"report\"]";

fn world() -> World {
    let mut world = World::default();
    for day in 1..=28 {
        world.event(
            &format!("2025-03-{day:02}T10:00:00Z"),
            "login",
            "acme",
            "ann",
        );
    }
    world.group("2025-03-02", "acme", "", r#"{"plan":"pro"}"#);
    world
}

fn day(text: &str) -> i32 {
    day_of_timestamp_us(parse_timestamp_us(text).unwrap())
}

#[tokio::test]
async fn what_needs_dropped_days_is_refused_and_the_rest_is_answered() {
    for layout in Layout::ALL {
        let store = world().store(layout);
        define(&store, MODEL);
        store
            .retain_from(day("2025-03-15"), Box::new(|_| {}))
            .unwrap();
        let engine = engine_over(&store);
        let whole = "SELECT h.account_id, h.active_days, a.plan \
             FROM health_scores(model => 'm', as_of => DATE '2025-03-25') AS h \
             JOIN accounts AS a ON a.account_id = h.account_id";
        assert_eq!(
            answer(&engine, whole).await,
            [["acme", "7", "pro"]],
            "{layout:?}"
        );
        for sql in [
            "SELECT active_days FROM health_scores(model => 'm', as_of => DATE '2025-03-18')",
            "SELECT activation_rate FROM health_scores(model => 'm', as_of => DATE '2025-03-25')",
            "SELECT trend FROM health_scores(model => 'm', as_of => DATE '2025-03-25')",
            "SELECT first_time FROM health_steps(model => 'm', as_of => DATE '2025-03-25')",
        ] {
            let error = error_of(&engine, request(sql)).await;
            assert_eq!(error.kind(), QueryErrorKind::Retention, "{sql}: {error}");
            assert!(error.to_string().contains("RETENTION"), "{error}");
            assert!(error.to_string().contains("2025-03-15"), "{error}");
        }
        let events = "SELECT count(*), min(event_time) FROM events WHERE event = 'login'";
        assert_eq!(answer(&engine, events).await[0][0], "14");
    }
}

#[tokio::test]
async fn a_floor_that_dropped_nothing_refuses_nothing() {
    let store = world().store(Layout::ALL[0]);
    define(&store, MODEL);
    store
        .retain_from(day("2025-02-01"), Box::new(|_| {}))
        .unwrap();
    let engine = engine_over(&store);
    let sql = "SELECT activation_rate FROM health_scores(model => 'm', as_of => DATE '2025-03-25')";
    assert_eq!(answer(&engine, sql).await.len(), 1);
}
