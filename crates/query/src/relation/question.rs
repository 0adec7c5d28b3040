//! A question about health with everything settled: which model, whose rows, what is seen.

use std::sync::Arc;

use super::interval::Interval;
use super::moment::Moment;
use crate::model::{Entity, Model, ModelVersion};

/// The model, entity and knowledge of a question; the moment comes beside it.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub version: Arc<ModelVersion>,
    /// Models whose entities this one leaves out.
    pub rivals: Vec<Arc<ModelVersion>>,
    pub entity: Entity,
    /// The highest `seq` that is known.
    pub seq: i64,
}

impl Question {
    pub fn model(&self) -> &Model {
        &self.version.model
    }
}

/// A relation with its arguments as values.
#[derive(Clone, Debug)]
pub(super) enum Bound {
    Scores(Question, Moment),
    Signals(Question, Moment),
    Explain {
        question: Question,
        moment: Moment,
        account: Option<String>,
        user: Option<String>,
    },
    Steps(Question, Moment),
    /// At least one moment.
    History(Question, Vec<Moment>),
    Sessions {
        gap_us: i64,
        since_us: i64,
        until_us: i64,
        seq: i64,
    },
}

/// The default step of a history.
pub(super) const EVERY_DEFAULT: Interval = Interval::WEEK;
/// Steps before `until` at which a history begins by default.
pub(super) const STEPS_DEFAULT: i32 = 12;
/// Most instants of a history.
pub(super) const INSTANTS_MAX: usize = 400;
/// The default silence that ends a session, microseconds.
pub(super) const GAP_DEFAULT_US: i64 = 30 * 60 * 1_000_000;
