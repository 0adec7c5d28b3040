//! The relations by name: their arguments and columns, in one place.
//!
//! Names and types are the same for every model. Every column may be NULL to the planner, so that
//! no plan has to prove what the meaning already says.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::Argument;
use crate::tables::Kind;

/// One of the relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Relation {
    AccountSignals,
    HealthExplain,
    HealthHistory,
    HealthScores,
    HealthSteps,
    Sessions,
}

/// Name, type, meaning.
pub(crate) type RelationColumn = (&'static str, Kind, &'static str);

impl Relation {
    /// All relations, by name.
    pub const ALL: [Self; 6] = [
        Self::AccountSignals,
        Self::HealthExplain,
        Self::HealthHistory,
        Self::HealthScores,
        Self::HealthSteps,
        Self::Sessions,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::AccountSignals => "account_signals",
            Self::HealthExplain => "health_explain",
            Self::HealthHistory => "health_history",
            Self::HealthScores => "health_scores",
            Self::HealthSteps => "health_steps",
            Self::Sessions => "sessions",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|relation| relation.name() == name)
    }

    /// What it takes, the usual first.
    pub fn arguments(self) -> &'static [Argument] {
        use Argument::{Account, AsOf, Entity, Every, Gap, KnownAt, Model, Since, Until, User};
        const VERSION: Argument = Argument::Version;
        match self {
            Self::HealthScores | Self::AccountSignals | Self::HealthSteps => {
                &[Model, AsOf, KnownAt, VERSION, Entity]
            }
            Self::HealthExplain => &[Model, AsOf, Account, User, KnownAt, VERSION, Entity],
            Self::HealthHistory => &[Model, Every, Since, Until, KnownAt, VERSION, Entity],
            Self::Sessions => &[Gap, Since, Until, KnownAt],
        }
    }

    /// What holds where an argument is left out.
    pub fn default_of(self, argument: Argument) -> &'static str {
        match (self, argument) {
            (Self::Sessions, Argument::Since) => "30 days before until",
            (_, other) => other.text().default,
        }
    }

    /// What one row is, and the question it answers.
    pub fn description(self) -> &'static str {
        match self {
            Self::AccountSignals => {
                "One row an entity and signal of the model: value, previous value, band and severity."
            }
            Self::HealthExplain => {
                "One row an entity and event: what it adds to the raw score and how many points of the score; the points of an entity sum to score - 1."
            }
            Self::HealthHistory => "health_scores on a grid of instants.",
            Self::HealthScores => {
                "One row an entity that the model covers: raw score, peg, score, every metric, status and risk at an instant."
            }
            Self::HealthSteps => {
                "One row an entity and onboarding step or catalogue feature, with its first time; NULL is not done."
            }
            Self::Sessions => "One row a session of a member.",
        }
    }

    pub fn example(self) -> &'static str {
        match self {
            Self::AccountSignals => {
                "SELECT account_id, value, previous FROM account_signals(model => 'default') WHERE signal = 'usage_frequency'"
            }
            Self::HealthExplain => {
                "SELECT event, count, points FROM health_explain(account => 'acme') ORDER BY points DESC"
            }
            Self::HealthHistory => {
                "SELECT as_of, avg(score) FROM health_history(every => 'week') GROUP BY as_of ORDER BY as_of"
            }
            Self::HealthScores => {
                "SELECT account_id, score, status FROM health_scores(as_of => DATE '2025-08-13') WHERE status = 'red'"
            }
            Self::HealthSteps => {
                "SELECT event, count(first_time) FROM health_steps() WHERE kind = 'step' GROUP BY event"
            }
            Self::Sessions => {
                "SELECT avg(minutes) FROM sessions(gap => INTERVAL '30 minutes', since => DATE '2025-08-01', until => DATE '2025-08-31')"
            }
        }
    }

    pub fn columns(self) -> &'static [RelationColumn] {
        match self {
            Self::AccountSignals => ACCOUNT_SIGNALS,
            Self::HealthExplain => HEALTH_EXPLAIN,
            Self::HealthHistory | Self::HealthScores => HEALTH_SCORES,
            Self::HealthSteps => HEALTH_STEPS,
            Self::Sessions => SESSIONS,
        }
    }

    pub fn schema(self) -> SchemaRef {
        static SCHEMAS: LazyLock<Vec<SchemaRef>> = LazyLock::new(|| {
            let schema_of = |relation: Relation| {
                let columns = relation.columns().iter();
                let fields =
                    columns.map(|(name, kind, _)| Field::new(*name, kind.data_type(), true));
                Arc::new(Schema::new(fields.collect::<Vec<_>>()))
            };
            Relation::ALL.into_iter().map(schema_of).collect()
        });
        Arc::clone(&SCHEMAS[self as usize])
    }
}

const MODEL: RelationColumn = ("model", Kind::Text, "The model.");
const VERSION: RelationColumn = (
    "version",
    Kind::Integer,
    "Its version; 0 is the built-in default.",
);
const AS_OF: RelationColumn = (
    "as_of",
    Kind::Time,
    "The instant of the question; events at or after it do not exist.",
);
const ACCOUNT: RelationColumn = (
    "account_id",
    Kind::Text,
    "The account; NULL where the entity is a user.",
);
const USER: RelationColumn = (
    "user_id",
    Kind::Text,
    "The user; NULL where the entity is an account.",
);

#[rustfmt::skip]
const HEALTH_SCORES: &[RelationColumn] = &[
    MODEL, VERSION, AS_OF, ACCOUNT, USER,
    ("raw", Kind::Double, "Sum over events of count times weight."),
    ("peg", Kind::Double, "The raw score that is worth 100; NULL where nobody has one above 0."),
    ("peg_n", Kind::Integer, "Entities whose raw scores make the peg."),
    ("score", Kind::Double, "1 to 100."),
    ("band", Kind::Text, "Of the score: green, yellow or red."),
    ("active_days", Kind::Integer, "Local days of the period with an event."),
    ("usage_frequency", Kind::Double, "Active days / days of the period, 0 to 1."),
    ("first_active", Kind::Time, "Time of the first event of all history."),
    ("last_active", Kind::Time, "Time of the latest event of all history."),
    ("days_inactive", Kind::Integer, "Whole local days from the day of the latest event to today."),
    ("feature_adoption", Kind::Double, "Percent of the catalogue's features used in the period; NULL where the catalogue is empty."),
    ("members", Kind::Integer, "Members of the account; NULL for other entities."),
    ("active_members", Kind::Integer, "Members with an event in the period."),
    ("active_user_pct", Kind::Double, "Percent of members that were active; the model says of which."),
    ("activation_rate", Kind::Double, "Percent of onboarding steps ever done; NULL where there are none."),
    ("start_at", Kind::Time, "Trait created_at, else the first event."),
    ("tenure_days", Kind::Integer, "Local days from the start to today."),
    ("time_to_first", Kind::Double, "Days from the start to the first key event; NULL where there is none."),
    ("healthy_user_pct", Kind::Double, "Percent of the account's members with a green score."),
    ("healthy_days", Kind::Integer, "Length of the run of green days that ends today, at most the model's healthy_days_max."),
    ("trend", Kind::Double, "Score now - score one period ago."),
    ("trend_own", Kind::Double, "The same with today's peg for both: others' growth does not count."),
    ("direction", Kind::Text, "Of trend_own: up, flat or down; 10 points count."),
    ("churn_risk", Kind::Double, "0 to 100, from the severities of the model's risk metrics."),
    ("expansion_ready", Kind::Boolean, "Whether score, trend and seats say that it may grow."),
    ("status", Kind::Text, "The worst band over all dimensions: green, yellow or red."),
    ("stage", Kind::Text, "The first of the model's stages that holds."),
    ("days_to_renewal", Kind::Integer, "Local days from today to trait renewal_at; negative after it."),
    ("segments", Kind::Texts, "The model's segments that hold, in the model's order."),
];

#[rustfmt::skip]
const ACCOUNT_SIGNALS: &[RelationColumn] = &[
    MODEL, VERSION, AS_OF, ACCOUNT, USER,
    ("dimension", Kind::Text, "The dimension of the signal."),
    ("signal", Kind::Text, "Its name."),
    ("value", Kind::Double, "Its value."),
    ("previous", Kind::Double, "The same question one period earlier."),
    ("change", Kind::Double, "value - previous."),
    ("band", Kind::Text, "green, yellow or red; NULL where the value or the thresholds are missing."),
    ("severity", Kind::Double, "0 at green to 1 at red."),
    ("is_info", Kind::Boolean, "Whether it counts for no status."),
    ("dimension_band", Kind::Text, "The worst band of its dimension."),
];

#[rustfmt::skip]
const HEALTH_EXPLAIN: &[RelationColumn] = &[
    MODEL, VERSION, AS_OF, ACCOUNT, USER,
    ("event", Kind::Text, "The event."),
    ("position", Kind::Integer, "The weight rule of the model that it fell under, from 1."),
    ("count", Kind::Integer, "Events in the period."),
    ("counted", Kind::Integer, "Of those, how many count after the daily cap."),
    ("weight", Kind::Double, "The rule's weight."),
    ("contribution", Kind::Double, "What they add to the raw score."),
    ("share", Kind::Double, "contribution / raw; NULL where raw is 0."),
    ("points", Kind::Double, "(score - 1) * contribution / raw; 0 where raw is not above 0."),
    ("to_green", Kind::Integer, "Further counts of this event that make the score green; NULL where none can."),
];

#[rustfmt::skip]
const HEALTH_STEPS: &[RelationColumn] = &[
    MODEL, VERSION, AS_OF, ACCOUNT, USER,
    ("kind", Kind::Text, "step or feature."),
    ("position", Kind::Integer, "Its place in the model's list, from 1."),
    ("event", Kind::Text, "The event."),
    ("first_time", Kind::Time, "When it was first done; NULL is not done."),
];

#[rustfmt::skip]
const SESSIONS: &[RelationColumn] = &[
    ("account_id", Kind::Text, "The account; NULL where the events name none."),
    ("user_id", Kind::Text, "The user; NULL where the events name none."),
    ("start_at", Kind::Time, "Time of its first event."),
    ("end_at", Kind::Time, "Time of its last event."),
    ("minutes", Kind::Double, "From the first event to the last."),
    ("events", Kind::Integer, "Number of events."),
];
