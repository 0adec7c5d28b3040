//! Relations as SQL over `events` and the derived tables of a scope.
//!
//! SQL is the plainest way to say what a metric is, and DataFusion plans it like any other. Names
//! that begin with `$` are inner columns and cannot meet a model's own.

mod doubles;
mod explain;
mod green_days;
mod layers;
mod metrics;
mod population;
mod rules;
mod scores;
mod sessions;
mod signals;
mod sources;
mod steps;
mod text;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono_tz::Tz;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::execution::registry::FunctionRegistry;
use datafusion::logical_expr::ScalarUDF;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

pub(super) use self::population::fields as population_fields;
use self::scores::ScoreQuery;
pub(super) use self::signals::is_metric_column;

use super::argument::invalid;
use super::moment::Moment;
use super::question::{Bound, Question};
use super::scope::Scope;
use crate::error::{QueryError, QueryErrorKind};

/// SQL, and the functions of the model that it calls.
#[derive(Debug)]
pub(super) struct Script {
    pub sql: String,
    pub natives: Vec<ScalarUDF>,
}

impl Script {
    fn new(sql: String, natives: Vec<ScalarUDF>) -> Self {
        Self { sql, natives }
    }

    /// The session in which it plans.
    pub fn session(
        &self,
        scope: &Scope,
        outer: &SessionState,
        zone: Tz,
    ) -> Result<SessionState, DataFusionError> {
        let mut state = scope.session(outer, zone)?;
        for native in &self.natives {
            state.register_udf(Arc::new(native.clone()))?;
        }
        Ok(state)
    }
}

/// Most bytes of SQL that a relation may come to: a large model over many instants.
const SQL_BYTES_MAX: usize = 16 << 20;

/// SQL of one column of `health_scores` or signal, for what it says of the model.
pub(super) fn of_column(
    question: &Question,
    moment: Moment,
    column: &str,
    scope: &Scope,
) -> Result<String, DataFusionError> {
    let wanted = BTreeSet::from([column.to_owned()]);
    ScoreQuery::new(question, moment, scope).sql(&wanted)
}

/// The `columns` of a relation, in this order.
///
/// # Errors
/// Instants outside the calendar, columns that need themselves, and more SQL than
/// [`SQL_BYTES_MAX`].
pub(super) fn of(
    bound: &Bound,
    columns: &[&str],
    scope: &Scope,
) -> Result<Script, DataFusionError> {
    match bound {
        Bound::Scores(question, moment) => health_scores(question, *moment, columns, scope),
        Bound::Signals(question, moment) => {
            signals::account_signals(question, *moment, columns, scope)
        }
        Bound::Explain {
            question,
            moment,
            account,
            user,
        } => {
            let chosen = (account.as_deref(), user.as_deref());
            explain::health_explain(question, *moment, chosen, columns, scope)
        }
        Bound::Steps(question, moment) => {
            scope.check_history("when a step was first done", i64::MIN)?;
            Ok(steps::health_steps(question, *moment, columns, scope))
        }
        Bound::History(question, moments) => {
            let mut parts = Vec::with_capacity(moments.len());
            let mut natives = Vec::new();
            let mut bytes = 0;
            for moment in moments {
                let part = health_scores(question, *moment, columns, scope)?;
                bytes += part.sql.len();
                if bytes > SQL_BYTES_MAX {
                    let message = format!(
                        "health_history: {} instants of model {} are too much at once; \
                         ask for fewer instants or columns",
                        moments.len(),
                        question.model().name
                    );
                    let error = QueryError::new(QueryErrorKind::Limit, message);
                    return Err(error.into());
                }
                parts.push(part.sql);
                natives = part.natives;
            }
            Ok(Script::new(parts.join(" UNION ALL "), natives))
        }
        Bound::Sessions {
            gap_us,
            since_us,
            until_us,
            ..
        } => {
            scope.check_history("health_sessions", *since_us)?;
            Ok(sessions::relation(*gap_us, *since_us, *until_us, columns))
        }
    }
}

fn health_scores(
    question: &Question,
    moment: Moment,
    columns: &[&str],
    scope: &Scope,
) -> Result<Script, DataFusionError> {
    let shared = |column: &&&str| shared_column(column, question, moment).is_some();
    let wanted: BTreeSet<String> = columns
        .iter()
        .filter(|column| !shared(column))
        .map(|&column| column.to_owned())
        .collect();
    let natives = if wanted.contains("segments") {
        signals::natives_of(question.model())
    } else {
        vec![]
    };
    let rows = ScoreQuery::new(question, moment, scope).sql(&wanted)?;
    let shown: Vec<String> = columns
        .iter()
        .map(|column| shared_column(column, question, moment).unwrap_or_else(|| text::name(column)))
        .collect();
    Ok(Script::new(
        format!("SELECT {} FROM ({rows})", shown.join(", ")),
        natives,
    ))
}

/// The columns that say which question a row answers and for whom; `None` for all others.
fn shared_column(column: &str, question: &Question, moment: Moment) -> Option<String> {
    let keys = population::keys(question.entity);
    Some(match column {
        "model" => format!("{} AS model", text::text(&question.model().name)),
        "version" => format!("CAST({} AS BIGINT) AS version", question.version.version),
        "as_of" => format!("{} AS as_of", text::instant(moment.instant_us)),
        "account_id" | "user_id" if keys.contains(&column) => column.to_owned(),
        "account_id" | "user_id" => format!("CAST(NULL AS VARCHAR) AS {column}"),
        _ => return None,
    })
}

/// The words of SQL that may be columns, as names: lower case unless quoted. None where it cannot
/// be read.
pub(super) fn words(sql: &str) -> BTreeSet<String> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize();
    let mut tokens: Vec<Token> = tokens.unwrap_or_default();
    tokens.retain(|token| !matches!(token, Token::Whitespace(_)));
    let is_call = |at: usize| tokens.get(at + 1) == Some(&Token::LParen);
    let name = |(at, token): (usize, &Token)| match token {
        Token::Word(_) if is_call(at) => None,
        Token::Word(word) if word.quote_style.is_some() => Some(word.value.clone()),
        Token::Word(word) => Some(word.value.to_ascii_lowercase()),
        _ => None,
    };
    tokens.iter().enumerate().filter_map(name).collect()
}
