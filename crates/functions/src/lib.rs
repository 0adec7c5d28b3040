//! The SQL registry of customer health: one file a function, thin over `vitalog-measure`.
//!
//! This crate owns names, argument names, accepted types, NULL behaviour at the SQL surface, the
//! states of aggregates and the generated reference page. What the numbers mean is owned by
//! `vitalog-measure`; what a table is, by the crates above. Invariants:
//! - a scalar and an aggregate never share a name, because SQL resolves the scalar first: nouns on
//!   a timestamp column are aggregates, `activity_…` reads a state;
//! - a wrong type, and a literal out of range, fail at planning with the argument's name;
//! - an aggregate's answer depends on neither order nor partitions, and its state can be stored,
//!   sent and merged;
//! - every function is documented, and `docs/functions.md` is generated from that.
//!
//! To add a function: one file in `scalar`, `aggregate` or `window`, one line in that module's
//! list, and the reference page generated again (see [`reference()`]).

#![forbid(unsafe_code)]

// `#[user_doc]` names the crate of the documentation types; this one re-exports them.
extern crate datafusion_expr as datafusion_doc;

use std::sync::Arc;

use datafusion_common::Result;
use datafusion_expr::registry::FunctionRegistry;
use datafusion_expr::{AggregateUDF, ScalarUDF, WindowUDF};

mod aggregate;
mod constant;
mod interval;
mod json;
mod local_days;
mod moments;
mod parameters;
mod reference;
mod scalar;
mod window;

pub use json::json_documentation;
pub use local_days::{LocalDays, Zone};
pub use reference::reference;

/// Every scalar function, in the order of their names.
pub fn all_scalar() -> Vec<Arc<ScalarUDF>> {
    scalar::all()
}

/// Every aggregate function, in the order of their names. Each works over windows, too.
pub fn all_aggregate() -> Vec<Arc<AggregateUDF>> {
    aggregate::all()
}

/// Every window function, in the order of their names.
pub fn all_window() -> Vec<Arc<WindowUDF>> {
    window::all()
}

/// Registers every function, replacing those of the same name.
///
/// # Errors
/// Those of the registry.
pub fn register_all(registry: &mut dyn FunctionRegistry) -> Result<()> {
    for function in all_scalar() {
        registry.register_udf(function)?;
    }
    for function in all_aggregate() {
        registry.register_udaf(function)?;
    }
    for function in all_window() {
        registry.register_udwf(function)?;
    }
    Ok(())
}
