//! The model that every store has: named `default`, in force until one of that name is applied.

use std::sync::{Arc, LazyLock};

use super::definition::{Metric, Model};
use super::parse::parse;
use super::threshold::Thresholds;

/// The text of the built-in model: a start for a model of one's own.
pub(crate) const BUILTIN_TEXT: &str = include_str!("builtin.toml");

/// The hash that the store gives [`BUILTIN_TEXT`]; a test compares them.
pub(crate) const BUILTIN_HASH: &str = "4b93c1221e01565ab7b3cd7f7d230a46";

impl Model {
    /// The built-in default: accounts, every event of weight 1, the default dimension.
    pub fn builtin() -> Arc<Self> {
        static BUILTIN: LazyLock<Arc<Model>> = LazyLock::new(|| {
            let model = parse(BUILTIN_TEXT).expect("the built-in model is valid");
            Arc::new(model)
        });
        Arc::clone(&BUILTIN)
    }

    /// Where a metric turns red and green in this model; `None` for a metric that has no
    /// thresholds, neither here nor by default.
    pub fn thresholds_of(&self, metric: Metric) -> Option<Thresholds> {
        let found = self.thresholds.iter().find(|known| known.0 == metric)?;
        Some(found.1)
    }

    /// Every event that it names anywhere, once, with the line that names it first, in line order.
    /// `"*"` is none.
    pub fn event_names(&self) -> &[(String, usize)] {
        &self.event_lines
    }
}
