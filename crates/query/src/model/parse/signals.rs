//! The dimensions of a model and their signals.

use super::metrics::{metric_of, read_bounds};
use super::names::Names;
use super::source::{Lined, NAME_BYTES_MAX, Source, Table};
use super::weights;
use crate::model::definition::{
    Banded, Dimension, EventMeasure, EventSet, Metric, SessionMeasure, Signal, SignalSource,
};
use crate::model::threshold::Thresholds;
use crate::tables::TableName;

/// Dimensions of a model, at most.
const DIMENSIONS_MAX: usize = 16;
/// Signals of a model, at most.
const SIGNALS_MAX: usize = 100;

pub(super) const KEYS: &[&str] = &[
    "name",
    "metric",
    "count",
    "active_days",
    "sum",
    "avg",
    "last",
    "open",
    "sessions",
    "trait",
    "sql",
    "where",
    "band_of",
    "red",
    "green",
    "info",
];

/// The keys of which a signal has exactly one.
const SOURCES: &[&str] = &[
    "metric",
    "count",
    "active_days",
    "sum",
    "avg",
    "last",
    "open",
    "sessions",
    "trait",
    "sql",
];

const MEASURES: [(&str, EventMeasure); 5] = [
    ("count", EventMeasure::Count),
    ("active_days", EventMeasure::ActiveDays),
    ("sum", EventMeasure::Sum),
    ("avg", EventMeasure::Average),
    ("last", EventMeasure::Last),
];

const BANDED: [(&str, Banded); 3] = [
    ("value", Banded::Value),
    ("change", Banded::Change),
    ("change_percent", Banded::ChangePercent),
];

const SESSIONS: [(&str, SessionMeasure); 3] = [
    ("count", SessionMeasure::Count),
    ("total_minutes", SessionMeasure::TotalMinutes),
    ("mean_minutes", SessionMeasure::MeanMinutes),
];

/// What predicates and SQL signals can name beside metrics, signals and columns of the entities.
const RESERVED: &[&str] = &[
    "band",
    "champions",
    "direction",
    "entity",
    "expansion_ready",
    "first_active",
    "last_active",
    "model",
    "model_version",
    "peg",
    "peg_n",
    "segments",
    "stage",
    "start_at",
    "status",
    "user_name",
    "user_traits",
    "version",
];

/// The only dimension of a model without dimensions.
const DEFAULT_SIGNALS: [Metric; 7] = [
    Metric::Score,
    Metric::DaysInactive,
    Metric::UsageFrequency,
    Metric::ActiveUserPct,
    Metric::FeatureAdoption,
    Metric::ActivationRate,
    Metric::TrendOwn,
];

/// What a model without dimensions has.
fn default_dimension(thresholds: &[(Metric, Thresholds)]) -> Dimension {
    let signal = |metric: Metric| Signal {
        name: metric.column().to_owned(),
        source: SignalSource::Metric(metric),
        banded: Banded::Value,
        thresholds: thresholds_of(thresholds, metric),
        is_info: false,
        line: 0,
    };
    Dimension {
        name: "product".to_owned(),
        signals: DEFAULT_SIGNALS.map(signal).to_vec(),
    }
}

fn thresholds_of(thresholds: &[(Metric, Thresholds)], metric: Metric) -> Option<Thresholds> {
    let found = thresholds.iter().find(|known| known.0 == metric)?;
    Some(found.1)
}

/// The dimensions, in order.
pub(super) fn read<'t>(
    source: &mut Source<'t>,
    model: Table<'t>,
    thresholds: &[(Metric, Thresholds)],
) -> Vec<Dimension> {
    let (mut dimensions, mut signals) = (Names::new("dimension"), Names::new("signal"));
    let mut left = SIGNALS_MAX;
    let mut read = Vec::new();
    let tables = source.tables(model, "dimension", DIMENSIONS_MAX);
    if tables.is_empty() {
        return vec![default_dimension(thresholds)];
    }
    for table in tables {
        source.check_keys(table, "a dimension", &["name", "signal"]);
        if source.value(table, "name").is_none() {
            source.fault(table.line, "a dimension needs a name");
        }
        let name = source.name(table, "name");
        let is_new = name.is_some_and(|name| dimensions.is_new(source, name));
        let tables = source.tables(table, "signal", usize::MAX);
        if source.value(table, "signal").is_none() {
            source.fault(table.line, "a dimension needs a [[dimension.signal]]");
        }
        if let Some(past) = tables.get(left) {
            let message = format!("a model has at most {SIGNALS_MAX} signals");
            source.fault(past.line, message);
        }
        let taken = &tables[..tables.len().min(left)];
        left -= taken.len();
        let mut of_dimension = Vec::new();
        for signal in taken {
            of_dimension.extend(read_signal(source, *signal, thresholds, &mut signals));
        }
        if let Some(name) = name.filter(|_| is_new) {
            read.push(Dimension {
                name: name.value.to_owned(),
                signals: of_dimension,
            });
        }
    }
    read
}

fn read_signal<'t>(
    source: &mut Source<'t>,
    table: Table<'t>,
    thresholds: &[(Metric, Thresholds)],
    names: &mut Names<'_>,
) -> Option<Signal> {
    source.check_keys(table, "a signal", KEYS);
    let banded = source
        .choice(table, "band_of", &BANDED)
        .unwrap_or(Banded::Value);
    let is_info = source.boolean(table, "info").unwrap_or(false);
    let read = read_source(source, table);
    let name = read_name(source, table, read.as_ref());
    let what = match name {
        Some(name) => format!("signal \"{}\"", name.value),
        None => "the signal".to_owned(),
    };
    let is_new = name.is_some_and(|name| names.is_new(source, name));
    let bounds = read_bounds(source, table, &what);
    let own = read.as_ref().zip(bounds).and_then(|(read, bounds)| {
        let inherited = match read {
            SignalSource::Metric(metric) if banded == Banded::Value => {
                thresholds_of(thresholds, *metric)
            }
            _ => None,
        };
        let own = bounds.or(inherited);
        if own.is_none() && !is_info {
            let message = format!("{what} needs red and green, or info = true");
            source.fault(table.line, message);
        }
        own
    });
    let name = name.filter(|_| is_new)?;
    Some(Signal {
        name: name.value.to_owned(),
        source: read?,
        banded,
        thresholds: own,
        is_info,
        line: table.line,
    })
}

/// The name of a signal: its own, or that of its metric.
fn read_name<'t>(
    source: &mut Source<'t>,
    table: Table<'t>,
    read: Option<&SignalSource>,
) -> Option<Lined<&'t str>> {
    let metric = match read {
        Some(SignalSource::Metric(metric)) => Some(*metric),
        _ => None,
    };
    let Some(found) = source.value(table, "name") else {
        if metric.is_none() && source.value(table, "metric").is_none() {
            source.fault(table.line, "a signal needs a name");
        }
        let line = table.line;
        return metric.map(|metric| Lined {
            value: metric.column(),
            line,
        });
    };
    let name = source.text(table, "name")?;
    let is_letter = |byte: u8| byte.is_ascii_lowercase();
    let is_name = name.value.len() <= NAME_BYTES_MAX
        && name.value.bytes().next().is_some_and(is_letter)
        && name
            .value
            .bytes()
            .all(|byte| is_letter(byte) || byte.is_ascii_digit() || byte == b'_');
    if !is_name {
        let rule = "1 to 64 of a-z, 0-9 and _, the first a letter";
        source.refuse(found, rule);
        return None;
    }
    let is_own = metric.is_some_and(|metric| metric.column() == name.value);
    if !is_own && let Some(owner) = reserved(name.value) {
        let message = format!("a signal cannot be named {}: {owner}", name.value);
        source.fault(name.line, message);
        return None;
    }
    Some(name)
}

/// What has this name already.
fn reserved(name: &str) -> Option<String> {
    if Metric::of(name).is_some() {
        return Some("this is a metric".to_owned());
    }
    for table in [TableName::Accounts, TableName::Users] {
        if table.schema().column_with_name(name).is_some() {
            return Some(format!("this is a column of {}", table.as_str()));
        }
    }
    RESERVED
        .contains(&name)
        .then(|| "this name is reserved".to_owned())
}

fn read_source<'t>(source: &mut Source<'t>, table: Table<'t>) -> Option<SignalSource> {
    let present: Vec<_> = SOURCES
        .iter()
        .filter_map(|key| source.value(table, key))
        .collect();
    let found = match present.as_slice() {
        [found] => *found,
        [] => {
            let message = format!("a signal needs one of {}", SOURCES.join(", "));
            source.fault(table.line, message);
            return None;
        }
        [.., last] => {
            let line = last.line;
            let keys: Vec<&str> = present.iter().map(|found| found.key).collect();
            let message = format!("a signal has one source, this has {}", keys.join(" and "));
            source.fault(line, message);
            return None;
        }
    };
    let measure = MEASURES.iter().find(|measure| measure.0 == found.key);
    if let Some(&(_, measure)) = measure {
        let events = weights::read_events(source, found);
        let filter = source.sql(table, "where");
        return Some(SignalSource::Events {
            measure,
            events: events?,
            filter,
        });
    }
    if let Some(filter) = source.value(table, "where") {
        let keys = MEASURES.map(|measure| measure.0).join(", ");
        source.fault(filter.line, format!("where goes only with {keys}"));
    }
    match found.key {
        "metric" => {
            let value = source.text(table, "metric")?;
            metric_of(source, value).map(SignalSource::Metric)
        }
        "open" => read_open(source, table),
        "sessions" => source
            .choice(table, "sessions", &SESSIONS)
            .map(SignalSource::Sessions),
        "trait" => {
            let name = source.name(table, "trait")?;
            Some(SignalSource::Trait(name.value.to_owned()))
        }
        _ => source.sql(table, "sql").map(SignalSource::Sql),
    }
}

fn read_open<'t>(source: &mut Source<'t>, table: Table<'t>) -> Option<SignalSource> {
    let form = "{ opened = \"…\", closed = \"…\" }";
    let open = source.table(table, "open", form)?;
    source.check_keys(open, "open", &["opened", "closed"]);
    let mut side = |key: &str| {
        let Some(found) = source.value(open, key) else {
            source.fault(open.line, format!("open needs {key}"));
            return None;
        };
        match weights::read_events(source, found)? {
            EventSet::Named(events) => Some((events, found.line)),
            EventSet::All => {
                source.refuse(found, "events by name");
                None
            }
        }
    };
    let (opened, closed) = (side("opened"), side("closed"));
    let ((opened, _), (closed, line)) = (opened?, closed?);
    if let Some(both) = closed.iter().find(|event| opened.contains(event)) {
        let shown = both.escape_debug();
        source.fault(line, format!("\"{shown}\" both opens and closes"));
        return None;
    }
    Some(SignalSource::Open {
        opened: EventSet::Named(opened),
        closed: EventSet::Named(closed),
    })
}
