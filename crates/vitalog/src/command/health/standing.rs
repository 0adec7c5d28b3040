//! How one entity stands: a row of `health_scores` with what is known of who it is.

use std::cmp::Ordering;

use super::Question;
use crate::command::grid::{decimal, signed};
use crate::command::rows::Rows;

/// One row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::command) struct Standing {
    pub model: String,
    pub version: i64,
    pub as_of_us: i64,
    pub account_id: Option<String>,
    pub user_id: Option<String>,
    pub name: Option<String>,
    pub plan: Option<String>,
    pub mrr: Option<f64>,
    pub raw: Option<f64>,
    pub peg: Option<f64>,
    pub peg_n: Option<i64>,
    pub score: Option<f64>,
    pub band: Option<String>,
    pub status: Option<String>,
    pub direction: Option<String>,
    pub trend: Option<f64>,
    pub frequency: Option<f64>,
    pub days_inactive: Option<i64>,
    pub adoption: Option<f64>,
    pub members: Option<i64>,
    pub active_members: Option<i64>,
    pub active_user_pct: Option<f64>,
    pub risk: Option<f64>,
    pub stage: Option<String>,
}

/// The statement that asks for the rows, further columns of `health_scores` in `more` (each with
/// a comma before it), those that fulfil `filter`.
pub(super) fn standings_sql(question: &Question, more: &str, filter: &str) -> String {
    let scores = question.call("health_scores", &[]);
    format!(
        "SELECT h.model, h.version, h.as_of, h.account_id, h.user_id, \
                coalesce(a.name, u.name) AS name, a.plan, a.mrr, h.raw, h.peg, h.peg_n, h.score, \
                h.band, h.status, h.direction, h.trend_own AS trend, \
                h.usage_frequency AS frequency, h.days_inactive, h.feature_adoption AS adoption, \
                h.members, h.active_members, h.active_user_pct, h.churn_risk AS risk, h.stage{more} \
         FROM {scores} AS h \
         LEFT JOIN accounts AS a ON a.account_id = h.account_id \
         LEFT JOIN users AS u ON u.user_id = h.user_id AND h.account_id IS NULL \
         WHERE {filter}"
    )
}

impl Standing {
    /// The rows of an answer to [`standings_sql`].
    pub fn read(rows: &Rows) -> anyhow::Result<Vec<Self>> {
        let mut standings = vec![Self::default(); rows.len()];
        macro_rules! fill {
            ($($field:ident: $kind:ident($column:literal)),* $(,)?) => {
                $(for (standing, value) in standings.iter_mut().zip(rows.$kind($column)?) {
                    standing.$field = value;
                })*
            };
        }
        fill! {
            account_id: texts("account_id"), user_id: texts("user_id"), name: texts("name"),
            plan: texts("plan"), mrr: numbers("mrr"), raw: numbers("raw"), peg: numbers("peg"),
            peg_n: integers("peg_n"), score: numbers("score"), band: texts("band"),
            status: texts("status"), direction: texts("direction"), trend: numbers("trend"),
            frequency: numbers("frequency"), days_inactive: integers("days_inactive"),
            adoption: numbers("adoption"), members: integers("members"),
            active_members: integers("active_members"),
            active_user_pct: numbers("active_user_pct"), risk: numbers("risk"),
            stage: texts("stage"),
        }
        let models = rows.texts("model")?;
        let (versions, times) = (rows.integers("version")?, rows.times("as_of")?);
        for (row, standing) in standings.iter_mut().enumerate() {
            standing.model = models[row].clone().unwrap_or_default();
            standing.version = versions[row].unwrap_or_default();
            standing.as_of_us = times[row].unwrap_or_default();
        }
        Ok(standings)
    }

    /// The id of the account, or of the user where there is none; both of a member.
    pub fn id(&self) -> String {
        match (&self.account_id, &self.user_id) {
            (Some(account), Some(user)) => format!("{account} / {user}"),
            (Some(id), None) | (None, Some(id)) => id.clone(),
            (None, None) => String::new(),
        }
    }

    /// The name, or the id where there is none.
    pub fn shown_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.id())
    }

    /// The own trend as an arrow and points, such as `▼ -12.3`; `None` where there is none.
    pub fn shown_trend(&self) -> Option<String> {
        let arrow = match self.direction.as_deref()? {
            "up" => '▲',
            "down" => '▼',
            _ => '▬',
        };
        let points = decimal(self.trend, 1)?;
        Some(format!("{arrow} {}", signed(&points)))
    }
}

/// Red before yellow before green before none.
pub(super) fn by_band(left: Option<&str>, right: Option<&str>) -> Ordering {
    let rank = |band: Option<&str>| match band {
        Some("red") => 0,
        Some("yellow") => 1,
        Some("green") => 2,
        _ => 3,
    };
    rank(left).cmp(&rank(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trends_have_an_arrow_and_a_sign() {
        let shown = |direction: Option<&str>, trend| {
            let standing = Standing {
                direction: direction.map(str::to_owned),
                trend,
                ..Standing::default()
            };
            standing.shown_trend()
        };
        assert_eq!(
            shown(Some("down"), Some(-12.34)).as_deref(),
            Some("▼ -12.3")
        );
        assert_eq!(shown(Some("flat"), Some(0.0)).as_deref(), Some("▬ +0.0"));
        assert_eq!(shown(Some("up"), Some(10.0)).as_deref(), Some("▲ +10.0"));
        assert_eq!(shown(None, None), None);
    }

    #[test]
    fn bands_are_ordered_worst_first() {
        let mut bands = [None, Some("green"), Some("red"), Some("yellow")];
        bands.sort_by(|left, right| by_band(*left, *right));
        assert_eq!(bands, [Some("red"), Some("yellow"), Some("green"), None]);
    }
}
