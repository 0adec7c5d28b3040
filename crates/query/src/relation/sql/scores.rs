//! The columns of `health_scores` for one question at one moment, and only those that are wanted.

use std::collections::BTreeSet;

use datafusion::error::DataFusionError;

use super::layers::{Layers, Origin};
use super::population::{key_list, keys_equal, population};
use super::sources::{Source, outside_calendar};
use super::text;
use crate::model::{Entity, Signal};
use crate::relation::moment::Moment;
use crate::relation::question::Question;
use crate::relation::scope::Scope;

/// A question at a moment.
#[derive(Clone)]
pub(super) struct ScoreQuery<'a> {
    pub question: Question,
    pub moment: Moment,
    pub scope: &'a Scope,
}

impl<'a> ScoreQuery<'a> {
    pub fn new(question: &Question, moment: Moment, scope: &'a Scope) -> Self {
        let question = question.clone();
        Self {
            question,
            moment,
            scope,
        }
    }

    /// A SELECT of the entity's keys and of `wanted`: columns of `health_scores`, signals of the
    /// model, and what the formulas call by name (`origin` in `metrics` and `signals`).
    pub fn sql(&self, wanted: &BTreeSet<String>) -> Result<String, DataFusionError> {
        let layers = Layers::of(wanted, |name| self.origin(name))?;
        let rows = layers.around(self.base(&layers)?);
        let keys = key_list(self.question.entity, "");
        let columns: Vec<String> = wanted.iter().map(|column| text::name(column)).collect();
        if columns.is_empty() {
            return Ok(format!("SELECT {keys} FROM ({rows})"));
        }
        Ok(format!(
            "SELECT {keys}, {} FROM ({rows})",
            columns.join(", ")
        ))
    }

    /// The population with the other sources joined to it.
    fn base(&self, layers: &Layers<Source>) -> Result<String, DataFusionError> {
        let entity = self.question.entity;
        let nothing = BTreeSet::new();
        let own = layers.sources.get(&Source::Population).unwrap_or(&nothing);
        let mut columns: Vec<String> = vec![key_list(entity, "p.")];
        columns.extend(own.iter().map(|column| format!("p.{}", text::name(column))));
        let mut from = format!("({}) p", self.population());
        let others = layers.sources.iter();
        for (at, (&source, wanted)) in others
            .filter(|(source, _)| **source != Source::Population)
            .enumerate()
        {
            let alias = format!("s{at}");
            let sql = self.source(source, wanted)?;
            let equal = keys_equal(self.joined_by(source), "p", &alias);
            from = format!("{from} LEFT JOIN ({sql}) {alias} ON {equal}");
            for column in wanted {
                let name = text::name(column);
                columns.push(match self.missing(column) {
                    Some(missing) => format!("coalesce({alias}.{name}, {missing}) AS {name}"),
                    None => format!("{alias}.{name}"),
                });
            }
        }
        Ok(format!("SELECT {} FROM {from}", columns.join(", ")))
    }

    /// The keys by which a source is joined.
    fn joined_by(&self, source: Source) -> Entity {
        match source {
            Source::Members | Source::ActiveMembers | Source::MemberScores => Entity::Account,
            _ => self.question.entity,
        }
    }

    pub(super) fn population(&self) -> String {
        population(&self.question, self.moment, self.scope)
    }

    /// The question of one period earlier.
    pub(super) fn earlier(&self) -> Result<Self, DataFusionError> {
        let days = self.question.model().period_days;
        let moment = self.moment.days_before(days);
        Ok(Self {
            moment: moment.ok_or_else(|| outside_calendar(self.moment))?,
            ..self.clone()
        })
    }

    /// The same question about members.
    pub(super) fn of_members(&self) -> Self {
        let question = Question {
            entity: Entity::Member,
            ..self.question.clone()
        };
        Self {
            question,
            ..self.clone()
        }
    }

    /// The signal of a name.
    pub(super) fn signal(&self, name: &str) -> Option<&Signal> {
        let dimensions = self.question.model().dimensions.iter();
        dimensions
            .flat_map(|dimension| &dimension.signals)
            .find(|signal| signal.name == name)
    }

    /// Where a column comes from.
    fn origin(&self, name: &str) -> Result<Origin<Source>, DataFusionError> {
        let known = self
            .metric(name)?
            .map_or_else(|| self.signal_column(name), Some);
        known.ok_or_else(|| {
            let model = &self.question.model().name;
            super::invalid(format!("model {model} has no metric or signal {name}"))
        })
    }
}
