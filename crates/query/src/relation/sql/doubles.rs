//! SQL of a model over the columns of an entity, where whole numbers are DOUBLEs: a share of
//! members divides as people expect, and dividing by zero is no error.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, Ident, visit_expressions_mut,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::{population, signals, text};
use crate::dialect::QueryDialect;
use crate::model::SqlText;
use crate::relation::Relation;
use crate::tables::Kind;

/// `sql` as an operand. It was parsed when its model was taken.
pub(super) fn expression(sql: &SqlText) -> String {
    let parsed = Parser::new(&QueryDialect).try_with_sql(&sql.sql);
    let Ok(mut expr) = parsed.and_then(|mut parser| parser.parse_expr()) else {
        return text::expression(sql);
    };
    let _: ControlFlow<()> = visit_expressions_mut(&mut expr, |part| {
        if let Expr::Identifier(name) = part
            && is_integer(name)
        {
            *part = as_double(name.clone());
        }
        ControlFlow::Continue(())
    });
    format!("({expr})")
}

fn as_double(name: Ident) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::Identifier(name)),
        data_type: DataType::Double(ExactNumberInfo::None),
        array: false,
        format: None,
    }
}

/// Whether a name is that of a column of whole numbers.
fn is_integer(name: &Ident) -> bool {
    let name = match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_ascii_lowercase(),
    };
    let is_metric = |(column, kind, _): &(&str, Kind, &str)| {
        *column == name && *kind == Kind::Integer && signals::is_metric_column(column)
    };
    population::is_integer(&name) || Relation::HealthScores.columns().iter().any(is_metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_doubles_and_nothing_else_is_touched() {
        let check = |sql: &str, expected: &str| {
            let (sql, line) = (sql.to_owned(), 1);
            assert_eq!(expression(&SqlText { sql, line }), expected);
        };
        check(
            "active_members / Seats -- a comment",
            "(CAST(active_members AS DOUBLE) / CAST(Seats AS DOUBLE))",
        );
        check(
            "score >= 85 AND plan = 'pro'",
            "(score >= 85 AND plan = 'pro')",
        );
        check("abs(tenure_days)", "(abs(CAST(tenure_days AS DOUBLE)))");
    }
}
