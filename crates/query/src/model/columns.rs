//! The columns of the tables that show models.

use crate::tables::{Column, Kind};

pub(crate) const HEALTH_MODELS: &[Column] = &[
    ("name", Kind::Text, false, "The model's name."),
    (
        "version",
        Kind::Integer,
        false,
        "1, 2, 3 … for each stored change of the name; 0 is built in.",
    ),
    (
        "valid_from",
        Kind::Time,
        true,
        "When it was applied; NULL for the built-in one.",
    ),
    (
        "is_current",
        Kind::Boolean,
        false,
        "Whether it is the version in force.",
    ),
    (
        "entity",
        Kind::Text,
        false,
        "Who is a row of its scores: account, user or member.",
    ),
    (
        "priority",
        Kind::Integer,
        true,
        "Of the models with a priority the one of the lowest number takes an entity; NULL stands alone.",
    ),
    (
        "period_days",
        Kind::Integer,
        false,
        "Local calendar days of the period.",
    ),
    ("time_zone", Kind::Text, false, "Where its days begin."),
    (
        "percentile",
        Kind::Double,
        false,
        "The raw score at this percentile, in (0, 1), is worth 100.",
    ),
    (
        "description",
        Kind::Text,
        true,
        "What its author says of it.",
    ),
    (
        "content_hash",
        Kind::Text,
        false,
        "Hash of the text: XXH3-128, 32 hexadecimal digits.",
    ),
    ("text", Kind::Text, false, "The TOML as it was applied."),
];

const MODEL: Column = ("model", Kind::Text, false, "The model's name.");
const VERSION: Column = ("version", Kind::Integer, false, "The model's version.");
const VALID_FROM: Column = (
    "valid_from",
    Kind::Time,
    true,
    "When that version was applied; NULL for the built-in one.",
);
const IS_CURRENT: Column = (
    "is_current",
    Kind::Boolean,
    false,
    "Whether that version is in force.",
);

pub(crate) const HEALTH_WEIGHTS: &[Column] = &[
    MODEL,
    VERSION,
    VALID_FROM,
    IS_CURRENT,
    (
        "position",
        Kind::Integer,
        false,
        "The rule, from 1: an event counts by the first that it matches.",
    ),
    (
        "event",
        Kind::Text,
        false,
        "The event's name; * for every event.",
    ),
    (
        "filter",
        Kind::Text,
        true,
        "SQL over the columns of events that must hold.",
    ),
    (
        "weight",
        Kind::Double,
        false,
        "What one event adds to the raw score.",
    ),
    (
        "times_value",
        Kind::Boolean,
        false,
        "Whether the weight is multiplied by the event's value.",
    ),
    (
        "daily_cap",
        Kind::Integer,
        true,
        "Most events of a member and local day that count.",
    ),
];

pub(crate) const HEALTH_FEATURES: &[Column] = &[
    MODEL,
    VERSION,
    VALID_FROM,
    IS_CURRENT,
    (
        "position",
        Kind::Integer,
        false,
        "The place in the list, from 1.",
    ),
    (
        "event",
        Kind::Text,
        false,
        "The event that shows that the feature was used.",
    ),
];

pub(crate) const HEALTH_STEPS_CATALOGUE: &[Column] = &[
    MODEL,
    VERSION,
    VALID_FROM,
    IS_CURRENT,
    (
        "position",
        Kind::Integer,
        false,
        "The place in the list, from 1.",
    ),
    (
        "event",
        Kind::Text,
        false,
        "The event that shows that the step was done.",
    ),
];
