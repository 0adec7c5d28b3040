//! Arrow Flight SQL: the service that ADBC, JDBC, pyarrow and SQLAlchemy speak, on the port of gRPC.
//!
//! It owns the commands, tickets, prepared statements and sessions of that protocol, and how rows
//! travel in its messages. It does not own SQL (`vitalog-query`) and how it
//! is run (`statements`), nor what an event is or how it is
//! appended (`append`). The protocol is specified at
//! <https://arrow.apache.org/docs/format/FlightSql.html>.
//!
//! | file | owns |
//! |---|---|
//! | `endpoint` | the service on the wire, with its limits of message sizes |
//! | `service` | the methods of Flight |
//! | `command` | which command a client means |
//! | `statement`, `answer` | planning a statement, and running a ticket |
//! | `prepared`, `bindings`, `values` | prepared statements and the values of their placeholders |
//! | `sealed` | what clients carry for the server: tickets, handles, cookies |
//! | `catalog`, `sql_info`, `types` | what there is: tables, abilities, types |
//! | `put`, `ingest` | what clients send: values, events |
//! | `action`, `session` | actions, cancelling among them; sessions |
//! | `encode`, `decode` | Arrow in Flight's messages |
//! | `schema`, `buffers` | what of a client's Arrow is looked at before Arrow's reader gets it |
//! | `fuzzing` | every decoder as a function of bytes; in no build of the product |
//!
//! Invariants: every message is below the 4 MiB that gRPC clients take unless told otherwise; the
//! schema of an answer is announced as it is sent; a ticket or a handle is only as good as the
//! rights of who sends it, and no bytes of a client make anything panic or grow without a limit.

mod action;
mod answer;
mod bindings;
mod buffers;
mod catalog;
mod command;
mod decode;
mod encode;
mod endpoint;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod ingest;
mod prepared;
mod put;
mod schema;
mod sealed;
mod service;
mod session;
mod sql_info;
mod statement;
mod types;
mod values;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use vitalog_query::QueryEngine;
use vitalog_store::Store;

use self::bindings::Bindings;
pub(crate) use self::endpoint::FlightEndpoint;
use crate::append::Appender;
use crate::gate::Gate;
use crate::limits::{FLIGHT_INGESTS_MAX, FLIGHT_PUTS_MAX};
use crate::readers::Readers;
use crate::seldom::Seldom;
use crate::statements::Statements;

/// What the methods of the service work with. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    store: Arc<Store>,
    engine: QueryEngine,
    statements: Statements,
    appender: Appender,
    readers: Readers,
    gate: Gate,
    /// Turns of statements, which are planned in them as well.
    turns: Arc<Semaphore>,
    /// Turns of uploads until it is known what they are, and of those of values to their end.
    puts: Arc<Semaphore>,
    /// Turns of ingests.
    ingests: Arc<Semaphore>,
    queue_wait: Duration,
    bindings: Arc<Bindings>,
    /// What is said of views that cannot be planned.
    broken_views: Arc<Seldom>,
}

impl Flight {
    /// A service over `appender`'s store, which shares the turns of statements with others.
    pub fn new(
        (appender, statements): (Appender, Statements),
        (gate, readers): (Gate, Readers),
        turns: Arc<Semaphore>,
    ) -> Self {
        Self {
            store: Arc::clone(&appender.store),
            queue_wait: appender.queue_wait,
            engine: statements.engine().clone(),
            statements,
            appender,
            readers,
            gate,
            turns,
            puts: Arc::new(Semaphore::new(FLIGHT_PUTS_MAX)),
            ingests: Arc::new(Semaphore::new(FLIGHT_INGESTS_MAX)),
            bindings: Arc::default(),
            broken_views: Arc::default(),
        }
    }
}
