//! From the text of a model, TOML, to a checked [`Model`].
//!
//! Every fault names its line, and all are found at once. Where TOML itself is broken only that is
//! said, because the rest may be misread.

mod fault;
mod metrics;
mod names;
mod signals;
mod source;
mod weights;

use chrono_tz::{TZ_VARIANTS, Tz};
use toml::de::DeTable;

pub use self::fault::ModelFault;
pub(crate) use self::fault::ModelFaults;
use self::metrics::{read_churn_risk, read_expansion, read_thresholds};
use self::names::{Names, did_you_mean};
use self::source::{Lined, Source, Table};
use super::definition::{
    Entity, EventSet, MemberBase, Method, Model, Predicate, WEIGHT_UNITS, Weight,
};

/// Bytes of a model's text, at most.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Bytes of a description, at most.
const DESCRIPTION_BYTES_MAX: usize = 4 << 10;
/// Features or steps of a model, at most.
const CATALOGUE_MAX: usize = 1_000;
/// Stages, or segments, of a model, at most.
const PREDICATES_MAX: usize = 100;
/// Most days of a period, and of a look back.
const DAYS_MAX: u32 = 366;
/// Longest gap of a session, minutes: a week.
const SESSION_GAP_MINUTES_MAX: u32 = 7 * 24 * 60;
/// Largest `min_population`.
const POPULATION_MAX: i64 = 1_000_000_000;

const METHODS: [(&str, Method); 3] = [
    ("peg", Method::Peg),
    ("winsor", Method::Winsor),
    ("rank", Method::Rank),
];

const MEMBER_BASES: [(&str, MemberBase); 3] = [
    ("known", MemberBase::Known),
    ("seen_90_days", MemberBase::Seen90Days),
    ("seats", MemberBase::Seats),
];

const MODEL_KEYS: &[&str] = &[
    "name",
    "description",
    "entity",
    "priority",
    "filter",
    "event_filter",
    "period_days",
    "time_zone",
    "percentile",
    "curve",
    "method",
    "peg_floor",
    "min_population",
    "member_base",
    "session_gap_minutes",
    "healthy_days_max",
    "key_event",
    "features",
    "steps",
    "weight",
    "thresholds",
    "dimension",
    "stage",
    "segment",
    "churn_risk",
    "expansion",
];

impl Entity {
    const NAMES: [(&'static str, Self); 3] = [
        ("account", Self::Account),
        ("user", Self::User),
        ("member", Self::Member),
    ];

    /// The name in models and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::User => "user",
            Self::Member => "member",
        }
    }

    /// The entity of a name, exactly as [`Entity::as_str`] writes it.
    pub fn of(name: &str) -> Option<Self> {
        let found = Self::NAMES.into_iter().find(|entity| entity.0 == name)?;
        Some(found.1)
    }
}

/// Reads a model.
///
/// # Errors
/// All that is wrong with it, in line order.
pub(crate) fn parse(text: &str) -> Result<Model, ModelFaults> {
    let mut source = Source::new(text);
    if text.len() > TEXT_BYTES_MAX {
        let bytes = text.len();
        source.fault(
            1,
            format!("the model has {bytes} bytes, at most {TEXT_BYTES_MAX}"),
        );
        return Err(refused(source));
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let at = error.span().map_or(text.len(), |span| span.start);
            source.fault(source.line_of(at), error.message());
        }
        return Err(refused(source));
    }
    let model = Source::root(document.get_ref());
    let parsed = read_model(&mut source, model);
    let event_lines = source.finish()?;
    // Only a name that was refused is missing, and that is a fault.
    let parsed = parsed.expect("a model without faults has a name");
    Ok(Model {
        event_lines,
        ..parsed
    })
}

fn refused(source: Source<'_>) -> ModelFaults {
    source.finish().expect_err("a fault was noted")
}

fn read_model<'t>(source: &mut Source<'t>, model: Table<'t>) -> Option<Model> {
    source.check_keys(model, "a model", MODEL_KEYS);
    let name = read_name(source, model);
    let thresholds = read_thresholds(source, model);
    let gap_range = 1..=SESSION_GAP_MINUTES_MAX;
    let min_population = source.integer(model, "min_population", 1..=POPULATION_MAX);
    let rest = Model {
        name: String::new(),
        description: read_description(source, model),
        entity: source
            .choice(model, "entity", &Entity::NAMES)
            .unwrap_or_default(),
        priority: source.integer(model, "priority", i64::MIN..=i64::MAX),
        filter: source.sql(model, "filter"),
        event_filter: source.sql(model, "event_filter"),
        period_days: source
            .count(model, "period_days", 1..=DAYS_MAX)
            .unwrap_or(30),
        time_zone: read_time_zone(source, model),
        percentile: source
            .number(model, "percentile", "a number above 0 and below 1", |p| {
                p > 0.0 && p < 1.0
            })
            .unwrap_or(0.9),
        curve: source.number(model, "curve", "a number, 0 or more", |curve| curve >= 0.0),
        method: source
            .choice(model, "method", &METHODS)
            .unwrap_or(Method::Peg),
        peg_floor: source.number(model, "peg_floor", "a number above 0", |floor| floor > 0.0),
        min_population: min_population.map_or(1, i64::unsigned_abs),
        weights: weights::read(source, model).unwrap_or_else(|| vec![every_event()]),
        features: read_catalogue(source, model, "features"),
        steps: read_catalogue(source, model, "steps"),
        key_event: read_key_event(source, model),
        member_base: source
            .choice(model, "member_base", &MEMBER_BASES)
            .unwrap_or(MemberBase::Known),
        session_gap_minutes: source
            .count(model, "session_gap_minutes", gap_range)
            .unwrap_or(30),
        healthy_days_max: source
            .count(model, "healthy_days_max", 1..=DAYS_MAX)
            .unwrap_or(90),
        dimensions: signals::read(source, model, &thresholds),
        stages: read_predicates(source, model, "stage"),
        segments: read_predicates(source, model, "segment"),
        churn_risk: read_churn_risk(source, model, &thresholds),
        expansion: read_expansion(source, model),
        thresholds,
        event_lines: Vec::new(),
    };
    name.map(|name| Model { name, ..rest })
}

/// The weight of a model without weights.
fn every_event() -> Weight {
    Weight {
        events: EventSet::All,
        filter: None,
        units: WEIGHT_UNITS,
        times_value: false,
        daily_cap: None,
    }
}

fn read_name<'t>(source: &mut Source<'t>, model: Table<'t>) -> Option<String> {
    let Some(found) = source.value(model, "name") else {
        source.fault(1, "the model has no name; write name = \"…\" at its top");
        return None;
    };
    let name = source.text(model, "name")?.value;
    let is_small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_name = name.len() <= source::NAME_BYTES_MAX
        && name.bytes().next().is_some_and(is_small)
        && name
            .bytes()
            .all(|byte| is_small(byte) || matches!(byte, b'_' | b'-'));
    if !is_name {
        let rule = "1 to 64 of a-z, 0-9, _ and -, the first a letter or digit";
        source.refuse(found, rule);
        return None;
    }
    Some(name.to_owned())
}

fn read_description<'t>(source: &mut Source<'t>, model: Table<'t>) -> Option<String> {
    let Lined { value, line } = source.text(model, "description")?;
    if value.len() > DESCRIPTION_BYTES_MAX {
        let bytes = value.len();
        let message = format!("the description has {bytes} bytes, at most {DESCRIPTION_BYTES_MAX}");
        source.fault(line, message);
    }
    Some(value.to_owned())
}

/// Features or steps.
fn read_catalogue<'t>(source: &mut Source<'t>, model: Table<'t>, key: &str) -> Vec<String> {
    let found = source.value(model, key);
    found.map_or_else(Vec::new, |found| source.events(found, CATALOGUE_MAX))
}

fn read_key_event<'t>(source: &mut Source<'t>, model: Table<'t>) -> Option<String> {
    let event = source.text(model, "key_event")?;
    source.event(event)
}

fn read_time_zone<'t>(source: &mut Source<'t>, model: Table<'t>) -> String {
    let Some(Lined { value, line }) = source.text(model, "time_zone") else {
        return "UTC".to_owned();
    };
    if value.parse::<Tz>().is_err() {
        let hint = did_you_mean(value, TZ_VARIANTS.iter().map(|zone| zone.name()));
        let shown = value.escape_debug();
        source.fault(
            line,
            format!("time_zone \"{shown}\" is no IANA time zone{hint}"),
        );
    }
    value.to_owned()
}

/// Stages or segments.
fn read_predicates<'t>(source: &mut Source<'t>, model: Table<'t>, key: &str) -> Vec<Predicate> {
    let mut names = Names::new(key);
    let mut predicates = Vec::new();
    for table in source.tables(model, key, PREDICATES_MAX) {
        source.check_keys(table, &format!("a {key}"), &["name", "when"]);
        for needed in ["name", "when"] {
            if source.value(table, needed).is_none() {
                source.fault(table.line, format!("a {key} needs {needed}"));
            }
        }
        let name = source.name(table, "name");
        let when = source.sql(table, "when");
        if let Some(name) = name
            && names.is_new(source, name)
            && let Some(when) = when
        {
            let name = name.value.to_owned();
            predicates.push(Predicate { name, when });
        }
    }
    predicates
}

#[cfg(test)]
mod tests;
