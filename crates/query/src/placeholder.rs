//! Placeholders as they are written: drivers put `?` where `$1`, `$2`, … stand.
//!
//! In an expression `?` is an operator where it stands between two operands, and a placeholder
//! where it stands for one; the parser has told them apart. Here placeholders get their numbers, in
//! the order of the text, and those that are joined by `||` the type that nothing else tells.
//! Invariant: a statement that leaves this file has numbered or named placeholders only.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Statement as SqlStatement, Value, visit_expressions,
    visit_expressions_mut,
};

use crate::error::QueryError;

/// A placeholder without a number.
pub(crate) const UNNUMBERED: char = '?';

/// Numbers the placeholders of `statement` that have no number, and gives those a type that are
/// joined to each other.
///
/// # Errors
/// `?` beside `$1`.
pub(crate) fn settle(statement: &mut Statement) -> Result<(), DataFusionError> {
    match statement {
        Statement::Statement(statement) => {
            number(statement)?;
            join_as_text(statement);
            Ok(())
        }
        Statement::Explain(explain) => settle(&mut explain.statement),
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => Ok(()),
    }
}

fn number(statement: &mut SqlStatement) -> Result<(), DataFusionError> {
    // The place of a placeholder in the text, and its number.
    let mut places = BTreeMap::new();
    let mut numbered = None;
    let _ = visit_expressions(statement, |expr| {
        match placeholder(expr) {
            Some((text, place)) if is_unnumbered(text) => {
                places.insert(place, 0);
            }
            Some((text, _)) => numbered = Some(text.to_owned()),
            None => {}
        }
        ControlFlow::<()>::Continue(())
    });
    if places.is_empty() {
        return Ok(());
    }
    if let Some(text) = numbered {
        let message = format!("the statement has ? and {text} as placeholders; use one");
        return Err(QueryError::invalid(message).into());
    }
    for (number, place) in (1..).zip(places.values_mut()) {
        *place = number;
    }
    renumber(statement, &places);
    Ok(())
}

fn renumber(statement: &mut SqlStatement, places: &BTreeMap<(u64, u64), usize>) {
    let _ = visit_expressions_mut(statement, |expr| {
        let number = placeholder(expr)
            .filter(|(text, _)| is_unnumbered(text))
            .and_then(|(_, place)| places.get(&place));
        if let (Some(number), Expr::Value(value)) = (number, expr) {
            value.value = Value::Placeholder(format!("${number}"));
        }
        ControlFlow::<()>::Continue(())
    });
}

/// Makes texts of placeholders that are joined to each other: of `$1 || $2` nothing tells a type,
/// and statements are planned before they have values.
fn join_as_text(statement: &mut SqlStatement) {
    let _ = visit_expressions_mut(statement, |expr| {
        if let Expr::BinaryOp { left, op, right } = expr
            && *op == BinaryOperator::StringConcat
            && placeholder(left).is_some()
            && placeholder(right).is_some()
        {
            let untyped = std::mem::replace(left.as_mut(), Expr::value(Value::Null));
            **left = Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(untyped),
                data_type: DataType::Varchar(None),
                array: false,
                format: None,
            };
        }
        ControlFlow::<()>::Continue(())
    });
}

/// The text of a placeholder, and its line and column.
fn placeholder(expr: &Expr) -> Option<(&str, (u64, u64))> {
    let Expr::Value(value) = expr else {
        return None;
    };
    match &value.value {
        Value::Placeholder(text) => {
            let start = value.span.start;
            Some((text, (start.line, start.column)))
        }
        _ => None,
    }
}

fn is_unnumbered(text: &str) -> bool {
    text.len() == 1 && text.starts_with(UNNUMBERED)
}

#[cfg(test)]
mod tests {
    use datafusion::sql::parser::DFParserBuilder;

    use super::*;
    use crate::dialect::QueryDialect;

    fn settled(sql: &str) -> Result<String, String> {
        let parser = DFParserBuilder::new(sql).with_dialect(&QueryDialect);
        let mut parser = parser.build().expect("a parser");
        let mut statements = parser.parse_statements().expect(sql);
        let mut statement = statements.pop_front().expect("a statement");
        settle(&mut statement).map_err(|error| error.to_string())?;
        Ok(statement.to_string())
    }

    #[test]
    fn question_marks_are_numbered_in_the_order_of_the_text() {
        let check = |sql: &str, expected: &str| assert_eq!(settled(sql).as_deref(), Ok(expected));
        check("SELECT ?, ?", "SELECT $1, $2");
        check(
            "WITH a AS (SELECT ? AS x) SELECT x, ? FROM a WHERE x = ? ORDER BY ? LIMIT ? OFFSET ?",
            "WITH a AS (SELECT $1 AS x) SELECT x, $2 FROM a WHERE x = $3 ORDER BY $4 LIMIT $5 \
             OFFSET $6",
        );
        check(
            "SELECT f(x => ?) FROM t WHERE p ? 'a' AND b IN (?, ?)",
            "SELECT f(x => $1) FROM t WHERE p ? 'a' AND b IN ($2, $3)",
        );
        check("SELECT '?' WHERE p ? ?", "SELECT '?' WHERE p ? $1");
        check("SELECT $2, $1", "SELECT $2, $1");
        check("EXPLAIN SELECT ?", "EXPLAIN SELECT $1");
    }

    #[test]
    fn what_is_joined_is_text() {
        let check = |sql: &str, expected: &str| assert_eq!(settled(sql).as_deref(), Ok(expected));
        check(
            "SELECT ? || ? || ?",
            "SELECT CAST($1 AS VARCHAR) || $2 || $3",
        );
        check("SELECT a || $1, $2 || 'x'", "SELECT a || $1, $2 || 'x'");
        check("SELECT $1 + $2", "SELECT $1 + $2");
    }

    #[test]
    fn both_ways_at_once_are_refused() {
        let message = settled("SELECT ?, $1").expect_err("both");
        assert!(message.contains("? and $1"), "{message}");
    }
}
