//! The SQL that statements are written in: the generic dialect, with operators on JSON.
//!
//! In the generic dialect `->` and `->>` bind more loosely than `=`, so that `p ->> 'a' = 'b'` would
//! ask for the key that `'a' = 'b'` is, and `?` is no operator. Here all of them bind more tightly
//! than arithmetic and comparisons, from left to right; `::` binds more tightly still.
//!
//! Invariant: everything else is read as the generic dialect reads it.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

/// The dialect of every statement, and of SQL in models.
#[derive(Debug)]
pub(crate) struct QueryDialect;

/// What the tokenizer of the generic dialect makes of a question mark.
const QUESTION_MARK: &str = "?";

macro_rules! as_generic {
    ($($method:ident,)*) => {
        $(fn $method(&self) -> bool {
            GenericDialect.$method()
        })*
    };
}

impl Dialect for QueryDialect {
    /// Where the parser asks for a dialect by its type, it is the generic one.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, char: char) -> bool {
        GenericDialect.is_delimited_identifier_start(char)
    }

    fn is_identifier_start(&self, char: char) -> bool {
        GenericDialect.is_identifier_start(char)
    }

    fn is_identifier_part(&self, char: char) -> bool {
        GenericDialect.is_identifier_part(char)
    }

    as_generic! {
        supports_unicode_string_literal,
        supports_partition_by_after_order_by,
        supports_array_join_syntax,
        supports_group_by_expr,
        supports_group_by_with_modifier,
        supports_left_associative_joins_without_parens,
        supports_connect_by,
        supports_match_recognize,
        supports_pipe_operator,
        supports_start_transaction_modifier,
        supports_window_function_null_treatment_arg,
        supports_dictionary_syntax,
        supports_window_clause_named_window_reference,
        supports_parenthesized_set_variables,
        supports_select_wildcard_except,
        support_map_literal_syntax,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_extract_comma_syntax,
        supports_create_view_comment_syntax,
        supports_parens_around_table_factor,
        supports_values_as_table_factor,
        supports_create_index_with_clause,
        supports_explain_with_utility_options,
        supports_limit_comma,
        supports_update_order_by,
        supports_from_first_select,
        supports_projection_trailing_commas,
        supports_asc_desc_in_column_definition,
        supports_try_convert,
        supports_bitwise_shift_operators,
        supports_comment_on,
        supports_load_extension,
        supports_named_fn_args_with_assignment_operator,
        supports_struct_literal,
        supports_empty_projections,
        supports_nested_comments,
        supports_multiline_comment_hints,
        supports_user_host_grantee,
        supports_string_escape_constant,
        supports_array_typedef_with_brackets,
        supports_match_against,
        supports_set_names,
        supports_comma_separated_set_assignments,
        supports_filter_during_aggregation,
        supports_select_wildcard_exclude,
        supports_data_type_signed_suffix,
        supports_interval_options,
        supports_quote_delimited_string,
        supports_select_wildcard_replace,
        supports_select_wildcard_ilike,
        supports_select_wildcard_rename,
        supports_optimize_table,
        supports_install,
        supports_detach,
        supports_prewhere,
        supports_with_fill,
        supports_limit_by,
        supports_interpolate,
        supports_settings,
        supports_select_format,
        supports_comment_optimizer_hint,
        supports_constraint_keyword_without_name,
        supports_key_column_option,
        supports_comma_separated_trim,
        supports_cte_without_as,
        supports_select_item_multi_column_alias,
        supports_xml_expressions,
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        let is_json = match &parser.peek_token_ref().token {
            Token::Arrow | Token::LongArrow | Token::HashArrow | Token::HashLongArrow => true,
            Token::Placeholder(text) => text == QUESTION_MARK,
            _ => false,
        };
        is_json.then(|| Ok(json_precedence(self)))
    }

    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        left: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        match &parser.peek_token_ref().token {
            Token::Placeholder(text) if text == QUESTION_MARK => {}
            _ => return None,
        }
        parser.advance_token();
        let right = parser.parse_subexpr(precedence);
        Some(right.map(|right| Expr::BinaryOp {
            left: Box::new(left.clone()),
            op: BinaryOperator::Question,
            right: Box::new(right),
        }))
    }
}

/// Between `::` and `AT TIME ZONE`.
fn json_precedence(dialect: &QueryDialect) -> u8 {
    dialect.prec_value(Precedence::AtTz) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expression as read, with parentheses around each operation.
    fn read(sql: &str) -> String {
        fn show(expr: &Expr) -> String {
            match expr {
                Expr::BinaryOp { left, op, right } => {
                    format!("({} {op} {})", show(left), show(right))
                }
                other => other.to_string(),
            }
        }
        let parser = Parser::new(&QueryDialect).try_with_sql(sql);
        let mut parser = parser.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let expr = parser.parse_expr();
        let expr = expr.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(parser.next_token().token, Token::EOF, "{sql}");
        show(&expr)
    }

    #[test]
    fn operators_on_json_bind_tightly() {
        let check = |sql: &str, expected: &str| assert_eq!(read(sql), expected);
        check("p ->> 'a' = 'b'", "((p ->> 'a') = 'b')");
        check("'b' = p ->> 'a'", "('b' = (p ->> 'a'))");
        check("p -> 'a' ->> 'b'", "((p -> 'a') ->> 'b')");
        check("p ->> 'a' || p ->> 'b'", "((p ->> 'a') || (p ->> 'b'))");
        check("p -> 'a' * 2 + 1", "(((p -> 'a') * 2) + 1)");
        check("p ? 'a' AND q", "((p ? 'a') AND q)");
        check("p -> 'a' ? 'b'", "((p -> 'a') ? 'b')");
        check("p #>> q = 'x'", "((p #>> q) = 'x')");
        check("a + b * c = d", "((a + (b * c)) = d)");
    }

    #[test]
    fn everything_else_is_the_generic_dialect() {
        let generic = |sql| Parser::parse_sql(&GenericDialect, sql).expect(sql);
        for sql in [
            "SELECT {'a': 1}, [1, 2][1], CAST(x AS BIGINT), x::TEXT FROM t WHERE a = ?",
            "FROM t SELECT * EXCLUDE (b), f(x => 1), count(*) FILTER (WHERE y) LIMIT 1, 2",
            "SELECT interval '1 day', EXTRACT(EPOCH FROM x), `a`, \"b\" FROM t |> LIMIT 3",
        ] {
            let ours = Parser::parse_sql(&QueryDialect, sql).expect(sql);
            assert_eq!(ours, generic(sql), "{sql}");
        }
    }
}
