//! What the server can do, as Flight SQL's clients ask before they use it.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity,
    SqlSupportedGroupBy, SqlSupportedResultSetType, SqlSupportedSubqueries,
    SqlSupportedTransaction, SqlSupportedUnions, SqlTransactionIsolationLevel, SupportedSqlGrammar,
};
use vitalog_query::{FunctionDescription, FunctionKind};

use crate::limits::SQL_BYTES_MAX;

/// The format version of Arrow's columns.
const ARROW_FORMAT: &str = "1.5";

/// The rows of `ids`; all of them where none is named.
///
/// # Errors
/// None that the caller causes.
pub(super) fn rows(
    mut ids: Vec<u32>,
    functions: &[FunctionDescription],
) -> Result<RecordBatch, FlightError> {
    ids.sort_unstable();
    ids.dedup();
    let asks_all = ids.is_empty();
    ids.retain(|id| i32::try_from(*id).is_ok_and(|id| SqlInfo::try_from(id).is_ok()));
    if ids.is_empty() && !asks_all {
        // Of ids that are not known there is no row.
        ids.push(u32::MAX);
    }
    data(functions)?.record_batch(ids)
}

fn data(functions: &[FunctionDescription]) -> Result<SqlInfoData, FlightError> {
    let mut infos = SqlInfoDataBuilder::new();
    server(&mut infos);
    names(&mut infos);
    statements(&mut infos);
    let mut scalars: Vec<String> = functions
        .iter()
        .filter(|function| function.kind == FunctionKind::Scalar)
        .map(|function| function.name.clone())
        .collect();
    scalars.sort();
    // Which of them take numbers, text or times the drivers do not need to know.
    infos.append(SqlInfo::SqlSystemFunctions, scalars);
    for kind in [
        SqlInfo::SqlNumericFunctions,
        SqlInfo::SqlStringFunctions,
        SqlInfo::SqlDatetimeFunctions,
    ] {
        infos.append(kind, Vec::<String>::new());
    }
    infos.build()
}

fn server(infos: &mut SqlInfoDataBuilder) {
    infos.append(SqlInfo::FlightSqlServerName, "Vitalog");
    infos.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    infos.append(SqlInfo::FlightSqlServerArrowVersion, ARROW_FORMAT);
    // SQL changes nothing; events are added by ingesting them.
    infos.append(SqlInfo::FlightSqlServerReadOnly, true);
    infos.append(SqlInfo::FlightSqlServerSql, true);
    infos.append(SqlInfo::FlightSqlServerSubstrait, false);
    let none = SqlSupportedTransaction::None as i32;
    infos.append(SqlInfo::FlightSqlServerTransaction, none);
    infos.append(SqlInfo::FlightSqlServerCancel, true);
    infos.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    infos.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    infos.append(SqlInfo::FlightSqlServerStatementTimeout, 0);
    infos.append(SqlInfo::FlightSqlServerTransactionTimeout, 0);
}

fn names(infos: &mut SqlInfoDataBuilder) {
    for changes in [
        SqlInfo::SqlDdlCatalog,
        SqlInfo::SqlDdlSchema,
        SqlInfo::SqlDdlTable,
    ] {
        infos.append(changes, false);
    }
    let lower = SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32;
    infos.append(SqlInfo::SqlIdentifierCase, i64::from(lower));
    infos.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    // They are kept as they are written, for which there is no word.
    let exact = SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32;
    infos.append(SqlInfo::SqlQuotedIdentifierCase, i64::from(exact));
    infos.append(SqlInfo::SqlAllTablesAreSelectable, true);
    infos.append(SqlInfo::SqlSearchStringEscape, "\\");
    infos.append(SqlInfo::SqlExtraNameCharacters, "");
    infos.append(SqlInfo::SqlSchemaTerm, "schema");
    infos.append(SqlInfo::SqlProcedureTerm, "");
    infos.append(SqlInfo::SqlCatalogTerm, "catalog");
    infos.append(SqlInfo::SqlCatalogAtStart, true);
    infos.append(SqlInfo::SqlKeywords, Vec::<String>::new());
}

fn statements(infos: &mut SqlInfoDataBuilder) {
    let nulls = SqlNullOrdering::SqlNullsSortedHigh as i32;
    infos.append(SqlInfo::SqlNullOrdering, i64::from(nulls));
    for supported in [
        SqlInfo::SqlSupportsColumnAliasing,
        SqlInfo::SqlNullPlusNullIsNull,
        SqlInfo::SqlSupportsTableCorrelationNames,
        SqlInfo::SqlSupportsExpressionsInOrderBy,
        SqlInfo::SqlSupportsOrderByUnrelated,
        SqlInfo::SqlSupportsLikeEscapeClause,
        SqlInfo::SqlSupportsNonNullableColumns,
        SqlInfo::SqlCorrelatedSubqueriesSupported,
    ] {
        infos.append(supported, true);
    }
    for unsupported in [
        SqlInfo::SqlSupportsDifferentTableCorrelationNames,
        SqlInfo::SqlSupportsIntegrityEnhancementFacility,
        SqlInfo::SqlSelectForUpdateSupported,
        SqlInfo::SqlStoredProceduresSupported,
        SqlInfo::SqlTransactionsSupported,
        SqlInfo::SqlDataDefinitionCausesTransactionCommit,
        SqlInfo::SqlDataDefinitionsInTransactionsIgnored,
        SqlInfo::SqlBatchUpdatesSupported,
        SqlInfo::SqlSavepointsSupported,
        SqlInfo::SqlNamedParametersSupported,
        SqlInfo::SqlLocatorsUpdateCopy,
        SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported,
        SqlInfo::SqlMaxRowSizeIncludesBlobs,
    ] {
        infos.append(unsupported, false);
    }
    for (info, choices) in [
        (
            SqlInfo::SqlSupportedGroupBy,
            bits(&[
                SqlSupportedGroupBy::SqlGroupByUnrelated as i32,
                SqlSupportedGroupBy::SqlGroupByBeyondSelect as i32,
            ]),
        ),
        (
            SqlInfo::SqlSupportedGrammar,
            bits(&[
                SupportedSqlGrammar::SqlMinimumGrammar as i32,
                SupportedSqlGrammar::SqlCoreGrammar as i32,
                SupportedSqlGrammar::SqlExtendedGrammar as i32,
            ]),
        ),
        (
            SqlInfo::SqlOuterJoinsSupportLevel,
            bits(&[SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32]),
        ),
        (
            SqlInfo::SqlSupportedSubqueries,
            bits(&[
                SqlSupportedSubqueries::SqlSubqueriesInComparisons as i32,
                SqlSupportedSubqueries::SqlSubqueriesInExists as i32,
                SqlSupportedSubqueries::SqlSubqueriesInIns as i32,
            ]),
        ),
        (
            SqlInfo::SqlSupportedUnions,
            bits(&[
                SqlSupportedUnions::SqlUnion as i32,
                SqlSupportedUnions::SqlUnionAll as i32,
            ]),
        ),
        (
            SqlInfo::SqlSupportedResultSetTypes,
            bits(&[SqlSupportedResultSetType::SqlResultSetTypeForwardOnly as i32]),
        ),
        (
            SqlInfo::SqlSupportedTransactionsIsolationLevels,
            bits(&[SqlTransactionIsolationLevel::SqlTransactionNone as i32]),
        ),
        (SqlInfo::SqlAnsi92SupportedLevel, 0b1),
        (SqlInfo::SqlSchemasSupportedActions, 0),
        (SqlInfo::SqlCatalogsSupportedActions, 0),
        (SqlInfo::SqlSupportedPositionedCommands, 0),
    ] {
        infos.append(info, choices);
    }
    let isolation = SqlTransactionIsolationLevel::SqlTransactionNone as i32;
    infos.append(
        SqlInfo::SqlDefaultTransactionIsolation,
        i64::from(isolation),
    );
    infos.append(SqlInfo::SqlSupportsConvert, HashMap::<i32, Vec<i32>>::new());
    let length = i64::try_from(SQL_BYTES_MAX).unwrap_or(i64::MAX);
    infos.append(SqlInfo::SqlMaxStatementLength, length);
}

/// A set of choices: the bit of each is its number.
fn bits(choices: &[i32]) -> i32 {
    choices.iter().fold(0, |set, choice| set | 1 << choice)
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::UInt32Type;

    use super::*;

    fn ids(asked: Vec<u32>) -> Vec<u32> {
        let rows = rows(asked, &[]).expect("rows");
        rows.column(0)
            .as_primitive::<UInt32Type>()
            .values()
            .to_vec()
    }

    #[test]
    fn what_is_asked_for_is_told_once_and_nothing_else() {
        assert_eq!(ids(vec![504, 8, 8, 99_999]), [8, 504]);
        assert_eq!(ids(vec![99_999]), [] as [u32; 0]);
        let all = ids(Vec::new());
        assert!(all.len() > 60 && all.contains(&8) && all.contains(&504));
    }
}
