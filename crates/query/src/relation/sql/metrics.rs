//! The built-in metrics: where each column of `health_scores` comes from.
//!
//! Meaning and sources of the formulas: docs/health.md.

use datafusion::error::DataFusionError;

use super::layers::Origin;
use super::scores::ScoreQuery;
use super::sources::{PREVIOUS, Source, is_of_accounts, outside_calendar};
use super::{population, rules, text};
use crate::model::{Entity, MemberBase, Method, Metric, Model, WEIGHT_UNITS};

/// Points of `trend_own` at and beyond which it is up or down.
const TREND_THRESHOLD: f64 = 10.0;
/// Microseconds of a day of 24 hours, for durations.
const DAY_US: &str = "86400000000.0";

fn formula<const N: usize>(sql: impl Into<String>, needs: [&str; N]) -> Origin<Source> {
    Origin::Formula {
        sql: sql.into(),
        needs: needs.iter().map(|&need| need.to_owned()).collect(),
    }
}

fn null(data_type: &str) -> Origin<Source> {
    formula(format!("CAST(NULL AS {data_type})"), [])
}

impl ScoreQuery<'_> {
    /// The origin of a built-in column; `None` for names that are none.
    pub(super) fn metric(&self, name: &str) -> Result<Option<Origin<Source>>, DataFusionError> {
        let model = self.question.model();
        let entity = self.question.entity;
        if let Some(previous) = name.strip_prefix(PREVIOUS) {
            debug_assert!(!previous.is_empty(), "a previous value has a name");
            return Ok(Some(Origin::Source(Source::Previous)));
        }
        Ok(Some(match name {
            "raw" => raw(model),
            "peg" => peg(model),
            "peg_n" => formula("count(*) FILTER (WHERE raw > 0) OVER ()", ["raw"]),
            "score" => score(model),
            "band" => self.band_of(Metric::Score),
            "usage_frequency" => {
                let days = text::double(f64::from(model.period_days));
                formula(format!("active_days / {days}"), ["active_days"])
            }
            "first_active" if model.event_filter.is_none() => {
                formula("first_seen_at", ["first_seen_at"])
            }
            "first_active" => formula("\"$first\"", ["$first"]),
            "last_active" if model.event_filter.is_none() => {
                formula("last_seen_at", ["last_seen_at"])
            }
            "last_active" => formula("\"$last\"", ["$last"]),
            "days_inactive" => {
                let today = self.today()?;
                formula(format!("{today} - local_day(last_active)"), ["last_active"])
            }
            "feature_adoption" if model.features.is_empty() => null("DOUBLE"),
            "members" | "active_members" | "$members_seen" if !is_of_accounts(entity) => {
                null("BIGINT")
            }
            "active_members" if model.event_filter.is_some() => {
                formula("\"$active_members\"", ["$active_members"])
            }
            "active_user_pct" => active_user_pct(model, entity),
            "activation_rate" if model.steps.is_empty() => null("DOUBLE"),
            "start_at" if entity == Entity::Member => formula("first_active", ["first_active"]),
            "start_at" => formula(
                "coalesce(created_at, first_active)",
                ["created_at", "first_active"],
            ),
            "tenure_days" => {
                let today = self.today()?;
                formula(format!("{today} - local_day(start_at)"), ["start_at"])
            }
            "time_to_first" if model.key_event.is_none() => null("DOUBLE"),
            "time_to_first" => formula(
                format!("(CAST(\"$key_time\" AS BIGINT) - CAST(start_at AS BIGINT)) / {DAY_US}"),
                ["$key_time", "start_at"],
            ),
            "healthy_user_pct" if !is_of_accounts(entity) => null("DOUBLE"),
            "healthy_user_pct" => Origin::Source(Source::MemberScores),
            "healthy_days" => Origin::Source(Source::GreenDays),
            "trend" => formula("score - \"$previous:score\"", ["score", "$previous:score"]),
            "trend_own" => trend_own(model),
            "direction" => formula(
                format!("health_trend(trend_own, 0.0, {TREND_THRESHOLD:?})"),
                ["trend_own"],
            ),
            "churn_risk" => self.churn_risk(),
            "expansion_ready" => expansion_ready(model),
            "days_to_renewal" => {
                let today = self.today()?;
                formula(format!("local_day(renewal_at) - {today}"), ["renewal_at"])
            }
            "$units" | "active_days" | "feature_adoption" => Origin::Source(Source::Usage),
            "$capped" => Origin::Source(Source::Capped),
            "members" | "active_members" | "$members_seen" => Origin::Source(Source::Members),
            "$active_members" => Origin::Source(Source::ActiveMembers),
            "$first" | "$last" => Origin::Source(Source::Filtered),
            "activation_rate" => Origin::Source(Source::Steps),
            "$key_time" => Origin::Source(Source::KeyEvent),
            column if population::has_column(entity, column) => Origin::Source(Source::Population),
            _ => return Ok(None),
        }))
    }

    /// Today in days since 1970.
    pub(super) fn today(&self) -> Result<i32, DataFusionError> {
        let today = self.moment.today_number();
        today.ok_or_else(|| outside_calendar(self.moment))
    }

    fn band_of(&self, metric: Metric) -> Origin<Source> {
        match self.question.model().thresholds_of(metric) {
            Some(thresholds) => {
                let column = metric.column();
                formula(text::band(column, thresholds), [column])
            }
            None => null("VARCHAR"),
        }
    }

    /// `100 · (1 − Π (1 − wᵢ·sᵢ))` over the metrics whose severity is known.
    fn churn_risk(&self) -> Origin<Source> {
        let model = self.question.model();
        let mut needs = Vec::new();
        let (mut severities, mut weights) = (Vec::new(), Vec::new());
        for (metric, weight) in &model.churn_risk {
            if let Some(thresholds) = model.thresholds_of(*metric) {
                let column = metric.column();
                severities.push(text::severity(column, thresholds));
                weights.push(text::double(*weight));
                needs.push(column.to_owned());
            }
        }
        if needs.is_empty() {
            return null("DOUBLE");
        }
        let (severities, weights) = (severities.join(", "), weights.join(", "));
        let sql = format!("churn_risk([{severities}], [{weights}])");
        Origin::Formula { sql, needs }
    }
}

/// `Σ count · weight`, summed in units and converted once.
fn raw(model: &Model) -> Origin<Source> {
    let units = text::double(WEIGHT_UNITS as f64);
    if rules::has_caps(model) {
        let sql = format!("CAST(\"$units\" + \"$capped\" AS DOUBLE) / {units}");
        formula(sql, ["$units", "$capped"])
    } else {
        formula(format!("CAST(\"$units\" AS DOUBLE) / {units}"), ["$units"])
    }
}

/// The percentile of the raw scores above 0, at least the floor; the floor where there are too few.
fn peg(model: &Model) -> Origin<Source> {
    let own = format!(
        "health_peg(raw, {}) OVER ()",
        text::double(model.percentile)
    );
    let floor = model.peg_floor.map(text::double);
    let at_least = match &floor {
        Some(floor) => format!("greatest(coalesce({own}, {floor}), {floor})"),
        None => own,
    };
    if model.min_population == 0 {
        return formula(at_least, ["raw"]);
    }
    let few = floor.unwrap_or_else(|| "CAST(NULL AS DOUBLE)".to_owned());
    let sql = format!(
        "CASE WHEN peg_n < {} THEN {few} ELSE {at_least} END",
        model.min_population
    );
    formula(sql, ["raw", "peg_n"])
}

fn score(model: &Model) -> Origin<Source> {
    match model.method {
        Method::Rank => formula(
            format!(
                "health_normalize(raw, {}, CAST(NULL AS DOUBLE), 'rank') OVER ()",
                text::double(model.percentile)
            ),
            ["raw"],
        ),
        Method::Peg | Method::Winsor => formula(score_of(model, "raw"), ["raw", "peg"]),
    }
}

/// The score of the column `raw` at today's `peg`; not for ranks.
pub(super) fn score_of(model: &Model, raw: &str) -> String {
    match model.method {
        // `greatest` and `least` skip NULLs, and the product may round below 100 at the peg.
        Method::Winsor => format!(
            "CASE WHEN {raw} <= 0 THEN 1.0 WHEN {raw} >= peg THEN 100.0 \
             WHEN {raw} < peg THEN greatest(1.0, least(100.0, 100.0 * ({raw} / peg))) END"
        ),
        Method::Peg | Method::Rank => {
            let percentile = text::double(model.percentile);
            let curve = model
                .curve
                .map_or_else(String::new, |curve| format!(", {}", text::double(curve)));
            format!("health_score({raw}, peg, {percentile}{curve})")
        }
    }
}

/// Both scores at today's peg; a rank has no peg, so there it is the published trend.
fn trend_own(model: &Model) -> Origin<Source> {
    if model.method == Method::Rank {
        return formula("trend", ["trend"]);
    }
    let before = score_of(model, "\"$previous:raw\"");
    formula(
        format!("score - {before}"),
        ["score", "peg", "$previous:raw"],
    )
}

fn active_user_pct(model: &Model, entity: Entity) -> Origin<Source> {
    if !is_of_accounts(entity) {
        return null("DOUBLE");
    }
    let of = match model.member_base {
        MemberBase::Known => "members",
        MemberBase::Seen90Days => "$members_seen",
        MemberBase::Seats => "seats",
    };
    let sql = format!("ratio(100.0 * active_members, {})", text::name(of));
    formula(sql, ["active_members", of])
}

fn expansion_ready(model: &Model) -> Origin<Source> {
    let (score, seats) = (
        text::double(model.expansion.score),
        text::double(model.expansion.seats_percent),
    );
    formula(
        format!(
            "score >= {score} AND coalesce(direction <> 'down', TRUE) \
             AND coalesce(ratio(100.0 * active_members, seats) >= {seats}, TRUE)"
        ),
        ["score", "direction", "active_members", "seats"],
    )
}
