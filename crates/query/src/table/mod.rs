//! The table `events`: which filters the store applies, which sections are read, and the plan that
//! reads them.
//!
//! It owns the translation from SQL expressions to a [`RowFilter`](vitalog_store::RowFilter) and
//! what is declared to the optimiser: exact filters, statistics, order.

mod events;
mod filter;
mod groups;
mod owned;
mod property;
mod scan;

pub(crate) use events::EventsTable;
pub(crate) use property::{PROPERTIES, PropertyColumn};
pub(crate) use scan::{EventsScan, ROWS_CONSIDERED};
