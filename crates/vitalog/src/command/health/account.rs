//! One account: its headline, what made its score, its signals and steps, and what would make it
//! green.

mod parts;
mod unknown;

use std::io::{self, Write};

use anyhow::bail;
use arrow::array::RecordBatch;
use vitalog_event::format_timestamp_us;

use self::parts::{Contribution, Dimension, Step, StepKind};
use self::unknown::unknown;
use super::Question;
use super::bars::{Bar, write_bars};
use super::board::described_model;
use super::standing::{Standing, standings_sql};
use crate::command::grid::{Paint, decimal, painted_band, shown_date, shown_time, signed};
use crate::command::progress::count;
use crate::command::rows::Rows;
use crate::command::source::{Source, quoted};
use crate::sql::{Screen, visible};

/// Bars of an explanation; what is left is summed up.
const BARS_MAX: usize = 16;
/// Ways to green that are shown.
const WAYS_MAX: usize = 5;

/// All that is told of one account.
#[derive(Clone, Debug)]
pub(in crate::command) struct Account {
    standing: Standing,
    metrics: Metrics,
    contributions: Vec<Contribution>,
    explanation: Rows,
    dimensions: Vec<Dimension>,
    steps: Vec<Step>,
}

/// Metrics that only this page shows.
#[derive(Clone, Debug, Default, PartialEq)]
struct Metrics {
    active_days: Option<i64>,
    last_active_us: Option<i64>,
    activation_rate: Option<f64>,
    tenure_days: Option<i64>,
    time_to_first: Option<f64>,
    healthy_days: Option<i64>,
    healthy_user_pct: Option<f64>,
    days_to_renewal: Option<i64>,
    is_ready_to_grow: Option<bool>,
    segments: Option<String>,
}

const METRICS_SQL: &str = ", h.active_days, h.last_active, h.activation_rate, h.tenure_days, \
    h.time_to_first, h.healthy_days, h.healthy_user_pct, h.days_to_renewal, h.expansion_ready, \
    array_to_string(h.segments, ', ') AS segments";

impl Metrics {
    fn read(rows: &Rows) -> anyhow::Result<Self> {
        fn first<T>(values: Vec<Option<T>>) -> Option<T> {
            values.into_iter().next().flatten()
        }
        Ok(Self {
            active_days: first(rows.integers("active_days")?),
            last_active_us: first(rows.times("last_active")?),
            activation_rate: first(rows.numbers("activation_rate")?),
            tenure_days: first(rows.integers("tenure_days")?),
            time_to_first: first(rows.numbers("time_to_first")?),
            healthy_days: first(rows.integers("healthy_days")?),
            healthy_user_pct: first(rows.numbers("healthy_user_pct")?),
            days_to_renewal: first(rows.integers("days_to_renewal")?),
            is_ready_to_grow: first(rows.booleans("expansion_ready")?),
            segments: first(rows.texts("segments")?).filter(|text| !text.is_empty()),
        })
    }
}

impl Account {
    /// Asks for everything about the account `id`; of a model over users, the user.
    ///
    /// # Errors
    /// Nobody of that id is scored: with near ids, and with the reason where there is one.
    pub fn ask(source: &Source, question: &Question, id: &str) -> anyhow::Result<Self> {
        let literal = quoted(id);
        let filter = format!("h.account_id = {literal} OR h.user_id = {literal}");
        let rows = source.ask(&standings_sql(question, METRICS_SQL, &filter))?;
        let mut standings = Standing::read(&rows)?;
        let standing = match (standings.pop(), standings.len()) {
            (None, _) => return Err(unknown(source, question, id)?),
            (Some(standing), 0) => standing,
            (Some(_), more) => bail!(
                "model {} scores members, and {} of them belong to {id}; ask for them in SQL: \
                 SELECT * FROM {}",
                question.model,
                more + 1,
                question.call("health_scores", &[])
            ),
        };
        // All parts are asked of the instant of the first.
        let question = &Question {
            as_of: Some(format_timestamp_us(standing.as_of_us)),
            ..question.clone()
        };
        let argument = match standing.account_id {
            Some(_) => "account",
            None => "\"user\"",
        };
        let explanation = source.ask(&format!(
            "SELECT event, position, \"count\", counted, weight, contribution, share, points, \
                    to_green FROM {} ORDER BY points DESC NULLS LAST, contribution DESC, \
                    position, event",
            question.call("health_explain", &[(argument, id)])
        ))?;
        let of_id = format!("account_id = {literal} OR user_id = {literal}");
        let signals = source.ask(&format!(
            "SELECT dimension, signal, \"value\", previous, band, severity, is_info, \
                    dimension_band FROM {} WHERE {of_id}",
            question.call("account_signals", &[])
        ))?;
        let steps = source.ask(&format!(
            "SELECT kind, position, event, first_time FROM {} WHERE {of_id} \
             ORDER BY kind, position",
            question.call("health_steps", &[])
        ))?;
        Ok(Self {
            metrics: Metrics::read(&rows)?,
            standing,
            contributions: Contribution::read(&explanation)?,
            explanation,
            dimensions: Dimension::read(&signals)?,
            steps: Step::read(&steps)?,
        })
    }

    /// The explanation by event, as rows.
    pub fn batch(&self) -> &RecordBatch {
        self.explanation.batch()
    }

    /// Writes all parts.
    pub fn write(&self, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
        self.write_headline(out, screen)?;
        writeln!(out)?;
        self.write_metrics(out)?;
        writeln!(out)?;
        self.write_explanation(out, screen)?;
        writeln!(out)?;
        self.write_signals(out, screen)?;
        self.write_steps(out)?;
        self.write_ways(out)
    }

    fn write_headline(&self, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
        let one = &self.standing;
        let id = visible(&one.id());
        let mut who = match &one.name {
            Some(name) => {
                let name = visible(name);
                format!("{} ({id})", Paint::Bold.on(&name, screen))
            }
            None => Paint::Bold.on(&id, screen),
        };
        if let Some(plan) = &one.plan {
            who += &format!(", {}", visible(plan));
        }
        if let Some(mrr) = decimal(one.mrr, 0) {
            who += &format!(", mrr {mrr}");
        }
        writeln!(out, "{who}")?;
        let mut facts = vec![
            format!(
                "score {} {}",
                decimal(one.score, 1).unwrap_or_else(|| "-".to_owned()),
                painted_band(one.band.as_deref(), screen)
            ),
            format!("status {}", painted_band(one.status.as_deref(), screen)),
        ];
        let trend = one.shown_trend().map(|trend| format!("own trend {trend}"));
        let risk = decimal(one.risk, 0).map(|risk| format!("churn risk {risk} %"));
        let stage = one
            .stage
            .as_ref()
            .map(|stage| format!("stage {}", visible(stage)));
        facts.extend([trend, risk, stage].into_iter().flatten());
        if self.metrics.is_ready_to_grow == Some(true) {
            facts.push("ready to grow".to_owned());
        }
        if let Some(segments) = &self.metrics.segments {
            facts.push(format!("segments {}", visible(segments)));
        }
        writeln!(out, "{}", facts.join(" · "))?;
        writeln!(out, "{}", described_model(one))
    }

    fn write_metrics(&self, out: &mut dyn Write) -> io::Result<()> {
        let (one, more) = (&self.standing, &self.metrics);
        let percent = |number| decimal(number, 0).map(|text| format!("{text} %"));
        let days = |days: i64| match days {
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        };
        let last = more.last_active_us.map(shown_time);
        let users = one
            .active_members
            .zip(one.members)
            .map(|(active, members)| {
                let share =
                    percent(one.active_user_pct).map_or(String::new(), |text| format!(", {text}"));
                format!("{active} of {members}{share}")
            });
        let active = more.active_days.map_or(String::new(), |active| {
            format!(" ({} with activity)", days(active))
        });
        let lines = [
            (
                "usage frequency",
                decimal(one.frequency, 2).map(|text| text + &active),
            ),
            (
                "days inactive",
                one.days_inactive.map(|inactive| {
                    let since = last.map_or(String::new(), |last| format!(" (last at {last})"));
                    format!("{inactive}{since}")
                }),
            ),
            ("feature adoption", percent(one.adoption)),
            ("active users", users),
            ("healthy users", percent(more.healthy_user_pct)),
            ("activation rate", percent(more.activation_rate)),
            ("tenure", more.tenure_days.map(days)),
            (
                "time to first value",
                decimal(more.time_to_first, 1).map(|text| format!("{text} days")),
            ),
            (
                "green for",
                more.healthy_days.filter(|days| *days > 0).map(days),
            ),
            (
                "renewal",
                more.days_to_renewal.map(|left| match left {
                    left if left < 0 => format!("{} overdue", days(-left)),
                    left => format!("in {}", days(left)),
                }),
            ),
        ];
        for (name, value) in lines {
            if let Some(value) = value {
                writeln!(out, "  {name:<20}{value}")?;
            }
        }
        Ok(())
    }

    fn write_explanation(&self, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
        let one = &self.standing;
        let Some((score, raw)) = one.score.zip(one.raw) else {
            return writeln!(out, "It has no score to explain.");
        };
        writeln!(
            out,
            "What made the score: {} points above 1, from a raw score of {}",
            decimal(Some(score - 1.0), 1).unwrap_or_default(),
            decimal(Some(raw), 1).unwrap_or_default()
        )?;
        let counted = self.contributions.iter().filter(|one| one.count > 0);
        let mut bars: Vec<Bar> = counted.map(Contribution::bar).collect();
        if bars.is_empty() {
            return writeln!(out, "  nothing that counts happened in the period");
        }
        bars.sort_by(|left, right| right.points.abs().total_cmp(&left.points.abs()));
        let rest = bars.split_off(bars.len().min(BARS_MAX));
        bars.sort_by(|left, right| right.points.total_cmp(&left.points));
        write_bars(out, &bars, screen)?;
        if !rest.is_empty() {
            let points = rest.iter().map(|bar| bar.points).sum();
            let points = decimal(Some(points), 1).map_or(String::new(), |text| signed(&text));
            writeln!(
                out,
                "  and {} more events with {points} together",
                rest.len()
            )?;
        }
        Ok(())
    }

    fn write_signals(&self, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
        if self.dimensions.is_empty() {
            return Ok(());
        }
        writeln!(out, "Signals")?;
        let signals = || self.dimensions.iter().flat_map(|one| &one.signals);
        let name_width = signals()
            .map(|one| one.name.chars().count())
            .max()
            .unwrap_or(0);
        let value_width = signals()
            .map(|one| one.shown_value().len())
            .max()
            .unwrap_or(0);
        for dimension in &self.dimensions {
            let band = painted_band(dimension.band.as_deref(), screen);
            writeln!(out, "  {} {band}", visible(&dimension.name))?;
            for signal in &dimension.signals {
                let band = match (signal.is_info, signal.band.as_deref()) {
                    (true, None) => "for information".to_owned(),
                    (_, band) => painted_band(band, screen),
                };
                let before = signal
                    .shown_previous()
                    .map_or(String::new(), |before| format!(" ({before} a period ago)"));
                writeln!(
                    out,
                    "    {:<name_width$}  {:>value_width$}  {band}{before}",
                    visible(&signal.name),
                    signal.shown_value(),
                )?;
            }
        }
        writeln!(out)
    }

    fn write_steps(&self, out: &mut dyn Write) -> io::Result<()> {
        for (kind, title) in [
            (StepKind::Step, "Onboarding"),
            (StepKind::Feature, "Features"),
        ] {
            let of_kind = || self.steps.iter().filter(|step| step.kind == kind);
            let all = of_kind().count();
            if all == 0 {
                continue;
            }
            let done = of_kind().filter(|step| step.first_time_us.is_some());
            let verb = match kind {
                StepKind::Step => "steps done",
                StepKind::Feature => "ever used",
            };
            writeln!(out, "{title}: {} of {all} {verb}", done.count())?;
            for step in of_kind() {
                let (mark, when) = match step.first_time_us {
                    Some(time_us) => ("x", format!("  {}", shown_date(time_us))),
                    None => (" ", String::new()),
                };
                // Of features only those that are missing say something.
                if kind == StepKind::Step || step.first_time_us.is_none() {
                    writeln!(out, "  [{mark}] {}{when}", visible(&step.event))?;
                }
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn write_ways(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.standing.band.as_deref() == Some("green") {
            writeln!(out, "Its score is green.")?;
        } else {
            let ways = self.contributions.iter();
            let mut ways: Vec<(i64, &str)> = ways
                .filter_map(|one| {
                    Some((one.to_green.filter(|more| *more > 0)?, one.event.as_str()))
                })
                .collect();
            ways.sort_unstable();
            if ways.is_empty() {
                writeln!(out, "No event alone would make its score green.")?;
            } else {
                writeln!(out, "What would make its score green, each alone")?;
                for (more, event) in ways.iter().take(WAYS_MAX) {
                    let more = count(more.unsigned_abs());
                    writeln!(out, "  {more} more {}", visible(event))?;
                }
            }
        }
        let holding = self.dimensions.iter().flat_map(|one| &one.signals);
        let holding: Vec<String> = holding
            .filter(|one| !one.is_info && one.band.as_deref() == Some("red"))
            .map(|one| format!("{} {}", visible(&one.name), one.shown_value()))
            .collect();
        if !holding.is_empty() {
            writeln!(out, "Its status is red by: {}", holding.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
