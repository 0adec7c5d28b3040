//! Answers that end early: cancelled, late, or no longer wanted.

use std::time::Duration;

use arrow_flight::sql::{ActionCancelQueryRequest, ActionCancelQueryResult, Any, ProstMessageExt};
use arrow_flight::{CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo};
use prost::Message;
use tonic::{Code, Request};

use crate::support::{TestServer, begun, cause};
use crate::{Client, act, bare, client, ticket_of};

/// Takes as long as it is let.
const LONG: &str = "SELECT a.value, b.value FROM generate_series(1, 10000000) AS a, \
                    generate_series(1, 10000000) AS b";

async fn long(client: &mut Client) -> FlightInfo {
    client.execute(LONG.to_owned(), None).await.unwrap()
}

fn cancel_of(info: &FlightInfo) -> Vec<u8> {
    let info = Some(info.clone());
    CancelFlightInfoRequest { info }.encode_to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_answer_is_cancelled_by_its_info() {
    let server = TestServer::start().await;
    let (mut bare, mut client) = (bare(&server).await, client(&server).await);
    for is_old in [false, true] {
        let info = long(&mut client).await;
        let stream = bare.do_get(ticket_of(&info)).await.unwrap();
        let mut stream = stream.into_inner();
        assert!(stream.message().await.unwrap().is_some());
        let status = if is_old {
            let request = ActionCancelQueryRequest {
                info: info.encode_to_vec().into(),
            };
            let body = request.as_any().encode_to_vec();
            let (results, _) = act(&mut bare, "CancelQuery", body, None).await.unwrap();
            let any = Any::decode(results[0].clone()).unwrap();
            let result: ActionCancelQueryResult = any.unpack().unwrap().unwrap();
            result.result
        } else {
            let body = cancel_of(&info);
            let (results, _) = act(&mut bare, "CancelFlightInfo", body, None)
                .await
                .unwrap();
            CancelFlightInfoResult::decode(results[0].clone())
                .unwrap()
                .status
        };
        assert_eq!(status, i32::from(CancelStatus::Cancelled));
        let ended = loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended by itself"),
                Err(status) => break status,
            }
        };
        assert_eq!(cause(&ended), (Code::Cancelled, "CANCELLED".to_owned()));
        let body = cancel_of(&info);
        let (results, _) = act(&mut bare, "CancelFlightInfo", body, None)
            .await
            .unwrap();
        let result = CancelFlightInfoResult::decode(results[0].clone()).unwrap();
        assert_eq!(result.status, i32::from(CancelStatus::NotCancellable));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_holds_over_the_whole_stream() {
    let server = TestServer::start().await;
    let (mut bare, mut client) = (bare(&server).await, client(&server).await);
    let info = long(&mut client).await;
    let stream = begun(Duration::from_millis(1_500), async |allowed| {
        let mut request = Request::new(ticket_of(&info));
        request.set_timeout(allowed);
        bare.do_get(request).await
    });
    let mut stream = stream.await.into_inner();
    let ended = loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended by itself"),
            Err(status) => break status,
        }
    };
    assert!(
        matches!(ended.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_stream_ends_its_work() {
    let server = TestServer::start().await;
    let (mut bare, mut client) = (bare(&server).await, client(&server).await);
    let info = long(&mut client).await;
    let stream = bare.do_get(ticket_of(&info)).await.unwrap();
    let mut stream = stream.into_inner();
    assert!(stream.message().await.unwrap().is_some());
    assert_eq!(server.handle.calls_under_way(), 1);
    drop(stream);
    let waited = async {
        while server.handle.calls_under_way() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(30), waited).await;
    assert!(ended.is_ok(), "the work goes on");
}
