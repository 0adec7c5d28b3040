//! The signals of a model: value, previous value, band and severity of each, the bands of the
//! dimensions, and what follows from them: status, stage, segments.

use datafusion::error::DataFusionError;

use super::layers::Origin;
use super::population;
use super::scores::ScoreQuery;
use super::sources::{PREVIOUS, Source};
use super::{Script, doubles, text};
use crate::model::{Banded, EventMeasure, Metric, Model, Signal, SignalSource, SqlText};
use crate::relation::natives;
use crate::relation::question::Question;
use crate::relation::{moment::Moment, scope::Scope};

/// What stands before a signal's name in the columns that follow from it.
pub(super) const BAND: &str = "$band:";
const BANDED: &str = "$banded:";
const SEVERITY: &str = "$severity:";
/// A value of SQL that may be NaN, where it divides zero by zero.
const UNCHECKED: &str = "$unchecked:";
/// And before a dimension's.
const DIMENSION: &str = "$dimension:";

fn formula(sql: String, needs: Vec<String>) -> Origin<Source> {
    Origin::Formula { sql, needs }
}

impl ScoreQuery<'_> {
    /// The origin of a column that the model defines; `None` for names that are none.
    pub(super) fn signal_column(&self, name: &str) -> Option<Origin<Source>> {
        let model = self.question.model();
        if let Some(signal) = name.strip_prefix(BAND).and_then(|name| self.signal(name)) {
            return Some(band(signal));
        }
        if let Some(signal) = name
            .strip_prefix(SEVERITY)
            .and_then(|name| self.signal(name))
        {
            return Some(severity(signal));
        }
        if let Some(signal) = name.strip_prefix(BANDED).and_then(|name| self.signal(name)) {
            return Some(banded(signal));
        }
        if let Some(signal) = name
            .strip_prefix(UNCHECKED)
            .and_then(|name| self.signal(name))
            && let SignalSource::Sql(sql) = &signal.source
        {
            let value = format!("CAST({} AS DOUBLE)", doubles::expression(sql));
            return Some(formula(value, self.names_in(sql)));
        }
        if let Some(dimension) = name.strip_prefix(DIMENSION) {
            let dimension = model
                .dimensions
                .iter()
                .find(|known| known.name == dimension)?;
            let counted = dimension.signals.iter().filter(|signal| !signal.is_info);
            let bands: Vec<String> = counted
                .map(|signal| format!("{BAND}{}", signal.name))
                .collect();
            return Some(worst(bands));
        }
        match name {
            "status" => {
                let dimensions = model.dimensions.iter();
                Some(worst(
                    dimensions
                        .map(|dimension| format!("{DIMENSION}{}", dimension.name))
                        .collect(),
                ))
            }
            "stage" => Some(self.stage()),
            "segments" => Some(self.segments()),
            signal => self.signal(signal).map(|signal| self.value(signal)),
        }
    }

    fn value(&self, signal: &Signal) -> Origin<Source> {
        match &signal.source {
            SignalSource::Metric(metric) => {
                let column = metric.column();
                formula(format!("CAST({column} AS DOUBLE)"), vec![column.to_owned()])
            }
            SignalSource::Events {
                measure: EventMeasure::Last,
                ..
            }
            | SignalSource::Open { .. } => Origin::Source(Source::History),
            SignalSource::Events { .. } => Origin::Source(Source::Usage),
            SignalSource::Sessions(_) => Origin::Source(Source::Sessions),
            SignalSource::Trait(name) => {
                let name = text::text(name);
                let today = self.today().unwrap_or_default();
                formula(
                    format!(
                        "coalesce(trait_number(traits, {name}), \
                         CAST({today} - local_day(trait_time(traits, {name})) AS DOUBLE))"
                    ),
                    vec!["traits".to_owned()],
                )
            }
            SignalSource::Sql(_) => {
                let unchecked = format!("{UNCHECKED}{}", signal.name);
                let name = text::name(&unchecked);
                let sql = format!("CASE WHEN NOT isnan({name}) THEN {name} END");
                formula(sql, vec![unchecked])
            }
        }
    }

    /// The first predicate that holds.
    fn stage(&self) -> Origin<Source> {
        let stages = &self.question.model().stages;
        if stages.is_empty() {
            return formula("CAST(NULL AS VARCHAR)".to_owned(), vec![]);
        }
        let branches: Vec<String> = stages
            .iter()
            .map(|stage| {
                let when = doubles::expression(&stage.when);
                format!("WHEN {when} THEN {}", text::text(&stage.name))
            })
            .collect();
        let needs = stages.iter().flat_map(|stage| self.names_in(&stage.when));
        formula(format!("CASE {} END", branches.join(" ")), needs.collect())
    }

    fn segments(&self) -> Origin<Source> {
        let segments = &self.question.model().segments;
        if segments.is_empty() {
            return formula("arrow_cast(make_array(), 'List(Utf8)')".to_owned(), vec![]);
        }
        let holds: Vec<String> = segments
            .iter()
            .map(|segment| doubles::expression(&segment.when))
            .collect();
        let needs = segments
            .iter()
            .flat_map(|segment| self.names_in(&segment.when));
        formula(
            format!("segment_names({})", holds.join(", ")),
            needs.collect(),
        )
    }

    /// The columns that SQL of a model may mean: every word in it that is one.
    fn names_in(&self, sql: &SqlText) -> Vec<String> {
        let is_column = |name: &String| {
            self.signal(name).is_some()
                || is_metric_column(name)
                || population::has_column(self.question.entity, name)
        };
        super::words(&sql.sql)
            .into_iter()
            .filter(is_column)
            .collect()
    }
}

/// Columns of `health_scores` that SQL of a model may use.
pub(in crate::relation) fn is_metric_column(name: &str) -> bool {
    const OTHERS: [&str; 9] = [
        "peg",
        "peg_n",
        "band",
        "first_active",
        "last_active",
        "start_at",
        "direction",
        "expansion_ready",
        "status",
    ];
    Metric::of(name).is_some() || OTHERS.contains(&name) || name == "stage"
}

fn worst(bands: Vec<String>) -> Origin<Source> {
    let columns: Vec<String> = bands.iter().map(|band| text::name(band)).collect();
    formula(text::worst(&columns), bands)
}

/// What the thresholds of a signal are held against.
fn banded(signal: &Signal) -> Origin<Source> {
    let previous = format!("{PREVIOUS}{}", signal.name);
    let (value, before) = (text::name(&signal.name), text::name(&previous));
    match signal.banded {
        Banded::Value => formula(value, vec![signal.name.clone()]),
        Banded::Change => formula(
            format!("{value} - {before}"),
            vec![signal.name.clone(), previous],
        ),
        Banded::ChangePercent => formula(
            format!("ratio(100.0 * ({value} - {before}), {before})"),
            vec![signal.name.clone(), previous],
        ),
    }
}

fn band(signal: &Signal) -> Origin<Source> {
    let column = format!("{BANDED}{}", signal.name);
    match signal.thresholds {
        Some(thresholds) => formula(text::band(&text::name(&column), thresholds), vec![column]),
        None => formula("CAST(NULL AS VARCHAR)".to_owned(), vec![]),
    }
}

fn severity(signal: &Signal) -> Origin<Source> {
    let column = format!("{BANDED}{}", signal.name);
    match signal.thresholds {
        Some(thresholds) => {
            let sql = text::severity(&text::name(&column), thresholds);
            formula(sql, vec![column])
        }
        None => formula("CAST(NULL AS DOUBLE)".to_owned(), vec![]),
    }
}

/// `account_signals`: one row an entity and signal.
pub(super) fn account_signals(
    question: &Question,
    moment: Moment,
    columns: &[&str],
    scope: &Scope,
) -> Result<Script, DataFusionError> {
    let query = ScoreQuery::new(question, moment, scope);
    let model = question.model();
    let mut wanted = std::collections::BTreeSet::new();
    let mut rows = Vec::new();
    for dimension in &model.dimensions {
        for signal in &dimension.signals {
            let parts: Vec<String> = columns
                .iter()
                .filter_map(|column| part(column, &dimension.name, signal, &mut wanted))
                .map(|(name, sql)| format!("'{name}', {sql}"))
                .collect();
            // A row has at least one part: its place.
            let place = format!("'at', {}", rows.len());
            let parts: Vec<String> = std::iter::once(place).chain(parts).collect();
            rows.push(format!("named_struct({})", parts.join(", ")));
        }
    }
    let keys = population::key_list(question.entity, "");
    let scores = query.sql(&wanted)?;
    let shown: Vec<String> = columns
        .iter()
        .map(
            |&column| match super::shared_column(column, question, moment) {
                Some(sql) => sql,
                None => format!("row['{column}'] AS {}", text::name(column)),
            },
        )
        .collect();
    let sql = format!(
        "SELECT {} FROM (SELECT {keys}, unnest(make_array({})) AS row FROM ({scores}))",
        shown.join(", "),
        rows.join(", "),
    );
    Ok(Script::new(sql, natives_of(model)))
}

/// One column of a signal's row, and what it needs.
fn part(
    column: &str,
    dimension: &str,
    signal: &Signal,
    wanted: &mut std::collections::BTreeSet<String>,
) -> Option<(&'static str, String)> {
    let mut need = |name: String| {
        let quoted = text::name(&name);
        wanted.insert(name);
        quoted
    };
    let name = &signal.name;
    Some(match column {
        "dimension" => ("dimension", text::text(dimension)),
        "signal" => ("signal", text::text(name)),
        "value" => ("value", format!("CAST({} AS DOUBLE)", need(name.clone()))),
        "previous" => (
            "previous",
            format!("CAST({} AS DOUBLE)", need(format!("{PREVIOUS}{name}"))),
        ),
        "change" => {
            let (now, before) = (need(name.clone()), need(format!("{PREVIOUS}{name}")));
            ("change", format!("CAST({now} - {before} AS DOUBLE)"))
        }
        "band" => ("band", need(format!("{BAND}{name}"))),
        "severity" => ("severity", need(format!("{SEVERITY}{name}"))),
        "is_info" => ("is_info", signal.is_info.to_string()),
        "dimension_band" => ("dimension_band", need(format!("{DIMENSION}{dimension}"))),
        _ => return None,
    })
}

/// The natives that the columns of a model call.
pub(super) fn natives_of(model: &Model) -> Vec<datafusion::logical_expr::ScalarUDF> {
    let names: Vec<String> = model
        .segments
        .iter()
        .map(|segment| segment.name.clone())
        .collect();
    if names.is_empty() {
        return Vec::new();
    }
    vec![natives::segment_names(names)]
}
