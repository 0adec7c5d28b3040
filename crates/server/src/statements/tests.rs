//! Statements over a small store: seqs, limits, turns, the list and its ends.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::Semaphore;
use vitalog_disk::FaultyDirectory;
use vitalog_event::{EventBatchBuilder, EventDraft};
use vitalog_query::{QueryConfig, QueryEngine};
use vitalog_store::{Store, StoreConfig, SystemClock};

use super::{Answer, Ask, Caller, Ceilings, Limits, State, Statements, Surface};
use crate::auth::Principal;
use crate::fault::{Fault, Reason};

/// 2025-03-01T00:00:00Z.
const START_US: i64 = 1_740_787_200_000_000;
/// More rows than anybody waits for.
const ENDLESS: &str = "SELECT a.value FROM generate_series(1, 100000000) a(value)";

/// How long is waited for what comes, and for what never does.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);

struct World {
    store: Arc<Store>,
    statements: Statements,
    turns: Arc<Semaphore>,
}

impl World {
    fn new(queries_max: usize, queue_wait: Duration, ceilings: Ceilings) -> Self {
        let directory = Arc::new(FaultyDirectory::new());
        let opened = Store::open(directory, StoreConfig::default(), Arc::new(SystemClock));
        let store = Arc::new(opened.expect("an empty store").0);
        let engine = QueryEngine::new(Arc::clone(&store), QueryConfig::default());
        let sources = (Arc::clone(&store), engine.expect("an engine"));
        let turns = Arc::new(Semaphore::new(queries_max));
        let statements = Statements::new(sources, Arc::clone(&turns), queue_wait, ceilings);
        Self {
            store,
            statements,
            turns,
        }
    }

    fn append(&self, count: i64) {
        let end = self.store.snapshot().seq();
        let mut batch = EventBatchBuilder::new(START_US);
        for n in end..end + count {
            let event_id = format!("event-{n}");
            batch.push(&EventDraft {
                event_id: Some(&event_id),
                event_time_us: Some(START_US - n),
                event: Some("tested"),
                ..EventDraft::default()
            });
        }
        let (batch, rejections) = batch.finish();
        assert!(rejections.is_empty(), "{rejections:?}");
        self.store.append(batch).expect("a receipt");
    }

    async fn count(&self, ask: Ask) -> Result<i64, Fault> {
        let mut answer = self.statements.start(ask).await?;
        let batch = answer.next().await.expect("one row")?;
        assert!(answer.next().await.is_none());
        let column = batch.column(0);
        let counts = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(column);
        Ok(counts.value(0))
    }
}

fn world() -> World {
    World::new(4, LONG, Ceilings::default())
}

fn anyone() -> Caller {
    Caller::of(Surface::Grpc, &Principal::anyone(), None)
}

fn named(name: &str, is_admin: bool) -> Caller {
    Caller {
        name: Some(name.to_owned()),
        is_admin,
        ..anyone()
    }
}

fn ask(sql: &str) -> Ask {
    Ask::new(sql, anyone())
}

fn limited(sql: &str, limits: Limits) -> Ask {
    Ask { limits, ..ask(sql) }
}

/// The rows of `answer`, and why it broke off.
async fn drained(answer: &mut Answer) -> (usize, Option<Fault>) {
    let mut rows = 0;
    while let Some(item) = answer.next().await {
        match item {
            Ok(batch) => rows += batch.num_rows(),
            Err(fault) => return (rows, Some(fault)),
        }
    }
    (rows, None)
}

const COUNT: &str = "SELECT count(*) FROM events";

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_waits_for_its_seq() {
    let world = world();
    world.append(3);
    let at_least = |min_seq| Ask {
        min_seq: Some(min_seq),
        ..ask(COUNT)
    };
    assert_eq!(world.count(at_least(3)).await, Ok(3));
    let waiting = world.count(at_least(5));
    let appending = async {
        tokio::task::yield_now().await;
        world.append(2);
    };
    assert_eq!(tokio::join!(waiting, appending).0, Ok(5));
    let hasty = World::new(4, SHORT, Ceilings::default());
    hasty.append(5);
    let fault = hasty.count(at_least(77)).await.expect_err("never appended");
    assert_eq!(fault.reason, Reason::SeqPastEnd);
    assert!(fault.message().contains("77"), "{}", fault.message());
    assert!(fault.message().contains("seq is 5"), "{}", fault.message());
    let as_of = |as_of_seq, min_seq| Ask {
        as_of_seq: Some(as_of_seq),
        min_seq,
        ..ask(COUNT)
    };
    assert_eq!(world.count(as_of(4, Some(4))).await, Ok(4));
    let reason = |outcome: Result<i64, Fault>| outcome.expect_err("no such seq").reason;
    assert_eq!(
        reason(world.count(as_of(6, None)).await),
        Reason::SeqPastEnd
    );
    let past_all = as_of(u64::MAX, None);
    assert_eq!(reason(world.count(past_all).await), Reason::SeqPastEnd);
    let turned = as_of(3, Some(4));
    assert_eq!(reason(world.count(turned).await), Reason::InvalidRequest);
    for world in [world, hasty] {
        assert!(world.statements.running().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_past_its_limit_fails_and_says_so() {
    let world = World::new(
        4,
        LONG,
        Ceilings {
            rows: Some(50_000),
            bytes: None,
        },
    );
    let rows = |rows| Limits {
        rows: Some(rows),
        ..Limits::default()
    };
    let series = "SELECT a.value FROM generate_series(1, 100) a(value)";
    let start = |ask| world.statements.start(ask);
    let mut whole = start(limited(series, rows(100)))
        .await
        .expect("a statement");
    assert_eq!(drained(&mut whole).await, (100, None));
    let statistics = whole.statistics();
    assert_eq!((statistics.rows, statistics.bytes), (100, 800));
    assert!(statistics.elapsed >= statistics.queued);
    for (limits, word) in [
        (rows(99), "99 rows"),
        (
            Limits {
                bytes: Some(799),
                ..Limits::default()
            },
            "799 bytes",
        ),
    ] {
        let mut answer = start(limited(series, limits)).await.expect("a statement");
        let (_, fault) = drained(&mut answer).await;
        let fault = fault.expect("past its limit");
        assert_eq!(fault.reason, Reason::ResultTooLarge);
        assert!(fault.message().contains(word), "{}", fault.message());
    }
    // What the server allows holds whatever is asked.
    let mut answer = start(limited(ENDLESS, rows(u64::MAX)))
        .await
        .expect("a statement");
    let (taken, fault) = drained(&mut answer).await;
    assert!(taken <= 50_000);
    assert_eq!(
        fault.map(|fault| fault.reason),
        Some(Reason::ResultTooLarge)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn time_and_memory_are_limits_of_one_statement() {
    let world = world();
    let limits = Limits {
        time: Some(Duration::from_millis(50)),
        ..Limits::default()
    };
    let mut late = world.statements.start(limited(ENDLESS, limits)).await;
    let fault = match &mut late {
        Ok(answer) => {
            tokio::time::sleep(Duration::from_millis(60)).await;
            drained(answer).await.1
        }
        Err(fault) => Some(fault.clone()),
    };
    assert_eq!(fault.map(|fault| fault.reason), Some(Reason::QueryLimit));
    let limits = Limits {
        memory_bytes: Some(1 << 20),
        ..Limits::default()
    };
    let greedy = "SELECT array_agg(value) FROM generate_series(1, 2000000) a(value)";
    let started = world.statements.start(limited(greedy, limits)).await;
    let (_, fault) = drained(&mut started.expect("a plan")).await;
    let fault = fault.expect("too much");
    assert_eq!(fault.reason, Reason::QueryLimit, "{}", fault.message());
    assert!(
        fault.message().contains("limit of the request"),
        "{}",
        fault.message()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_stands_for_one_running_statement() {
    let world = world();
    let with_id = |id: &str| Ask {
        id: Some(id.to_owned()),
        ..ask(ENDLESS)
    };
    let first = world
        .statements
        .start(with_id("mine"))
        .await
        .expect("a statement");
    assert_eq!(first.id(), "mine");
    let reason = |outcome: Result<Answer, Fault>| outcome.err().map(|fault| fault.reason);
    let again = world.statements.start(with_id("mine")).await;
    assert_eq!(reason(again), Some(Reason::QueryIdTaken));
    drop(first);
    let again = world
        .statements
        .start(with_id("mine"))
        .await
        .expect("it is free");
    drop(again);
    for id in ["", "a b", "é", &"x".repeat(129)] {
        let refused = world.statements.start(with_id(id)).await;
        assert_eq!(reason(refused), Some(Reason::InvalidRequest), "{id:?}");
    }
    let made = world
        .statements
        .start(ask("SELECT 1"))
        .await
        .expect("a statement");
    assert_eq!(made.id().len(), 36);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_statement_ends_even_where_nobody_reads() {
    let world = world();
    let mut owned = ask(ENDLESS);
    owned.caller = named("bi", false);
    owned.id = Some("long".to_owned());
    let mut answer = world.statements.start(owned).await.expect("a statement");
    let cancel = |caller: Caller| world.statements.cancel("long", &caller);
    let stranger = cancel(named("other", false)).expect_err("not seen");
    assert_eq!(stranger.reason, Reason::QueryNotFound);
    assert_eq!(cancel(named("bi", false)), Ok(true));
    let (_, fault) = drained(&mut answer).await;
    assert_eq!(fault.map(|fault| fault.reason), Some(Reason::Cancelled));
    assert_eq!(cancel(named("ops", true)), Ok(false), "it has ended");
    let seen = |caller: Caller| world.statements.seen_by(&caller);
    assert!(seen(named("other", false)).is_empty());
    let record = &seen(named("bi", false))[0];
    assert_eq!(
        (record.id.as_str(), record.state),
        ("long", State::Cancelled)
    );
    assert_eq!(record.reason, Some(Reason::Cancelled));
    assert_eq!(seen(named("ops", true)).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_are_held_while_there_is_work() {
    let world = World::new(1, SHORT, Ceilings::default());
    let turns = Arc::clone(&world.turns);
    let first = world
        .statements
        .start(ask(ENDLESS))
        .await
        .expect("a statement");
    assert_eq!(turns.available_permits(), 0);
    assert_eq!(world.statements.running()[0].state, State::Running);
    assert_eq!(world.statements.with_turn(), 1);
    let mut waiting = std::pin::pin!(world.statements.start(ask("SELECT 1")));
    assert!(futures::poll!(&mut waiting).is_pending());
    let listed = world.statements.running().len();
    assert_eq!(
        (listed, world.statements.with_turn()),
        (2, 1),
        "one of them waits"
    );
    let fault = waiting.await.err();
    assert_eq!(fault.map(|fault| fault.reason), Some(Reason::Busy));
    drop(first);
    assert_eq!(turns.available_permits(), 1);
    assert_eq!(world.statements.with_turn(), 0);
    let mut second = world
        .statements
        .start(ask("SELECT 1"))
        .await
        .expect("its turn");
    assert_eq!(drained(&mut second).await, (1, None));
    assert_eq!(turns.available_permits(), 1, "at its last row");
    let failed = world.statements.start(ask("SELECT nothing")).await.err();
    assert_eq!(failed.map(|fault| fault.reason), Some(Reason::InvalidSql));
    let states: Vec<_> = world
        .statements
        .seen_by(&anyone())
        .iter()
        .map(|one| one.state)
        .collect();
    let expected = [
        State::Abandoned,
        State::Failed,
        State::Finished,
        State::Failed,
    ];
    assert_eq!(states, expected);
}

/// Its turn is free at its deadline, and its reader is told when it comes back.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_reads_ends_at_its_deadline() {
    let world = World::new(1, LONG, Ceilings::default());
    let limits = Limits {
        time: Some(Duration::from_secs(2)),
        ..Limits::default()
    };
    // Again, where its time was over before it had a plan.
    let starting = async {
        loop {
            match world.statements.start(limited(ENDLESS, limits)).await {
                Ok(answer) => return answer,
                Err(fault) => assert_eq!(fault.reason, Reason::QueryLimit),
            }
        }
    };
    let started = tokio::time::timeout(LONG, starting).await;
    let mut answer = started.expect("a statement");
    let turn = world.turns.acquire().await.expect("turns stay open");
    drop(turn);
    assert!(world.statements.running().is_empty());
    let seen = world.statements.seen_by(&anyone());
    let last = seen.last().expect("the one that ended");
    assert_eq!(
        (last.state, last.reason),
        (State::Failed, Some(Reason::QueryLimit))
    );
    let (rows, fault) = drained(&mut answer).await;
    let fault = fault.expect("it did not end well");
    assert_eq!((rows, fault.reason), (0, Reason::QueryLimit));
    assert!(
        fault.message().contains("deadline of 2s"),
        "{}",
        fault.message()
    );
    assert!(answer.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_ended_statements_is_bounded_and_cuts_texts() {
    let world = world();
    let long = format!("SELECT '{}', nothing", "é".repeat(9_000));
    for _ in 0..crate::limits::STATEMENTS_ENDED_MAX + 5 {
        let outcome = world.statements.start(ask("SELECT")).await;
        assert!(outcome.is_err());
    }
    assert!(world.statements.start(ask(&long)).await.is_err());
    let seen = world.statements.seen_by(&anyone());
    assert_eq!(seen.len(), crate::limits::STATEMENTS_ENDED_MAX);
    let last = seen.last().expect("the long one");
    assert!(last.sql.len() <= crate::limits::STATEMENT_TEXT_BYTES_MAX + '…'.len_utf8());
    assert!(last.sql.ends_with('…'));
}

#[tokio::test]
async fn a_panic_of_who_reads_is_a_failure() {
    let world = world();
    let answer = world.statements.start(ask("SELECT 1")).await;
    let answer = answer.expect("its turn");
    let read = std::panic::catch_unwind(AssertUnwindSafe(move || {
        let _answer = answer;
        panic!("a bug");
    }));
    assert!(read.is_err());
    let seen = world.statements.seen_by(&anyone());
    let ends: Vec<_> = seen.iter().map(|one| (one.state, one.reason)).collect();
    assert_eq!(ends, [(State::Failed, Some(Reason::Internal))]);
}
