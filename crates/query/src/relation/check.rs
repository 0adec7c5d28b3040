//! Whether a model fits a store: its events occur, and every SQL text in it plans.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use chrono_tz::Tz;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility};
use datafusion::sql::sqlparser::ast::ExprWithAlias;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;
use vitalog_store::Domain;

use super::binding::covers;
use super::columns::Relation;
use super::moment::Moment;
use super::question::{Bound, Question};
use super::scope::Scope;
use super::sql;
use crate::diagnosis::{Diagnosis, near};
use crate::dialect::QueryDialect;
use crate::model::{Entity, Model, ModelFault, ModelVersion, SignalSource, SqlText};
use crate::snapshot::StatementSnapshot;
use crate::statement;
use crate::tables::{Kind, TableName};

/// Unknown events that are told at once: each is compared with every name in the store.
const UNKNOWN_TOLD_MAX: usize = 100;

/// Names that only the SQL of relations may call.
const INNER: [&str; 3] = ["instant", "local_day", "weight_units"];

/// What is wrong with `model` over the store of `snapshot`; nothing where all is well.
///
/// # Errors
/// A store that cannot be read.
pub(crate) async fn check(
    model: &Arc<Model>,
    allow_unknown_events: bool,
    state: &SessionState,
    snapshot: &Arc<StatementSnapshot>,
    diagnosis: impl Fn(&str) -> Diagnosis,
) -> Result<Vec<ModelFault>, DataFusionError> {
    let mut faults = Vec::new();
    if !allow_unknown_events {
        unknown_events(model, snapshot, &mut faults);
    }
    let scope = Scope::of_check(snapshot);
    let inner = scope.session(state, Tz::UTC)?;
    for text in texts(model) {
        if let Err(message) = check_text(&text, &inner, &diagnosis) {
            let line = text.sql.line;
            faults.push(ModelFault { line, message });
        }
    }
    if faults.is_empty() {
        circles(model, snapshot, &diagnosis, &mut faults);
    }
    if faults.is_empty() {
        let whole = plan_whole(model, state, snapshot).await;
        if let Err(error) = whole {
            let message = diagnosis("").diagnose(&error).message;
            faults.push(ModelFault { line: 0, message });
        }
    }
    faults.sort();
    Ok(faults)
}

fn unknown_events(model: &Model, snapshot: &StatementSnapshot, faults: &mut Vec<ModelFault>) {
    let symbols = snapshot.snapshot.symbols();
    let all: Vec<u32> = (1..symbols.bound(Domain::Event) as u32).collect();
    let known = symbols.resolve_all(Domain::Event, &all);
    let unknown = model
        .event_names()
        .iter()
        .filter(|(event, _)| symbols.lookup(Domain::Event, event).is_none());
    for (event, line) in unknown.take(UNKNOWN_TOLD_MAX) {
        let suggestion = near(event, known.iter().flatten());
        let suggestion =
            suggestion.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        let message = format!("event \"{event}\" was never seen{suggestion}");
        let line = *line;
        faults.push(ModelFault { line, message });
    }
}

/// Which columns a text may name, and what it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sees {
    Events,
    Traits,
    Everything,
}

struct Text<'a> {
    sql: &'a SqlText,
    schema: Arc<DFSchema>,
    is_condition: bool,
}

fn texts(model: &Model) -> Vec<Text<'_>> {
    let schema = |sees| Arc::new(schema_of(model, sees));
    let (events, traits, all) = (
        schema(Sees::Events),
        schema(Sees::Traits),
        schema(Sees::Everything),
    );
    let mut texts = Vec::new();
    let mut condition = |sql, schema: &Arc<DFSchema>| {
        texts.push(Text {
            sql,
            schema: Arc::clone(schema),
            is_condition: true,
        });
    };
    let signals = || {
        model
            .dimensions
            .iter()
            .flat_map(|dimension| &dimension.signals)
    };
    if let Some(sql) = &model.filter {
        condition(sql, &traits);
    }
    if let Some(sql) = &model.event_filter {
        condition(sql, &events);
    }
    for sql in model
        .weights
        .iter()
        .filter_map(|weight| weight.filter.as_ref())
    {
        condition(sql, &events);
    }
    for signal in signals() {
        if let SignalSource::Events {
            filter: Some(sql), ..
        } = &signal.source
        {
            condition(sql, &events);
        }
    }
    for predicate in model.stages.iter().chain(&model.segments) {
        condition(&predicate.when, &all);
    }
    for signal in signals() {
        if let SignalSource::Sql(sql) = &signal.source {
            texts.push(Text {
                sql,
                schema: Arc::clone(&all),
                is_condition: false,
            });
        }
    }
    texts
}

fn schema_of(model: &Model, sees: Sees) -> DFSchema {
    let fields: Vec<Field> = match sees {
        Sees::Events => TableName::Events
            .schema()
            .fields()
            .iter()
            .map(|field| field.as_ref().clone())
            .collect(),
        Sees::Traits | Sees::Everything => {
            let mut fields = sql::population_fields();
            if sees == Sees::Everything {
                let taken: BTreeSet<String> =
                    fields.iter().map(|field| field.name().clone()).collect();
                let metrics = Relation::HealthScores.columns().iter();
                fields.extend(
                    metrics
                        .filter(|(name, _, _)| {
                            sql::is_metric_column(name) && !taken.contains(*name)
                        })
                        .map(|(name, kind, _)| Field::new(*name, seen_as(*kind), true)),
                );
                let dimensions = model.dimensions.iter();
                let signals = dimensions.flat_map(|dimension| &dimension.signals);
                let others: Vec<Field> = signals
                    .filter(|signal| !sql::is_metric_column(&signal.name))
                    .map(|signal| Field::new(&signal.name, DataType::Float64, true))
                    .collect();
                fields.extend(others);
            }
            fields
        }
    };
    let schema = Schema::new(fields);
    DFSchema::try_from(schema).expect("names of columns and signals are distinct")
}

/// Whole numbers are DOUBLEs to SQL of a model.
fn seen_as(kind: Kind) -> DataType {
    match kind {
        Kind::Integer => DataType::Float64,
        other => other.data_type(),
    }
}

fn check_text(
    text: &Text<'_>,
    state: &SessionState,
    diagnosis: &impl Fn(&str) -> Diagnosis,
) -> Result<(), String> {
    let sql = &text.sql.sql;
    let parsed = Parser::new(&QueryDialect).try_with_sql(sql);
    let mut parser = parsed.map_err(|error| error.to_string())?;
    let parsed = parser.parse_expr().map_err(|error| error.to_string())?;
    let next = parser.next_token();
    if next.token != Token::EOF {
        return Err(format!("one expression is expected, and {next} follows it"));
    }
    let explain = |error: DataFusionError| {
        let found = diagnosis(sql).diagnose(&error);
        match &found.suggestion {
            Some(near) => format!("{}; did you mean {near}?", found.message),
            None => found.message,
        }
    };
    let parsed = ExprWithAlias {
        expr: parsed,
        alias: None,
    };
    let expr = state
        .create_logical_expr_from_sql_expr(parsed, &text.schema)
        .map_err(explain)?;
    check_nodes(&expr).map_err(explain)?;
    let physical = state
        .create_physical_expr(expr.clone(), &text.schema)
        .map_err(explain)?;
    let found = physical
        .data_type(text.schema.as_arrow())
        .map_err(explain)?;
    let fits = match text.is_condition {
        true => matches!(found, DataType::Boolean | DataType::Null),
        false => found.is_numeric() || matches!(found, DataType::Boolean | DataType::Null),
    };
    if fits {
        return Ok(());
    }
    let wanted = if text.is_condition {
        "a condition (true or false)"
    } else {
        "a number"
    };
    let shown = expr.get_type(&text.schema).unwrap_or(found);
    Err(format!("is {wanted}, and {sql} is {shown}"))
}

/// Refuses what is not a function of the row alone.
fn check_nodes(expr: &Expr) -> Result<(), DataFusionError> {
    let is_refused = |expr: &Expr| match expr {
        Expr::ScalarSubquery(_)
        | Expr::Exists(_)
        | Expr::InSubquery(_)
        | Expr::AggregateFunction(_)
        | Expr::WindowFunction(_)
        | Expr::Placeholder(_) => true,
        Expr::ScalarFunction(call) => {
            let is_inner = INNER.contains(&call.func.name());
            is_inner || call.func.signature().volatility != Volatility::Immutable
        }
        _ => false,
    };
    if expr.exists(|expr| Ok(is_refused(expr)))? {
        return Err(super::argument::invalid(
            "SQL of a model depends on its row alone: no subquery, aggregate, window, placeholder, \
             now() or random()",
        ));
    }
    Ok(())
}

/// Signals that need themselves.
fn circles(
    model: &Arc<Model>,
    snapshot: &Arc<StatementSnapshot>,
    diagnosis: &impl Fn(&str) -> Diagnosis,
    faults: &mut Vec<ModelFault>,
) {
    let (question, moment) = sample(model, model.entity, snapshot);
    let scope = Scope::of_check(snapshot);
    let signals = model
        .dimensions
        .iter()
        .flat_map(|dimension| &dimension.signals);
    for signal in signals {
        if let Err(error) = sql::of_column(&question, moment, &signal.name, &scope) {
            let message = diagnosis("").diagnose(&error).message;
            let line = signal.line;
            faults.push(ModelFault { line, message });
        }
    }
}

/// A question of the model at any instant: all plan alike.
fn sample(model: &Arc<Model>, entity: Entity, snapshot: &StatementSnapshot) -> (Question, Moment) {
    let version = Arc::new(ModelVersion {
        model: Arc::clone(model),
        version: 0,
        valid_from_us: None,
        content_hash: String::new(),
        text: Arc::from(""),
    });
    let question = Question {
        version,
        rivals: Vec::new(),
        entity,
        seq: snapshot.seq,
    };
    let zone = model.time_zone.parse().unwrap_or(Tz::UTC);
    (question, Moment::new(1_750_000_000_000_000, zone))
}

/// Plans every column of the model's relations for every entity that it can be asked about.
async fn plan_whole(
    model: &Arc<Model>,
    state: &SessionState,
    snapshot: &Arc<StatementSnapshot>,
) -> Result<(), DataFusionError> {
    for entity in Entity::ALL {
        if !covers(model.entity, entity) {
            continue;
        }
        let (question, moment) = sample(model, entity, snapshot);
        for (relation, bound) in [
            (
                Relation::HealthScores,
                Bound::Scores(question.clone(), moment),
            ),
            (
                Relation::AccountSignals,
                Bound::Signals(question.clone(), moment),
            ),
        ] {
            let names: Vec<&str> = relation.columns().iter().map(|column| column.0).collect();
            let scope = Scope::of_check(snapshot);
            let script = sql::of(&bound, &names, &scope)?;
            let inner = script.session(&scope, state, moment.zone)?;
            let statement = statement::parse(&inner, &script.sql)?;
            inner.statement_to_plan(statement).await?;
        }
    }
    Ok(())
}
