//! What is published: the tables, their columns, and the SQL that makes their rows.
//!
//! `events` is not among the statements: it is written day by day from sections (`events`).

use arrow::datatypes::SchemaRef;
use vitalog_event::DAY_US;

use super::parquet::DayOf;
use crate::model::ModelBook;
use crate::parameter::Parameter;
use crate::plain::PlainTypes;
use crate::relation::Relation;
use crate::tables::TableName;

/// Days of `health_scores_daily`, at most.
const DAYS_MAX: u32 = 35;

/// A table that can be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PublishTable {
    /// Signals of every model at the instant of the snapshot.
    AccountSignals,
    /// Accounts and their traits.
    Accounts,
    /// All events.
    Events,
    /// Scores of every model at the instant of the snapshot.
    HealthScores,
    /// Scores of every model at that instant and at the same time of each day before it, over the
    /// model's period, 35 days at most.
    HealthScoresDaily,
    /// Users and their traits.
    Users,
}

impl PublishTable {
    /// All of them, by name.
    pub const ALL: [Self; 6] = [
        Self::AccountSignals,
        Self::Accounts,
        Self::Events,
        Self::HealthScores,
        Self::HealthScoresDaily,
        Self::Users,
    ];

    /// Its name in paths and catalogues.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccountSignals => "account_signals",
            Self::Accounts => "accounts",
            Self::Events => "events",
            Self::HealthScores => "health_scores",
            Self::HealthScoresDaily => "health_scores_daily",
            Self::Users => "users",
        }
    }

    /// The table of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.as_str() == name)
    }

    /// Its columns as they leave the process, without the day.
    pub(super) fn schema(self) -> SchemaRef {
        let inside = match self {
            Self::AccountSignals => Relation::AccountSignals.schema(),
            Self::Accounts => TableName::Accounts.schema(),
            Self::Events => TableName::Events.schema(),
            Self::HealthScores | Self::HealthScoresDaily => Relation::HealthScores.schema(),
            Self::Users => TableName::Users.schema(),
        };
        PlainTypes::of(&inside).schema()
    }

    /// The columns by which the rows of a file ascend, nulls last.
    pub(super) fn order(self) -> &'static [&'static str] {
        match self {
            Self::AccountSignals => &["model", "account_id", "user_id", "dimension", "signal"],
            Self::Accounts => &["account_id"],
            Self::Events => &["account_id", "user_id", "event_time", "seq"],
            Self::HealthScores => &["model", "account_id", "user_id"],
            Self::HealthScoresDaily => &["model", "as_of", "account_id", "user_id"],
            Self::Users => &["user_id"],
        }
    }

    /// The day of its rows where its instant is of `day`.
    pub(super) fn day_of(self, day: i32) -> DayOf {
        match self {
            Self::HealthScoresDaily => DayOf::Column("as_of"),
            _ => DayOf::Day(day),
        }
    }

    /// The statements whose rows, one after the other, are the table; none for `events`.
    pub(super) fn statements(self, models: &ModelBook, as_of_us: i64) -> Vec<Statement> {
        // A model at a time keeps the order: names come in byte order.
        let of_each = |relation: &str| {
            let sql = self.sorted(&format!("{relation}(model => $1, as_of => $2)"));
            models
                .names()
                .map(|name| Statement {
                    model: Some(name.to_owned()),
                    sql: sql.clone(),
                    parameters: vec![
                        Parameter::Text(name.to_owned()),
                        Parameter::TimestampUs(as_of_us),
                    ],
                })
                .collect()
        };
        match self {
            Self::Events => Vec::new(),
            Self::Accounts | Self::Users => vec![Statement {
                model: None,
                sql: self.sorted(self.as_str()),
                parameters: Vec::new(),
            }],
            Self::AccountSignals | Self::HealthScores => of_each(self.as_str()),
            Self::HealthScoresDaily => self.days_of_each(models, as_of_us),
        }
    }

    /// 24 hours are a day here: the last instant is that of the snapshot, and each UTC day has one,
    /// also where clocks change.
    fn days_of_each(self, models: &ModelBook, as_of_us: i64) -> Vec<Statement> {
        let relation = "health_history(model => $1, every => INTERVAL '24 hours', \
                        since => $2, until => $3)";
        let sql = self.sorted(relation);
        let in_force = models.names().filter_map(|name| models.in_force(name));
        in_force
            .map(|version| {
                let days = version.model.period_days.clamp(1, DAYS_MAX);
                let since_us = as_of_us - i64::from(days - 1) * DAY_US;
                Statement {
                    model: Some(version.model.name.clone()),
                    sql: sql.clone(),
                    parameters: vec![
                        Parameter::Text(version.model.name.clone()),
                        Parameter::TimestampUs(since_us),
                        Parameter::TimestampUs(as_of_us),
                    ],
                }
            })
            .collect()
    }

    fn sorted(self, from: &str) -> String {
        let keys = self.order().join(" NULLS LAST, ");
        format!("SELECT * FROM {from} ORDER BY {keys} NULLS LAST")
    }
}

/// SQL and the values of its placeholders.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// The health model that it asks, where it asks one.
    pub model: Option<String>,
    pub sql: String,
    pub parameters: Vec<Parameter>,
}
