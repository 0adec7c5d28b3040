//! Sessions: options in a cookie.

use std::collections::HashMap;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow_flight::sql::CommandStatementQuery;
use prost::Message;
use tonic::Request;

use crate::support::{TestServer, append, cause, numbered};
use crate::{act, bare, client, descriptor_of, fetch};

/// The messages of the protocol, as a client has them.
#[derive(Clone, PartialEq, Message)]
struct OptionValue {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
    #[prost(sfixed64, optional, tag = "3")]
    integer: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Options {
    #[prost(map = "string, message", tag = "1")]
    options: HashMap<String, OptionValue>,
}

#[derive(Clone, PartialEq, Message)]
struct Errors {
    #[prost(map = "string, message", tag = "1")]
    errors: HashMap<String, OptionError>,
}

#[derive(Clone, PartialEq, Message)]
struct OptionError {
    #[prost(int32, tag = "1")]
    value: i32,
}

fn integer(value: i64) -> OptionValue {
    OptionValue {
        text: None,
        integer: Some(value),
    }
}

fn options(options: &[(&str, OptionValue)]) -> Vec<u8> {
    let options = options.iter().cloned();
    let options = options
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Options { options }.encode_to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_looks_at_the_past() {
    let server = TestServer::start().await;
    let mut events = server.events().await;
    append(&mut events, numbered(0..20)).await;
    let mut bare = bare(&server).await;
    let body = options(&[
        ("as_of_seq", integer(7)),
        ("colour", integer(1)),
        ("schema", integer(1)),
    ]);
    let (results, cookie) = act(&mut bare, "SetSessionOptions", body, None)
        .await
        .unwrap();
    let errors = Errors::decode(results[0].clone()).unwrap().errors;
    assert_eq!((errors["colour"].value, errors["schema"].value), (1, 2));
    assert!(!errors.contains_key("as_of_seq"));
    let cookie = cookie.unwrap();
    assert!(cookie.starts_with("arrow_flight_session_id="), "{cookie}");
    let count = async |cookie: Option<&str>| {
        let command = CommandStatementQuery {
            query: "SELECT count(*) FROM events".to_owned(),
            transaction_id: None,
        };
        let mut request = Request::new(descriptor_of(&command));
        if let Some(cookie) = cookie {
            let metadata = request.metadata_mut();
            metadata.insert("cookie", cookie.parse().unwrap());
        }
        let info = crate::bare(&server).await.get_flight_info(request).await?;
        let mut client = client(&server).await;
        let (_, rows) = fetch(&mut client, info.into_inner()).await?;
        Ok::<_, tonic::Status>(rows.column(0).as_primitive::<Int64Type>().value(0))
    };
    assert_eq!(count(Some(&cookie)).await.unwrap(), 7);
    assert_eq!(count(None).await.unwrap(), 20);
    let told = act(&mut bare, "GetSessionOptions", Vec::new(), Some(&cookie)).await;
    let told = Options::decode(told.unwrap().0[0].clone()).unwrap().options;
    assert_eq!(told["catalog"].text.as_deref(), Some("vitalog"));
    assert_eq!(told["schema"].text.as_deref(), Some("public"));
    assert_eq!(told["as_of_seq"].integer, Some(7));
    let body = options(&[("as_of_seq", OptionValue::default())]);
    let unset = act(&mut bare, "SetSessionOptions", body, Some(&cookie)).await;
    let unset = unset.unwrap().1.unwrap();
    assert_eq!(count(Some(&unset)).await.unwrap(), 20);
    let status = count(Some("arrow_flight_session_id=made_up")).await;
    assert_eq!(cause(&status.unwrap_err()).1, "INVALID_TOKEN");
    let closed = act(&mut bare, "CloseSession", Vec::new(), Some(&cookie)).await;
    let (results, cookie) = closed.unwrap();
    let closed = OptionError::decode(results[0].clone()).unwrap();
    assert_eq!(closed.value, 1);
    assert!(cookie.unwrap().contains("Max-Age=0"));
}
