//! Lists: what clients ask before they show a tree of tables.

use arrow::array::{AsArray, RecordBatch, UnionArray};
use arrow::datatypes::{Int32Type, UInt32Type};
use arrow_flight::IpcMessage;
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo, SqlInfo,
};
use vitalog_wire::vitalog::v1::ViewServiceApplyRequest;

use crate::support::TestServer;
use crate::{Client, ask, client, fetch};

fn texts(rows: &RecordBatch, column: &str) -> Vec<String> {
    let column = rows.column_by_name(column).unwrap().as_string::<i32>();
    column.iter().map(|text| text.unwrap().to_owned()).collect()
}

async fn tables(client: &mut Client, command: CommandGetTables) -> RecordBatch {
    let info = client.get_tables(command).await.unwrap();
    fetch(client, info).await.unwrap().1
}

async fn with_view() -> (TestServer, Client) {
    let server = TestServer::start().await;
    let view = ViewServiceApplyRequest {
        name: "logins".to_owned(),
        sql: "SELECT account_id, count(*) AS n FROM events GROUP BY account_id".to_owned(),
    };
    server.views().await.apply(view).await.unwrap();
    let client = client(&server).await;
    (server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_catalog_with_one_schema() {
    let (_server, mut client) = with_view().await;
    let info = client.get_catalogs().await.unwrap();
    let rows = fetch(&mut client, info).await.unwrap().1;
    assert_eq!(texts(&rows, "catalog_name"), ["vitalog"]);
    for (catalog, pattern, expected) in [
        (None, None, 1),
        (Some("vitalog"), Some("pub%"), 1),
        (Some("other"), None, 0),
        (None, Some("p_"), 0),
    ] {
        let command = CommandGetDbSchemas {
            catalog: catalog.map(str::to_owned),
            db_schema_filter_pattern: pattern.map(str::to_owned),
        };
        let info = client.get_db_schemas(command).await.unwrap();
        let rows = fetch(&mut client, info).await.unwrap().1;
        assert_eq!(rows.num_rows(), expected, "{catalog:?} {pattern:?}");
    }
    let info = client.get_table_types().await.unwrap();
    let rows = fetch(&mut client, info).await.unwrap().1;
    assert_eq!(texts(&rows, "table_type"), ["TABLE", "VIEW"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_found_by_pattern_and_type() {
    let (_server, mut client) = with_view().await;
    let all = tables(&mut client, CommandGetTables::default()).await;
    let names = texts(&all, "table_name");
    assert!(names.contains(&"events".to_owned()) && names.contains(&"logins".to_owned()));
    assert!(all.column_by_name("table_schema").is_none());
    let named = |pattern: &str| CommandGetTables {
        table_name_filter_pattern: Some(pattern.to_owned()),
        ..CommandGetTables::default()
    };
    let of_type = |name: &str| CommandGetTables {
        table_types: vec![name.to_owned()],
        ..CommandGetTables::default()
    };
    for (command, expected) in [
        (named("event%"), vec!["event_catalog", "events"]),
        (named("event_"), vec!["events"]),
        (named("nothing"), vec![]),
        (of_type("VIEW"), vec!["logins"]),
        (of_type("SYNONYM"), vec![]),
        (
            CommandGetTables {
                db_schema_filter_pattern: Some("private".to_owned()),
                ..CommandGetTables::default()
            },
            vec![],
        ),
    ] {
        let rows = tables(&mut client, command).await;
        assert_eq!(texts(&rows, "table_name"), expected);
    }
}

/// The schema of a table is the schema of `SELECT *`.
#[tokio::test(flavor = "multi_thread")]
async fn tables_come_with_their_columns() {
    let (_server, mut client) = with_view().await;
    let command = CommandGetTables {
        include_schema: true,
        ..CommandGetTables::default()
    };
    let rows = tables(&mut client, command).await;
    let names = texts(&rows, "table_name");
    let schemas = rows.column_by_name("table_schema").unwrap();
    let schemas = schemas.as_binary::<i32>();
    for (row, name) in names.iter().enumerate() {
        let bytes = schemas.value(row).to_vec();
        let listed = arrow::datatypes::Schema::try_from(IpcMessage(bytes.into())).unwrap();
        let asked = ask(&mut client, &format!("SELECT * FROM {name} LIMIT 0")).await;
        assert_eq!(asked.unwrap().schema().as_ref(), &listed, "{name}");
    }
    assert!(names.len() >= 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_keys() {
    let (_server, mut client) = with_view().await;
    let table = || "events".to_owned();
    let infos = [
        client
            .get_primary_keys(CommandGetPrimaryKeys {
                table: table(),
                ..CommandGetPrimaryKeys::default()
            })
            .await,
        client
            .get_exported_keys(CommandGetExportedKeys {
                table: table(),
                ..CommandGetExportedKeys::default()
            })
            .await,
        client
            .get_imported_keys(CommandGetImportedKeys {
                table: table(),
                ..CommandGetImportedKeys::default()
            })
            .await,
        client
            .get_cross_reference(CommandGetCrossReference {
                pk_table: table(),
                fk_table: table(),
                ..CommandGetCrossReference::default()
            })
            .await,
    ];
    for (info, columns) in infos.into_iter().zip([6, 13, 13, 13]) {
        let (schema, rows) = fetch(&mut client, info.unwrap()).await.unwrap();
        assert_eq!((schema.fields().len(), rows.num_rows()), (columns, 0));
    }
}

fn union_text(values: &UnionArray, row: usize) -> String {
    values.value(row).as_string::<i32>().value(0).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn abilities_are_told() {
    let (_server, mut client) = with_view().await;
    let infos = vec![
        SqlInfo::SqlIdentifierQuoteChar,
        SqlInfo::FlightSqlServerTransaction,
        SqlInfo::FlightSqlServerName,
        SqlInfo::FlightSqlServerBulkIngestion,
    ];
    let info = client.get_sql_info(infos).await.unwrap();
    let rows = fetch(&mut client, info).await.unwrap().1;
    let names = rows
        .column(0)
        .as_primitive::<UInt32Type>()
        .values()
        .to_vec();
    assert_eq!(names, [0, 8, 10, 504]);
    let values = rows.column(1).as_union();
    assert_eq!(union_text(values, 0), "Vitalog");
    let transactions = values.value(1);
    assert_eq!(transactions.as_primitive::<Int32Type>().value(0), 0);
    assert!(values.value(2).as_boolean().value(0));
    assert_eq!(union_text(values, 3), "\"");
    let info = client.get_sql_info(Vec::new()).await.unwrap();
    let all = fetch(&mut client, info).await.unwrap().1;
    assert!(all.num_rows() > 60, "{}", all.num_rows());
}

#[tokio::test(flavor = "multi_thread")]
async fn types_are_told() {
    let (_server, mut client) = with_view().await;
    for (data_type, expected) in [(None, 11), (Some(12), 1), (Some(999), 0)] {
        let command = CommandGetXdbcTypeInfo { data_type };
        let info = client.get_xdbc_type_info(command).await.unwrap();
        let rows = fetch(&mut client, info).await.unwrap().1;
        assert_eq!(rows.num_rows(), expected, "{data_type:?}");
    }
}
