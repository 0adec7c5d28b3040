//! The tables by name: columns, types and what they mean, in one place.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef};
use vitalog_event::schema::timestamp_type;

use crate::model::columns::{
    HEALTH_FEATURES, HEALTH_MODELS, HEALTH_STEPS_CATALOGUE, HEALTH_WEIGHTS,
};
use crate::plain::plain_type;

/// A table as catalogues show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDescription {
    /// The name in SQL.
    pub name: String,
    /// What one row is.
    pub comment: String,
    /// In order.
    pub columns: Vec<ColumnDescription>,
}

/// A column as catalogues show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDescription {
    /// The name in SQL.
    pub name: String,
    /// The type as which it leaves the process.
    pub data_type: DataType,
    /// Whether it may be NULL.
    pub is_nullable: bool,
    /// What it means.
    pub comment: String,
}

/// One of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum TableName {
    Accounts,
    EventCatalog,
    Events,
    HealthFeatures,
    HealthModels,
    HealthStepsCatalogue,
    HealthWeights,
    Memberships,
    Users,
}

impl TableName {
    /// All tables, by name.
    pub const ALL: [Self; 9] = [
        Self::Accounts,
        Self::EventCatalog,
        Self::Events,
        Self::HealthFeatures,
        Self::HealthModels,
        Self::HealthStepsCatalogue,
        Self::HealthWeights,
        Self::Memberships,
        Self::Users,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::EventCatalog => "event_catalog",
            Self::Events => "events",
            Self::HealthFeatures => "health_features",
            Self::HealthModels => "health_models",
            Self::HealthStepsCatalogue => "health_steps_catalogue",
            Self::HealthWeights => "health_weights",
            Self::Memberships => "memberships",
            Self::Users => "users",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.as_str() == name)
    }

    /// The schema inside the process.
    pub fn schema(self) -> SchemaRef {
        static SCHEMAS: LazyLock<Vec<SchemaRef>> = LazyLock::new(|| {
            TableName::ALL
                .into_iter()
                .map(|table| Arc::new(schema_of(table.columns())))
                .collect()
        });
        match self {
            Self::Events => vitalog_event::schema::events_view_schema(),
            derived => Arc::clone(&SCHEMAS[derived as usize]),
        }
    }

    fn comment(self) -> &'static str {
        match self {
            Self::Accounts => {
                "One row an account: every account that an event names, with its traits. Of each \
                 trait the value of the latest $group event (by event_time, then seq) that sets \
                 it; null unsets it."
            }
            Self::EventCatalog => "One row an event name.",
            Self::Events => "One row an event.",
            Self::HealthFeatures => "One row a feature of a version of a health model.",
            Self::HealthModels => {
                "One row a version of a health model. Those with is_current are in force."
            }
            Self::HealthStepsCatalogue => {
                "One row an onboarding step of a version of a health model."
            }
            Self::HealthWeights => "One row an event of a weight of a version of a health model.",
            Self::Memberships => {
                "One row an (account, user) pair that events name together. Those with removed_at \
                 IS NULL are members now."
            }
            Self::Users => {
                "One row a user: every user that an event names, with its traits. Of each trait \
                 the value of the latest $identify event (by event_time, then seq) that sets it; \
                 null unsets it."
            }
        }
    }

    fn columns(self) -> &'static [Column] {
        match self {
            Self::Accounts => ACCOUNTS,
            Self::EventCatalog => EVENT_CATALOG,
            Self::Events => EVENTS,
            Self::HealthFeatures => HEALTH_FEATURES,
            Self::HealthModels => HEALTH_MODELS,
            Self::HealthStepsCatalogue => HEALTH_STEPS_CATALOGUE,
            Self::HealthWeights => HEALTH_WEIGHTS,
            Self::Memberships => MEMBERSHIPS,
            Self::Users => USERS,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Texts,
    Time,
    Integer,
    Double,
    Boolean,
    Interval,
}

impl Kind {
    pub fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Texts => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, false))),
            Self::Time => timestamp_type(),
            Self::Integer => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
        }
    }
}

/// Name, type, whether it may be NULL, meaning.
pub(crate) type Column = (&'static str, Kind, bool, &'static str);

const EVENTS: &[Column] = &[
    (
        "event_id",
        Kind::Text,
        false,
        "The client's idempotency key.",
    ),
    ("event_time", Kind::Time, false, "When it happened."),
    (
        "received_at",
        Kind::Time,
        false,
        "When the store took it; never decreases with seq.",
    ),
    (
        "seq",
        Kind::Integer,
        false,
        "Commit order, from 1; a read at seq <= n is a point in time.",
    ),
    (
        "event",
        Kind::Text,
        false,
        "The event's name; names that start with $ are reserved.",
    ),
    ("account_id", Kind::Text, true, "The customer account."),
    (
        "user_id",
        Kind::Text,
        true,
        "The person, who may act in several accounts.",
    ),
    (
        "value",
        Kind::Double,
        true,
        "An optional measure: an amount, a duration.",
    ),
    (
        "properties",
        Kind::Text,
        true,
        "Anything else, as canonical JSON.",
    ),
];

const ACCOUNTS: &[Column] = &[
    ("account_id", Kind::Text, false, "The account."),
    ("name", Kind::Text, true, "Trait name."),
    (
        "created_at",
        Kind::Time,
        true,
        "Trait created_at; NULL where it is no time.",
    ),
    ("plan", Kind::Text, true, "Trait plan."),
    (
        "seats",
        Kind::Integer,
        true,
        "Trait seats; NULL where it is no whole number.",
    ),
    (
        "mrr",
        Kind::Double,
        true,
        "Trait mrr: monthly recurring revenue.",
    ),
    ("renewal_at", Kind::Time, true, "Trait renewal_at."),
    ("churned_at", Kind::Time, true, "Trait churned_at."),
    ("churn_type", Kind::Text, true, "Trait churn_type."),
    (
        "traits",
        Kind::Text,
        true,
        "All winning traits, as canonical JSON; NULL where none is set.",
    ),
    (
        "first_seen_at",
        Kind::Time,
        true,
        "Time of the earliest event; $group and $identify do not count.",
    ),
    (
        "last_seen_at",
        Kind::Time,
        true,
        "Time of the latest event; $group and $identify do not count.",
    ),
    (
        "events",
        Kind::Integer,
        false,
        "Number of events; $group and $identify do not count.",
    ),
];

const USERS: &[Column] = &[
    ("user_id", Kind::Text, false, "The user."),
    ("name", Kind::Text, true, "Trait name."),
    ("email", Kind::Text, true, "Trait email."),
    ("role", Kind::Text, true, "Trait role."),
    (
        "created_at",
        Kind::Time,
        true,
        "Trait created_at; NULL where it is no time.",
    ),
    (
        "traits",
        Kind::Text,
        true,
        "All winning traits, as canonical JSON; NULL where none is set.",
    ),
    (
        "first_seen_at",
        Kind::Time,
        true,
        "Time of the earliest event; $group and $identify do not count.",
    ),
    (
        "last_seen_at",
        Kind::Time,
        true,
        "Time of the latest event; $group and $identify do not count.",
    ),
    (
        "events",
        Kind::Integer,
        false,
        "Number of events; $group and $identify do not count.",
    ),
];

const MEMBERSHIPS: &[Column] = &[
    ("account_id", Kind::Text, false, "The account."),
    ("user_id", Kind::Text, false, "The user."),
    (
        "first_seen_at",
        Kind::Time,
        true,
        "Time of the pair's earliest event; $group and $identify do not count.",
    ),
    (
        "last_seen_at",
        Kind::Time,
        true,
        "Time of the pair's latest event; $group and $identify do not count.",
    ),
    (
        "removed_at",
        Kind::Time,
        true,
        "When the user left: trait removed_at of a $group event that names the user, where that is the pair's latest event of all.",
    ),
    (
        "events",
        Kind::Integer,
        false,
        "Number of events; $group and $identify do not count.",
    ),
];

const EVENT_CATALOG: &[Column] = &[
    ("event", Kind::Text, false, "The event's name."),
    ("first_at", Kind::Time, false, "Time of its earliest event."),
    ("last_at", Kind::Time, false, "Time of its latest event."),
    ("count", Kind::Integer, false, "Number of events."),
    (
        "property_keys",
        Kind::Texts,
        false,
        "Top-level keys of properties that were seen, in byte order.",
    ),
];

fn schema_of(columns: &[Column]) -> Schema {
    let field =
        |&(name, kind, is_nullable, _): &Column| Field::new(name, kind.data_type(), is_nullable);
    Schema::new(columns.iter().map(field).collect::<Vec<_>>())
}

/// Every table with its columns, by name.
pub(crate) fn describe() -> Vec<TableDescription> {
    let describe = |table: TableName| TableDescription {
        name: table.as_str().to_owned(),
        comment: table.comment().to_owned(),
        columns: table
            .columns()
            .iter()
            .map(|&(name, kind, is_nullable, comment)| ColumnDescription {
                name: name.to_owned(),
                data_type: plain_type(&kind.data_type()),
                is_nullable,
                comment: comment.to_owned(),
            })
            .collect(),
    };
    TableName::ALL.into_iter().map(describe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_the_schema() {
        for (table, description) in TableName::ALL.into_iter().zip(describe()) {
            let schema = table.schema();
            assert_eq!(
                schema.fields().len(),
                description.columns.len(),
                "{table:?}"
            );
            for (field, column) in schema.fields().iter().zip(&description.columns) {
                assert_eq!(field.name(), &column.name);
                assert_eq!(
                    plain_type(field.data_type()),
                    column.data_type,
                    "{}",
                    column.name
                );
                assert_eq!(field.is_nullable(), column.is_nullable, "{}", column.name);
            }
        }
    }
}
