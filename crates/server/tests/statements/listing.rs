//! The list of statements, in messages and in SQL, and cancelling.

use tonic::{Code, Request};
use vitalog_server::{Access, Scope, ServerConfig, TokenLine, Tokens};
use vitalog_store::StoreConfig;
use vitalog_wire::vitalog::v1::{CancelQueryRequest, ListQueriesRequest, QueryRequest, QueryState};

use crate::support::{TestServer, cause, free_port};
use crate::{ENDLESS, SILENT, number, quiet, rows, sql};

fn named(id: &str, text: &str) -> QueryRequest {
    QueryRequest {
        query_id: Some(id.to_owned()),
        ..sql(text)
    }
}

fn cancel(id: &str) -> CancelQueryRequest {
    CancelQueryRequest {
        query_id: id.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_listed_while_it_runs_and_after() {
    let server = TestServer::start().await;
    let mut queries = server.queries().await;
    let mut stream = queries
        .query(named("long", ENDLESS))
        .await
        .unwrap()
        .into_inner();
    let status = queries.query(named("long", "SELECT 1")).await.unwrap_err();
    assert_eq!(
        cause(&status),
        (Code::AlreadyExists, "QUERY_ID_TAKEN".to_owned())
    );
    let running = ListQueriesRequest {
        running_only: true,
        ..ListQueriesRequest::default()
    };
    let listed = queries
        .list_queries(running.clone())
        .await
        .unwrap()
        .into_inner()
        .queries;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].query_id.as_str(), listed[0].sql.as_str()),
        ("long", ENDLESS)
    );
    assert_eq!(listed[0].state(), QueryState::Running);
    assert_eq!(listed[0].surface, "grpc");
    assert!(listed[0].peer().starts_with("127.0.0.1:"));

    let ended = queries
        .cancel_query(cancel("long"))
        .await
        .unwrap()
        .into_inner();
    assert!(ended.was_running);
    let status = loop {
        match stream.message().await {
            Ok(message) => assert!(message.is_some(), "it does not end well"),
            Err(status) => break status,
        }
    };
    assert_eq!(cause(&status), (Code::Cancelled, "CANCELLED".to_owned()));
    quiet(&server).await;
    let again = queries
        .cancel_query(cancel("long"))
        .await
        .unwrap()
        .into_inner();
    assert!(!again.was_running);
    let status = queries.cancel_query(cancel("other")).await.unwrap_err();
    assert_eq!(
        cause(&status),
        (Code::NotFound, "QUERY_NOT_FOUND".to_owned())
    );
    assert!(
        queries
            .list_queries(running)
            .await
            .unwrap()
            .into_inner()
            .queries
            .is_empty()
    );

    // The same in SQL, the statement that asks included.
    let (found, _) = rows(
        &mut queries,
        named(
            "asking",
            "SELECT query_id, state, reason, sql FROM system.queries ORDER BY started_at",
        ),
    )
    .await
    .unwrap();
    let words: Vec<_> = found
        .iter()
        .map(|row| (&row["query_id"], &row["state"]))
        .collect();
    assert_eq!(words.len(), 2, "{words:?}");
    assert_eq!(
        (found[0]["query_id"].as_str(), found[0]["reason"].as_str()),
        (Some("long"), Some("CANCELLED"))
    );
    assert_eq!(found[1]["query_id"], "asking");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_computes_without_a_row_is_cancelled() {
    let server = TestServer::start().await;
    let mut queries = server.queries().await;
    // Its answer has begun, and nobody reads it.
    let _unread = queries.query(named("silent", SILENT)).await.unwrap();
    assert!(
        queries
            .cancel_query(cancel("silent"))
            .await
            .unwrap()
            .into_inner()
            .was_running
    );
    quiet(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_a_table_among_tables() {
    let server = TestServer::start().await;
    let mut queries = server.queries().await;
    let schemas = "SELECT count(*) FROM information_schema.tables \
                   WHERE table_schema = 'system' AND table_name = 'queries'";
    assert_eq!(number(&mut queries, sql(schemas)).await, 1);
    let columns = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'system'";
    assert_eq!(number(&mut queries, sql(columns)).await, 17);
    let joined = "SELECT count(*) FROM system.queries a JOIN system.queries b \
                  ON a.query_id = b.query_id WHERE a.state = 'finished'";
    assert_eq!(number(&mut queries, sql(joined)).await, 2);
    let status = rows(&mut queries, sql("SELECT * FROM queries"))
        .await
        .unwrap_err();
    assert_eq!(cause(&status).1, "INVALID_SQL");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_see_and_end_their_own() {
    let line = |name, scope, token| TokenLine::new(name, &[scope], token).unwrap();
    let lines = [
        line("bi", Scope::Read, "of bi"),
        line("etl", Scope::Read, "of etl"),
        line("ops", Scope::Admin, "of ops"),
    ];
    let text = lines.map(|line| line.to_string()).join("\n");
    let config = ServerConfig {
        access: Access::with_tokens(Tokens::parse(&text).unwrap()),
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let mut queries = server.queries().await;
    fn with<T>(message: T, token: &str) -> Request<T> {
        let mut request = Request::new(message);
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        request
    }
    let _running = queries
        .query(with(named("of-bi", ENDLESS), "of bi"))
        .await
        .unwrap();
    let list = || ListQueriesRequest::default();
    for (token, seen) in [("of bi", 1), ("of etl", 0), ("of ops", 1)] {
        let listed = queries.list_queries(with(list(), token)).await.unwrap();
        assert_eq!(listed.get_ref().queries.len(), seen, "{token}");
    }
    let listed = queries.list_queries(with(list(), "of ops")).await.unwrap();
    assert_eq!(listed.get_ref().queries[0].name(), "bi");
    let status = queries
        .cancel_query(with(cancel("of-bi"), "of etl"))
        .await
        .unwrap_err();
    assert_eq!(
        cause(&status),
        (Code::NotFound, "QUERY_NOT_FOUND".to_owned())
    );
    let ended = queries
        .cancel_query(with(cancel("of-bi"), "of bi"))
        .await
        .unwrap();
    assert!(ended.get_ref().was_running);
}
