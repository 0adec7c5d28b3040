//! The score table: one line an entity, worst first, and what they come to.

use std::cmp::Ordering;
use std::io::{self, Write};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use clap::ValueEnum;

use super::Question;
use super::standing::{Standing, by_band, standings_sql};
use crate::command::grid::{Cell, Grid, Heading, Paint, decimal, shown_time};
use crate::command::progress::count;
use crate::command::rows::Rows;
use crate::command::source::Source;
use crate::sql::Screen;

/// A column to order by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::command) enum SortColumn {
    /// The id.
    Account,
    /// The name.
    Name,
    /// The plan.
    Plan,
    /// Most first.
    Mrr,
    /// Lowest first.
    Score,
    /// Red, yellow, green; each by score.
    Status,
    /// The steepest fall first.
    Trend,
    /// Lowest first.
    Frequency,
    /// Longest first.
    Inactive,
    /// Lowest first.
    Adoption,
    /// The smallest share of active users first.
    Users,
    /// Highest first.
    Risk,
    /// By name.
    Stage,
}

/// The table.
#[derive(Clone, Debug)]
pub(in crate::command) struct Board {
    rows: Rows,
    standings: Vec<Standing>,
    /// What is shown, as indices of rows.
    order: Vec<usize>,
}

const HEADINGS: [Heading; 14] = [
    Heading::left("account", 0),
    Heading::left("name", 9),
    Heading::left("plan", 8),
    Heading::right("mrr", 5),
    Heading::right("score", 0),
    Heading::left("band", 2),
    Heading::left("status", 0),
    Heading::left("trend", 1),
    Heading::right("frequency", 6),
    Heading::right("inactive", 3),
    Heading::right("adoption", 7),
    Heading::right("users", 6),
    Heading::right("risk", 2),
    Heading::left("stage", 4),
];

impl Board {
    /// Asks for every entity of the model.
    ///
    /// # Errors
    /// The statement fails: there is no such model, or the instant cannot be read.
    pub fn ask(source: &Source, question: &Question) -> anyhow::Result<Self> {
        let rows = source.ask(&standings_sql(question, "", "true"))?;
        let standings = Standing::read(&rows)?;
        let order = (0..standings.len()).collect();
        let board = Self {
            rows,
            standings,
            order,
        };
        Ok(board.sorted(SortColumn::Status, None))
    }

    /// Ordered by a column, and by score and id where that is equal; the first `limit` of them.
    pub fn sorted(mut self, column: SortColumn, limit: Option<usize>) -> Self {
        let standings = &self.standings;
        self.order.sort_by(|left, right| {
            let (left, right) = (&standings[*left], &standings[*right]);
            compare(column, left, right)
                .then_with(|| ascending(left.score, right.score))
                .then_with(|| left.id().cmp(&right.id()))
        });
        self.order.truncate(limit.unwrap_or(usize::MAX));
        self
    }

    /// What is shown, in order.
    pub fn standings(&self) -> impl Iterator<Item = &Standing> {
        self.order.iter().map(|row| &self.standings[*row])
    }

    /// What is shown, as rows.
    pub fn batch(&self) -> anyhow::Result<RecordBatch> {
        let indices = self.order.iter().map(|row| *row as u32);
        let indices = UInt32Array::from_iter_values(indices);
        Ok(take_record_batch(self.rows.batch(), &indices)?)
    }

    /// Writes the table and what it comes to.
    pub fn write(&self, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
        if self.standings.is_empty() {
            return writeln!(
                out,
                "nobody is scored: there is no event, or the model takes nobody"
            );
        }
        let mut grid = Grid::new(&HEADINGS);
        for standing in self.standings() {
            grid.push(cells(standing));
        }
        let left_out = grid.write(out, screen)?;
        writeln!(out)?;
        if self.order.len() < self.standings.len() {
            let more = self.standings.len() - self.order.len();
            writeln!(out, "… and {} more", count(more as u64))?;
        }
        if !left_out.is_empty() {
            let columns = left_out.join(", ");
            writeln!(out, "no room for {columns}; --format csv has all columns")?;
        }
        for line in self.summary() {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    /// How many stand how, and by which model.
    fn summary(&self) -> Vec<String> {
        let counts = ["red", "yellow", "green"].map(|status| {
            let of = |standing: &&Standing| standing.status.as_deref() == Some(status);
            (status, self.standings.iter().filter(of).count())
        });
        let named = counts.iter().filter(|(_, count)| *count > 0);
        let mut named: Vec<String> = named
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        let none = self.standings.len() - counts.iter().map(|(_, count)| count).sum::<usize>();
        if none > 0 {
            named.push(format!("{none} without a status"));
        }
        let all = count(self.standings.len() as u64);
        let mut lines = vec![format!("{all} scored: {}", named.join(", "))];
        lines.extend(self.standings.first().map(described_model));
        lines
    }
}

/// By which model, as of when, with which peg.
pub(super) fn described_model(standing: &Standing) -> String {
    let as_of = shown_time(standing.as_of_us);
    let model = match standing.version {
        0 => format!(
            "the built-in default model {}, every event weight 1 (`vitalog model apply FILE` sets \
             your own)",
            standing.model
        ),
        version => format!("model {} version {version}", standing.model),
    };
    let peg = match decimal(standing.peg, 1) {
        Some(peg) => format!(
            "peg {peg} of {} with a raw score above 0",
            count(standing.peg_n.unwrap_or(0).unsigned_abs())
        ),
        None => "no peg".to_owned(),
    };
    format!("{model}; {peg}; as of {as_of}")
}

fn cells(standing: &Standing) -> Vec<Cell> {
    let percent = |number| decimal(number, 0).map(|text| format!("{text}%"));
    let users = match (standing.active_members, standing.members) {
        (Some(active), Some(members)) => Some(format!("{active}/{members}")),
        _ => None,
    };
    let mut score = Cell::of(decimal(standing.score, 1));
    if let Some(paint) = standing.band.as_deref().and_then(Paint::of_band) {
        score = score.with(paint);
    }
    let mut trend = Cell::of(standing.shown_trend());
    match standing.direction.as_deref() {
        Some("down") => trend = trend.with(Paint::Red),
        Some("up") => trend = trend.with(Paint::Green),
        _ => {}
    }
    vec![
        Cell::new(standing.id()),
        Cell::of(standing.name.as_ref()),
        Cell::of(standing.plan.as_ref()),
        Cell::of(decimal(standing.mrr, 0)),
        score,
        Cell::band(standing.band.as_deref()),
        Cell::band(standing.status.as_deref()),
        trend,
        Cell::of(decimal(standing.frequency, 2)),
        Cell::of(standing.days_inactive.map(|days| format!("{days} d"))),
        Cell::of(percent(standing.adoption)),
        Cell::of(users),
        Cell::of(decimal(standing.risk, 0)),
        Cell::of(standing.stage.as_ref()),
    ]
}

/// NULL and NaN last, whichever way numbers run.
fn ascending(left: Option<f64>, right: Option<f64>) -> Ordering {
    let known = |number: Option<f64>| number.filter(|number| !number.is_nan());
    match (known(left), known(right)) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        (left, right) => right.is_some().cmp(&left.is_some()),
    }
}

fn descending(left: Option<f64>, right: Option<f64>) -> Ordering {
    ascending(left.map(|number| -number), right.map(|number| -number))
}

fn by_text(left: Option<&String>, right: Option<&String>) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) => left.to_lowercase().cmp(&right.to_lowercase()),
        (left, right) => right.is_some().cmp(&left.is_some()),
    }
}

fn compare(column: SortColumn, left: &Standing, right: &Standing) -> Ordering {
    let days = |standing: &Standing| standing.days_inactive.map(|days| days as f64);
    match column {
        SortColumn::Account => left.id().cmp(&right.id()),
        SortColumn::Name => by_text(left.name.as_ref(), right.name.as_ref()),
        SortColumn::Plan => by_text(left.plan.as_ref(), right.plan.as_ref()),
        SortColumn::Mrr => descending(left.mrr, right.mrr),
        SortColumn::Score => ascending(left.score, right.score),
        SortColumn::Status => by_band(left.status.as_deref(), right.status.as_deref()),
        SortColumn::Trend => ascending(left.trend, right.trend),
        SortColumn::Frequency => ascending(left.frequency, right.frequency),
        SortColumn::Inactive => descending(days(left), days(right)),
        SortColumn::Adoption => ascending(left.adoption, right.adoption),
        SortColumn::Users => ascending(left.active_user_pct, right.active_user_pct),
        SortColumn::Risk => descending(left.risk, right.risk),
        SortColumn::Stage => by_text(left.stage.as_ref(), right.stage.as_ref()),
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
