//! The arguments of the relations: all named, all with defaults.

use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;

use crate::error::QueryError;
use crate::tables::Kind;

/// One argument. Its meaning is the same in every relation that takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Argument {
    Model,
    AsOf,
    KnownAt,
    Version,
    Entity,
    Account,
    User,
    Every,
    Since,
    Until,
    Gap,
}

/// Name, type, default and meaning as people read them.
pub(crate) struct ArgumentText {
    pub name: &'static str,
    pub data_type: DataType,
    pub default: &'static str,
    pub meaning: &'static str,
}

impl Argument {
    pub const ALL: [Self; 11] = [
        Self::Model,
        Self::AsOf,
        Self::KnownAt,
        Self::Version,
        Self::Entity,
        Self::Account,
        Self::User,
        Self::Every,
        Self::Since,
        Self::Until,
        Self::Gap,
    ];

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|argument| argument.text().name == name)
    }

    pub fn name(self) -> &'static str {
        self.text().name
    }

    pub fn text(self) -> ArgumentText {
        let text = |name, kind: Kind, default, meaning| ArgumentText {
            name,
            data_type: kind.data_type(),
            default,
            meaning,
        };
        match self {
            Self::Model => text("model", Kind::Text, "'default'", "The health model."),
            Self::AsOf => text(
                "as_of",
                Kind::Time,
                "now()",
                "Events at or after this instant do not exist; a DATE is the end of that day in the model's time zone.",
            ),
            Self::KnownAt => text(
                "known_at",
                Kind::Time,
                "the end of the log",
                "Events, traits and models received after this instant do not exist.",
            ),
            Self::Version => text(
                "version",
                Kind::Integer,
                "the one in force at known_at",
                "The version of the model.",
            ),
            Self::Entity => text(
                "entity",
                Kind::Text,
                "the model's",
                "Who is a row: 'account', 'user' or 'member'.",
            ),
            Self::Account => text("account", Kind::Text, "all", "Only this account."),
            Self::User => text("user", Kind::Text, "all", "Only this user."),
            Self::Every => text(
                "every",
                Kind::Text,
                "'week'",
                "The step between instants: 'day', 'week', 'month', 'quarter', 'year' or an interval.",
            ),
            Self::Since => text(
                "since",
                Kind::Time,
                "twelve steps before until",
                "The first instant.",
            ),
            Self::Until => text("until", Kind::Time, "now()", "The last instant."),
            Self::Gap => text(
                "gap",
                Kind::Interval,
                "INTERVAL '30 minutes'",
                "The silence after which the next event begins another session.",
            ),
        }
    }
}

/// An error that names the relation and the argument.
pub(super) fn refused(
    relation: &str,
    argument: Argument,
    why: impl std::fmt::Display,
) -> DataFusionError {
    invalid(format!("{relation}: {}: {why}", argument.name()))
}

pub(super) fn invalid(message: impl Into<String>) -> DataFusionError {
    QueryError::invalid(message).into()
}
