//! From calls to bound tables: arguments become values, a model and moments.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::array::RecordBatchOptions;
use arrow::datatypes::{DataType, Schema};
use chrono_tz::Tz;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use vitalog_event::parse_timestamp_us;

use super::argument::{invalid, refused};
use super::call::RelationCall;
use super::interval::Interval;
use super::moment::Moment;
use super::question::{
    Bound, EVERY_DEFAULT, GAP_DEFAULT_US, INSTANTS_MAX, Question, STEPS_DEFAULT,
};
use super::table::RelationTable;
use super::{Argument, Relation};
use crate::model::{Entity, ModelBook, ModelVersion};
use crate::snapshot::StatementSnapshot;

type Result<T> = std::result::Result<T, DataFusionError>;

/// `plan` with every call of a relation replaced by its table.
///
/// # Errors
/// An argument that is missing, of another type, out of range, or that names what does not exist.
pub(crate) fn bind(
    plan: LogicalPlan,
    state: &SessionState,
    snapshot: &Arc<StatementSnapshot>,
) -> Result<LogicalPlan> {
    let replaced = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Extension(extension) = &node else {
            return Ok(Transformed::no(node));
        };
        let Some(call) = extension.node.as_any().downcast_ref::<RelationCall>() else {
            return Ok(Transformed::no(node));
        };
        let bound = Arguments::of(call, state, snapshot)?.bind()?;
        let relation = call.relation;
        let table = RelationTable::new(relation, bound, Arc::clone(snapshot));
        let source = provider_as_source(Arc::new(table));
        let scan = LogicalPlanBuilder::scan(relation.name(), source, None)?.build()?;
        Ok(Transformed::yes(scan))
    })?;
    Ok(replaced.data)
}

impl Bound {
    /// The highest `seq` that it sees.
    pub fn seq(&self) -> i64 {
        match self {
            Self::Scores(question, _)
            | Self::Signals(question, _)
            | Self::Explain { question, .. }
            | Self::Steps(question, _)
            | Self::History(question, _) => question.seq,
            Self::Sessions { seq, .. } => *seq,
        }
    }

    /// The time zone of its days.
    pub fn zone(&self) -> Tz {
        match self {
            Self::Scores(_, moment)
            | Self::Signals(_, moment)
            | Self::Explain { moment, .. }
            | Self::Steps(_, moment) => moment.zone,
            Self::History(_, moments) => moments.first().map_or(Tz::UTC, |moment| moment.zone),
            Self::Sessions { .. } => Tz::UTC,
        }
    }
}

/// The arguments of one call as values; NULL is as good as absent.
struct Arguments<'a> {
    relation: Relation,
    values: Vec<(Argument, ScalarValue)>,
    state: &'a SessionState,
    snapshot: &'a StatementSnapshot,
}

impl<'a> Arguments<'a> {
    fn of(
        call: &RelationCall,
        state: &'a SessionState,
        snapshot: &'a StatementSnapshot,
    ) -> Result<Self> {
        let mut values = Vec::with_capacity(call.arguments.len());
        for (argument, value) in &call.arguments {
            let value = value_of(call.relation, *argument, value, state)?;
            if !value.is_null() {
                values.push((*argument, value));
            }
        }
        Ok(Self {
            relation: call.relation,
            values,
            state,
            snapshot,
        })
    }

    fn bind(&self) -> Result<Bound> {
        let seq = self.seq()?;
        if self.relation == Relation::Sessions {
            return self.sessions(seq);
        }
        let question = self.question(seq)?;
        let zone = self.zone(&question)?;
        if self.relation == Relation::HealthHistory {
            return Ok(Bound::History(question, self.instants(zone)?));
        }
        let moment = match self.moment(Argument::AsOf, zone)? {
            Some(moment) => moment,
            None => Moment::new(self.now_us()?, zone),
        };
        Ok(match self.relation {
            Relation::AccountSignals => Bound::Signals(question, moment),
            Relation::HealthSteps => Bound::Steps(question, moment),
            Relation::HealthExplain => Bound::Explain {
                account: self.one(Argument::Account, question.entity, Entity::User)?,
                user: self.one(Argument::User, question.entity, Entity::Account)?,
                question,
                moment,
            },
            Relation::HealthScores | Relation::HealthHistory | Relation::Sessions => {
                Bound::Scores(question, moment)
            }
        })
    }

    /// The highest `seq` that is known.
    fn seq(&self) -> Result<i64> {
        let Some(known_at) = self.moment(Argument::KnownAt, Tz::UTC)? else {
            return Ok(self.snapshot.seq);
        };
        let known = self.snapshot.snapshot.seq_known_at(known_at.instant_us);
        let known = known.map_err(crate::error::QueryError::from);
        let known = known.map_err(DataFusionError::from)?;
        Ok(known.min(self.snapshot.seq))
    }

    fn question(&self, seq: i64) -> Result<Question> {
        let known_at = self.moment(Argument::KnownAt, Tz::UTC)?;
        let known_at_us = known_at.map(|moment| moment.instant_us);
        let book = self
            .snapshot
            .model_book(known_at_us)
            .map_err(DataFusionError::from)?;
        let version = self.version(&book)?;
        let entity = match self.text(Argument::Entity)? {
            None => version.model.entity,
            Some(name) => Entity::of(name).ok_or_else(|| {
                let why = format!("'{name}' is none of 'account', 'user', 'member'");
                refused(self.relation.name(), Argument::Entity, why)
            })?,
        };
        if !covers(version.model.entity, entity) {
            let why = format!(
                "model '{}' is about {}s, and says nothing of {}s",
                version.model.name,
                version.model.entity.as_str(),
                entity.as_str()
            );
            return Err(refused(self.relation.name(), Argument::Entity, why));
        }
        let rivals = book.rivals(&version.model);
        Ok(Question {
            version,
            rivals,
            entity,
            seq,
        })
    }

    fn version(&self, book: &ModelBook) -> Result<Arc<ModelVersion>> {
        let name = self.text(Argument::Model)?.unwrap_or("default");
        let Some(current) = book.in_force(name) else {
            let known = book.names().map(|name| format!("'{name}'"));
            let known = known.collect::<Vec<_>>().join(", ");
            let why = format!("there is no model '{name}'; there are {known}");
            return Err(refused(self.relation.name(), Argument::Model, why));
        };
        let Some(number) = self.integer(Argument::Version)? else {
            return Ok(Arc::clone(current));
        };
        let found = u32::try_from(number)
            .ok()
            .and_then(|number| book.version(name, number));
        found.map(Arc::clone).ok_or_else(|| {
            let why = format!(
                "model '{name}' has no version {number}; the one in force is {}",
                current.version
            );
            refused(self.relation.name(), Argument::Version, why)
        })
    }

    fn zone(&self, question: &Question) -> Result<Tz> {
        let name = &question.model().time_zone;
        name.parse().map_err(|_| {
            invalid(format!(
                "model {}: no time zone {name}",
                question.model().name
            ))
        })
    }

    /// The grid of a history, in time order.
    fn instants(&self, zone: Tz) -> Result<Vec<Moment>> {
        let refuse = |argument, why: String| refused(self.relation.name(), argument, why);
        let every = match self.get(Argument::Every) {
            None => EVERY_DEFAULT,
            Some(value) => Interval::of(value)
                .filter(|every| every.is_positive())
                .ok_or_else(|| {
                    let why = "is 'day', 'week', 'month', 'quarter', 'year' or an INTERVAL above 0";
                    refuse(Argument::Every, format!("{why}, not {value}"))
                })?,
        };
        let until = match self.moment(Argument::Until, zone)? {
            Some(until) => until,
            None => Moment::new(self.now_us()?, zone),
        };
        let outside = || invalid("health_history: its instants lie outside the calendar");
        let Some(since) = self.moment(Argument::Since, zone)? else {
            let back = |step: i32| until.plus(every, -step).ok_or_else(outside);
            return (0..=STEPS_DEFAULT).rev().map(back).collect();
        };
        if since.instant_us > until.instant_us {
            return Err(refuse(Argument::Since, "lies after until".to_owned()));
        }
        let mut instants = Vec::new();
        for step in 0.. {
            let instant = since.plus(every, step).ok_or_else(outside)?;
            if instant.instant_us > until.instant_us {
                break;
            }
            if instants.len() == INSTANTS_MAX {
                let why = format!("gives more than {INSTANTS_MAX} instants; take a longer step");
                return Err(refuse(Argument::Every, why));
            }
            instants.push(instant);
        }
        Ok(instants)
    }

    fn sessions(&self, seq: i64) -> Result<Bound> {
        let gap_us = match self.get(Argument::Gap) {
            None => GAP_DEFAULT_US,
            Some(value) => Interval::of(value)
                .and_then(Interval::fixed_us)
                .filter(|&gap_us| gap_us >= 0)
                .ok_or_else(|| {
                    let why = format!("is an INTERVAL without months, 0 or more, not {value}");
                    refused(self.relation.name(), Argument::Gap, why)
                })?,
        };
        let until_us = match self.moment(Argument::Until, Tz::UTC)? {
            Some(until) => until.instant_us,
            None => self.now_us()?,
        };
        // A DATE is the day's first instant where a period begins.
        let since_us = match self.get(Argument::Since) {
            Some(ScalarValue::Date32(Some(day))) => {
                let start_us = i64::from(*day).checked_mul(86_400_000_000);
                start_us.ok_or_else(|| {
                    refused(
                        self.relation.name(),
                        Argument::Since,
                        "lies outside the calendar",
                    )
                })?
            }
            _ => match self.moment(Argument::Since, Tz::UTC)? {
                Some(since) => since.instant_us,
                None => until_us.saturating_sub(30 * 86_400_000_000),
            },
        };
        Ok(Bound::Sessions {
            gap_us,
            since_us,
            until_us,
            seq,
        })
    }

    fn get(&self, argument: Argument) -> Option<&ScalarValue> {
        let found = self.values.iter().find(|(known, _)| *known == argument);
        found.map(|(_, value)| value)
    }

    fn text(&self, argument: Argument) -> Result<Option<&str>> {
        let Some(value) = self.get(argument) else {
            return Ok(None);
        };
        let text = value.try_as_str().flatten();
        let refuse = || {
            refused(
                self.relation.name(),
                argument,
                format!("is text, not {value}"),
            )
        };
        text.map(Some).ok_or_else(refuse)
    }

    /// The one account or user that is asked for; `without` has none in its rows.
    fn one(&self, argument: Argument, entity: Entity, without: Entity) -> Result<Option<String>> {
        let id = self.text(argument)?;
        if id.is_some() && entity == without {
            let why = format!("rows are of entity '{}', which has none", entity.as_str());
            return Err(refused(self.relation.name(), argument, why));
        }
        Ok(id.map(str::to_owned))
    }

    fn integer(&self, argument: Argument) -> Result<Option<i64>> {
        let Some(value) = self.get(argument) else {
            return Ok(None);
        };
        let refuse = || {
            let why = format!("is a whole number, not {value}");
            refused(self.relation.name(), argument, why)
        };
        if !value.data_type().is_integer() {
            return Err(refuse());
        }
        match value.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(number)) => Ok(number),
            _ => Err(refuse()),
        }
    }

    /// An instant: a timestamp, a date as the end of that local day, or text of either.
    fn moment(&self, argument: Argument, zone: Tz) -> Result<Option<Moment>> {
        let Some(value) = self.get(argument) else {
            return Ok(None);
        };
        let refuse = || {
            let why = format!("is a TIMESTAMP or a DATE, not {value}");
            refused(self.relation.name(), argument, why)
        };
        let moment = match value {
            ScalarValue::Date32(Some(day)) => Moment::end_of_day(*day, zone),
            ScalarValue::Date64(Some(ms)) => i32::try_from(ms.div_euclid(86_400_000))
                .ok()
                .and_then(|day| Moment::end_of_day(day, zone)),
            value if matches!(value.data_type(), DataType::Timestamp(_, _)) => {
                let target = vitalog_event::schema::timestamp_type();
                match value.cast_to(&target) {
                    Ok(ScalarValue::TimestampMicrosecond(Some(us), _)) => {
                        Some(Moment::new(us, zone))
                    }
                    _ => None,
                }
            }
            value => {
                let text = value.try_as_str().flatten().ok_or_else(refuse)?.trim();
                let day = ScalarValue::from(text).cast_to(&DataType::Date32);
                match day {
                    Ok(ScalarValue::Date32(Some(day))) if text.len() <= 10 => {
                        Moment::end_of_day(day, zone)
                    }
                    _ => parse_timestamp_us(text)
                        .ok()
                        .map(|us| Moment::new(us, zone)),
                }
            }
        };
        moment.map(Some).ok_or_else(refuse)
    }

    /// The time at which the statement began.
    fn now_us(&self) -> Result<i64> {
        let now = self.state.execution_props().query_execution_start_time;
        now.map(|now| now.timestamp_micros())
            .ok_or_else(|| invalid("the statement has no time of its own; name as_of"))
    }
}

/// Whether a model of one kind of entity can be asked about another: an account has users and
/// members.
pub(super) fn covers(model: Entity, asked: Entity) -> bool {
    match model {
        Entity::Account => true,
        Entity::User | Entity::Member => asked == model,
    }
}

/// The value of an argument: any expression without columns.
fn value_of(
    relation: Relation,
    argument: Argument,
    value: &Expr,
    state: &SessionState,
) -> Result<ScalarValue> {
    let refuse = |why: &str| refused(relation.name(), argument, why);
    let has_placeholder = value.exists(|expr| Ok(matches!(expr, Expr::Placeholder(_))))?;
    if has_placeholder {
        return Err(refuse(&format!(
            "{value} has no value: bind it as a parameter"
        )));
    }
    let is_of_rows = value.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
                | Expr::OuterReferenceColumn(_, _)
        ))
    })?;
    if is_of_rows || value.is_volatile() {
        return Err(refuse(
            "is one value for the statement: a literal, $1, or an expression of them",
        ));
    }
    let no_columns = DFSchema::empty();
    // Some functions, `now()` among them, are only ever replaced by what they mean.
    let context = SimplifyContext::builder()
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time);
    let simplifier = ExprSimplifier::new(context.build());
    let value = simplifier.simplify(simplifier.coerce(value.clone(), &no_columns)?)?;
    let physical = state.create_physical_expr(value, &no_columns)?;
    let one_row = RecordBatchOptions::new().with_row_count(Some(1));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &one_row)?;
    match physical.evaluate(&batch)? {
        ColumnarValue::Scalar(scalar) => Ok(scalar),
        ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0),
    }
}
