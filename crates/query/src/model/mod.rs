//! Health models: weights and thresholds as versioned data.
//!
//! It owns what a model says (`definition`, `metric`, `threshold`), how its text becomes one
//! (`parse`), which version is in force (`book`), and the tables that show it (`tables`, `columns`). It does
//! not own how a score is computed, nor whether the SQL in a model plans over a store.
//!
//! Invariant: a text that was once accepted is accepted by every later version, because stored
//! models are parsed again each time a store is opened.

mod book;
mod builtin;
pub(crate) mod columns;
mod definition;
mod metric;
mod parse;
pub(crate) mod tables;
mod threshold;

pub(crate) use book::{ModelBook, ModelCache, ModelVersion};
pub(crate) use definition::{
    Banded, Entity, EventMeasure, EventSet, MemberBase, Method, Metric, Model, SessionMeasure,
    Signal, SignalSource, SqlText, WEIGHT_UNITS, Weight,
};
pub use parse::ModelFault;
pub(crate) use parse::parse;
pub(crate) use threshold::{Bound, Thresholds};
