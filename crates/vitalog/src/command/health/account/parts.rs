//! The parts of an account's page, as the relations give them.

use std::collections::BTreeMap;

use crate::command::grid::decimal;
use crate::command::health::bars::Bar;
use crate::command::health::standing::by_band;
use crate::command::rows::Rows;

/// What one event made of the score.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Contribution {
    pub event: String,
    pub count: i64,
    /// After the cap.
    pub counted: i64,
    pub weight: f64,
    pub points: f64,
    /// Further counts that alone would make the score green.
    pub to_green: Option<i64>,
}

impl Contribution {
    pub fn read(rows: &Rows) -> anyhow::Result<Vec<Self>> {
        let (counts, counted) = (rows.integers("count")?, rows.integers("counted")?);
        let (weights, points) = (rows.numbers("weight")?, rows.numbers("points")?);
        let to_green = rows.integers("to_green")?;
        let events = rows.texts("event")?.into_iter().enumerate();
        Ok(events
            .map(|(row, event)| Self {
                event: event.unwrap_or_default(),
                count: counts[row].unwrap_or(0),
                counted: counted[row].unwrap_or(0),
                weight: weights[row].unwrap_or(0.0),
                points: points[row].unwrap_or(0.0),
                to_green: to_green[row],
            })
            .collect())
    }

    /// Its bar, with how the points came about.
    pub fn bar(&self) -> Bar {
        let count = if self.counted == self.count {
            self.count.to_string()
        } else {
            format!("{} of {}", self.counted, self.count)
        };
        Bar {
            label: crate::sql::visible(&self.event),
            points: self.points,
            note: format!("{count} × {}", short(self.weight)),
        }
    }
}

/// Signals of one kind, and what they come to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dimension {
    pub name: String,
    pub band: Option<String>,
    pub signals: Vec<Signal>,
}

/// Something measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Signal {
    pub name: String,
    pub value: Option<f64>,
    pub previous: Option<f64>,
    pub band: Option<String>,
    pub severity: Option<f64>,
    pub is_info: bool,
}

impl Dimension {
    /// The dimensions and in each the signals, worst first.
    pub fn read(rows: &Rows) -> anyhow::Result<Vec<Self>> {
        let (values, previous) = (rows.numbers("value")?, rows.numbers("previous")?);
        let (bands, severities) = (rows.texts("band")?, rows.numbers("severity")?);
        let (infos, of_dimensions) = (rows.booleans("is_info")?, rows.texts("dimension_band")?);
        let names = rows.texts("signal")?;
        let mut by_name: BTreeMap<String, Self> = BTreeMap::new();
        for (row, dimension) in rows.texts("dimension")?.into_iter().enumerate() {
            let name = dimension.unwrap_or_default();
            let entry = by_name.entry(name.clone()).or_insert_with(|| Self {
                name,
                band: of_dimensions[row].clone(),
                signals: Vec::new(),
            });
            entry.signals.push(Signal {
                name: names[row].clone().unwrap_or_default(),
                value: values[row],
                previous: previous[row],
                band: bands[row].clone(),
                severity: severities[row],
                is_info: infos[row].unwrap_or(false),
            });
        }
        let mut dimensions: Vec<Self> = by_name.into_values().collect();
        dimensions.sort_by(|left, right| by_band(left.band.as_deref(), right.band.as_deref()));
        for dimension in &mut dimensions {
            dimension.signals.sort_by(|left, right| {
                by_band(left.band.as_deref(), right.band.as_deref())
                    .then_with(|| {
                        let severity = |one: &Signal| one.severity.unwrap_or(-1.0);
                        severity(right).total_cmp(&severity(left))
                    })
                    .then_with(|| left.name.cmp(&right.name))
            });
        }
        Ok(dimensions)
    }
}

impl Signal {
    pub fn shown_value(&self) -> String {
        self.value.map_or_else(|| "-".to_owned(), short)
    }

    /// What it was, where that shows a difference.
    pub fn shown_previous(&self) -> Option<String> {
        let previous = self.previous.map(short)?;
        (previous != self.shown_value()).then_some(previous)
    }
}

/// A step of the onboarding or a feature of the catalogue.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub kind: StepKind,
    pub event: String,
    pub first_time_us: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepKind {
    Step,
    Feature,
}

impl Step {
    pub fn read(rows: &Rows) -> anyhow::Result<Vec<Self>> {
        let (kinds, times) = (rows.texts("kind")?, rows.times("first_time")?);
        let events = rows.texts("event")?.into_iter().enumerate();
        Ok(events
            .map(|(row, event)| Self {
                kind: match kinds[row].as_deref() {
                    Some("step") => StepKind::Step,
                    _ => StepKind::Feature,
                },
                event: event.unwrap_or_default(),
                first_time_us: times[row],
            })
            .collect())
    }
}

/// At most two digits behind the point, none that are nothing: 0.25, 3, 12.5.
pub(super) fn short(number: f64) -> String {
    let Some(text) = decimal(Some(number), 2) else {
        return "-".to_owned();
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
