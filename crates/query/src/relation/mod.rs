//! The relations of customer health: `health_scores(…)` and its kin, which stand in `FROM`.
//!
//! ```text
//! SQL ─ planner ─▶ RelationCall (arguments as expressions, `$1` too)
//!       binding ─▶ RelationTable (arguments as values: model, moment, seq)
//!       table   ─▶ the columns that are asked for, as SQL over events and derived tables (sql/)
//!               ─▶ DataFusion's plan of it
//! ```
//! It owns what a question means: which model is in force, which instants bound its periods, which
//! columns follow from which. It does not own the sums (`vitalog-functions`), the rows (`table`,
//! `derived`) or the models (`model`).
//!
//! Invariant: a relation reads only what the columns that are asked for need, and its answer
//! depends on the log up to its `seq`, its model and its moment, and on nothing else.

mod argument;
mod binding;
mod call;
mod check;
mod columns;
mod interval;
mod moment;
mod natives;
mod planner;
mod question;
mod scope;
mod sql;
mod table;

pub(crate) use argument::Argument;
pub(crate) use binding::bind;
pub(crate) use check::check;
pub(crate) use columns::Relation;
pub(crate) use planner::HealthPlanner;
