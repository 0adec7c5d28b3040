//! SQL over a store: one session, one snapshot a statement, answers as plain record batches.
//!
//! It owns the way out of a statement: parsing and refusing, planning on DataFusion, the table
//! providers, scans on threads that give way, and the stream that the caller reads. It does not
//! own the rows (`vitalog-store`), the functions (`vitalog-functions`) or a protocol
//! (`vitalog-server`).
//!
//! Invariants:
//! - every table of a statement shows the same snapshot up to the same `seq`;
//! - a filter that is declared exact is exact under SQL's three-valued logic, statistics are
//!   declared exact only where they are, and so is the order of rows;
//! - SQL never changes the store; [`Access::ReadOnly`] touches no file either;
//! - what leaves has plain types: `Utf8`, no views, no dictionaries, no unsigned integers, times
//!   as `timestamp(µs, UTC)`; and the schema of the stream is the schema of its batches;
//! - a dropped [`QueryStream`] stops its work within one batch.
#![forbid(unsafe_code)]

mod background;
mod catalog;
mod config;
mod control;
mod definitions;
mod derived;
mod describe;
mod diagnosis;
mod dialect;
mod engine;
pub mod entity;
mod error;
mod gauge;
mod growth;
mod memory;
mod model;
mod parameter;
mod placeholder;
mod plain;
mod prepared;
mod promotion;
mod publish;
mod relation;
mod routine;
mod routines;
mod session;
mod snapshot;
mod statement;
mod stop;
mod stop_filter;
mod stream;
mod system;
mod table;
mod tables;
mod tasks;
mod views;

pub use background::Background;
pub use config::QueryConfig;
pub use definitions::{AppliedModel, ModelDescription, ModelError, ViewDescription};
pub use describe::{FunctionDescription, FunctionKind, RelationArgument, RelationDescription};
pub use engine::{Access, QueryEngine, QueryRequest};
pub use error::{Position, QueryError, QueryErrorKind};
pub use gauge::{Gauge, StatementUsage};
pub use model::ModelFault;
pub use parameter::{ArrowValue, Parameter};
pub use prepared::StatementDescription;
pub use publish::{PublishRequest, PublishTable};
pub use stream::{QueryStream, Stopper};
pub use system::{SystemTable, Viewer, schema_of_table};
pub use tables::{ColumnDescription, TableDescription};
