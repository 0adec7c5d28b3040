//! `ModelService` and `ViewService` against a real server.
#![allow(clippy::unwrap_used)]

mod support;

use support::{TestServer, append, cause, field_of, recent};
use tonic::Code;
use tonic::transport::Channel;
use tonic_types::StatusExt;
use vitalog_wire::vitalog::v1::model_service_client::ModelServiceClient;
use vitalog_wire::vitalog::v1::view_service_client::ViewServiceClient;
use vitalog_wire::vitalog::v1::{
    Entity, Model, ModelServiceApplyRequest, ModelServiceApplyResponse, ModelServiceCheckRequest,
    ModelServiceGetRequest, ModelServiceListRequest, ViewServiceApplyRequest,
    ViewServiceDropRequest, ViewServiceGetRequest, ViewServiceListRequest,
};

/// A model of one weight.
fn model(name: &str, weight: u32) -> String {
    format!("name = \"{name}\"\n\n[[weight]]\nevent = \"login\"\nweight = {weight}\n")
}

async fn apply(models: &mut ModelServiceClient<Channel>, toml: &str) -> ModelServiceApplyResponse {
    let request = ModelServiceApplyRequest {
        toml: toml.to_owned(),
        allow_unknown_events: true,
    };
    models.apply(request).await.unwrap().into_inner()
}

async fn list(
    models: &mut ModelServiceClient<Channel>,
    mut request: ModelServiceListRequest,
) -> Vec<Model> {
    let mut all = Vec::new();
    loop {
        let page = models.list(request.clone()).await.unwrap().into_inner();
        all.extend(page.models);
        if page.next_page_token.is_empty() {
            return all;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_applied_once_however_often_it_is_sent() {
    let server = TestServer::start().await;
    let mut models = server.models().await;
    let first = apply(&mut models, &model("usage", 1)).await;
    let described = first.model.unwrap();
    assert!(first.is_new);
    assert_eq!((described.name.as_str(), described.version), ("usage", 1));
    assert_eq!(described.entity(), Entity::Account);
    assert_eq!(described.toml, model("usage", 1));
    assert!(described.is_current && described.valid_from.is_some());
    let again = apply(&mut models, &model("usage", 1)).await;
    assert!(!again.is_new);
    assert_eq!(again.model.unwrap(), described);
    let second = apply(&mut models, &model("usage", 2)).await;
    assert!(second.is_new);
    assert_eq!(second.model.unwrap().version, 2);
    let get = |version| ModelServiceGetRequest {
        name: "usage".to_owned(),
        version,
    };
    let newest = models.get(get(None)).await.unwrap().into_inner();
    assert_eq!(newest.model.unwrap().toml, model("usage", 2));
    let oldest = models.get(get(Some(1))).await.unwrap().into_inner();
    let oldest = oldest.model.unwrap();
    assert_eq!((oldest.toml, oldest.is_current), (model("usage", 1), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_hold_every_version_in_order_and_no_text() {
    let server = TestServer::start().await;
    let mut models = server.models().await;
    for (name, weight) in [("zeal", 1), ("usage", 1), ("usage", 2), ("usage", 3)] {
        apply(&mut models, &model(name, weight)).await;
    }
    let names = |models: Vec<Model>| -> Vec<(String, u32)> {
        assert!(models.iter().all(|model| model.toml.is_empty()));
        let names = models.into_iter().map(|model| (model.name, model.version));
        names.collect()
    };
    let key = |name: &str, version| (name.to_owned(), version);
    let [built_in, zeal] = [key("default", 0), key("zeal", 1)];
    let usage = [key("usage", 1), key("usage", 2), key("usage", 3)];
    for page_size in [0, 1, 2, 5] {
        let request = ModelServiceListRequest {
            page_size,
            ..ModelServiceListRequest::default()
        };
        let mut expected = vec![built_in.clone()];
        expected.extend(usage.clone());
        expected.push(zeal.clone());
        assert_eq!(names(list(&mut models, request).await), expected);
    }
    let current = ModelServiceListRequest {
        current_only: true,
        ..ModelServiceListRequest::default()
    };
    let expected = [built_in, key("usage", 3), zeal];
    assert_eq!(names(list(&mut models, current).await), expected);
    let named = ModelServiceListRequest {
        name: Some("usage".to_owned()),
        ..ModelServiceListRequest::default()
    };
    assert_eq!(names(list(&mut models, named).await), usage);
    let wrong = ModelServiceListRequest {
        page_token: "00ff".to_owned(),
        ..ModelServiceListRequest::default()
    };
    let status = models.list(wrong).await.unwrap_err();
    let expected = (Code::InvalidArgument, "INVALID_TOKEN".to_owned());
    assert_eq!(cause(&status), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_model_is_there_and_an_unknown_one_is_not() {
    let server = TestServer::start().await;
    let mut models = server.models().await;
    let built_in = models.get(ModelServiceGetRequest::default()).await.unwrap();
    let built_in = built_in.into_inner().model.unwrap();
    assert_eq!((built_in.name.as_str(), built_in.version), ("default", 0));
    assert!(built_in.toml.contains("name = \"default\"") && built_in.valid_from.is_none());
    let unknown = ModelServiceGetRequest {
        name: "defualt".to_owned(),
        version: None,
    };
    let status = models.get(unknown).await.unwrap_err();
    let expected = (Code::NotFound, "MODEL_NOT_FOUND".to_owned());
    assert_eq!(cause(&status), expected);
    let details = status.get_error_details();
    assert_eq!(
        details.error_info().unwrap().metadata["suggestion"],
        "default"
    );
    let version = ModelServiceGetRequest {
        name: String::new(),
        version: Some(7),
    };
    let status = models.get(version).await.unwrap_err();
    assert_eq!(cause(&status), expected);
    assert_eq!(field_of(&status), "version");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_model_is_refused_with_line_and_reason() {
    let server = TestServer::start().await;
    let mut models = server.models().await;
    let toml = "name = \"usage\"\ncolour = \"red\"\n\n[[weight]]\nevent = \"login\"\nweight = 1\nsize = 3\n";
    let request = ModelServiceApplyRequest {
        toml: toml.to_owned(),
        allow_unknown_events: true,
    };
    let status = models.apply(request).await.unwrap_err();
    let expected = (Code::InvalidArgument, "MODEL_INVALID".to_owned());
    assert_eq!(cause(&status), expected);
    let details = status.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    let lines: Vec<_> = violations
        .iter()
        .map(|violation| {
            assert_eq!(violation.field, "toml");
            violation.description.split(':').next().unwrap()
        })
        .collect();
    assert_eq!(lines, ["line 2", "line 7"]);
    assert!(violations[0].description.contains("colour"));
    assert_eq!(details.error_info().unwrap().metadata["faults"], "2");
    let check = ModelServiceCheckRequest {
        toml: toml.to_owned(),
        allow_unknown_events: true,
        max_rows: 0,
    };
    let checked = models.check(check).await.unwrap().into_inner();
    let lines: Vec<_> = checked.faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [2, 7]);
    assert_eq!((checked.total, checked.differences.len()), (0, 0));
    let listed = list(&mut models, ModelServiceListRequest::default()).await;
    assert_eq!(listed.len(), 1, "nothing was stored");
    let large = ModelServiceApplyRequest {
        toml: "#".repeat((1 << 20) + 1),
        allow_unknown_events: false,
    };
    let status = models.apply(large).await.unwrap_err();
    let expected = (Code::ResourceExhausted, "REQUEST_TOO_LARGE".to_owned());
    assert_eq!(cause(&status), expected);
    assert_eq!(field_of(&status), "toml");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_counts_every_difference_and_lists_the_worst() {
    let server = TestServer::start().await;
    let (mut events, mut models) = (server.events().await, server.models().await);
    // Accounts 0 to 9 log in once to ten times; the new model turns that around.
    let world = (0..10).flat_map(|account| {
        let account_id = format!("account {account}");
        (0..=account).map(move |n| recent(&account_id, "ada", "login", n))
    });
    append(&mut events, world.collect()).await;
    let check = |max_rows| ModelServiceCheckRequest {
        toml: "name = \"default\"\n\n[[weight]]\nevent = \"login\"\nweight = -1\n".to_owned(),
        allow_unknown_events: false,
        max_rows,
    };
    let all = models.check(check(0)).await.unwrap().into_inner();
    assert_eq!(
        (all.faults.len(), all.total, all.differences.len()),
        (0, 10, 10)
    );
    assert!(all.differences.iter().all(|one| one.user_id.is_none()));
    let changed = all
        .differences
        .iter()
        .filter(|one| one.old_score != one.new_score);
    assert_eq!(all.total_changed, changed.count() as u64);
    assert!(all.total_changed >= 9, "{}", all.total_changed);
    let bands = all
        .differences
        .iter()
        .filter(|one| one.old_band != one.new_band);
    assert_eq!(all.total_band_changed, bands.count() as u64);
    let few = models.check(check(3)).await.unwrap().into_inner();
    assert_eq!(few.differences, all.differences[..3]);
    assert_eq!((few.total, few.total_changed), (10, all.total_changed));
    let status = models.check(check(5_001)).await.unwrap_err();
    assert_eq!(field_of(&status), "max_rows");
    let version = models.get(ModelServiceGetRequest::default()).await.unwrap();
    assert_eq!(
        version.into_inner().model.unwrap().version,
        0,
        "nothing was stored"
    );
}

async fn apply_view(views: &mut ViewServiceClient<Channel>, name: &str, sql: &str) -> u32 {
    let request = ViewServiceApplyRequest {
        name: name.to_owned(),
        sql: sql.to_owned(),
    };
    let view = views.apply(request).await.unwrap().into_inner().view;
    let view = view.unwrap();
    assert_eq!((view.name.as_str(), view.sql.as_str()), (name, sql));
    assert!(view.is_current && !view.is_dropped);
    view.version
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_kept_in_versions_and_dropped() {
    let server = TestServer::start().await;
    let mut views = server.views().await;
    assert_eq!(apply_view(&mut views, "logins", "SELECT 1 AS n").await, 1);
    assert_eq!(apply_view(&mut views, "logins", "SELECT 2 AS n").await, 2);
    assert_eq!(apply_view(&mut views, "answers", "SELECT 42 AS n").await, 1);
    let get = |version| ViewServiceGetRequest {
        name: "logins".to_owned(),
        version,
    };
    let first = views.get(get(Some(1))).await.unwrap().into_inner().view;
    assert_eq!(first.unwrap().sql, "SELECT 1 AS n");
    let drop = |name: &str| ViewServiceDropRequest {
        name: name.to_owned(),
    };
    let status = views.drop(drop("logis")).await.unwrap_err();
    let expected = (Code::NotFound, "VIEW_NOT_FOUND".to_owned());
    assert_eq!(cause(&status), expected);
    let details = status.get_error_details();
    assert_eq!(
        details.error_info().unwrap().metadata["suggestion"],
        "logins"
    );
    let dropped = views.drop(drop("logins")).await.unwrap().into_inner();
    let dropped = dropped.view.unwrap();
    assert!(dropped.is_dropped && !dropped.is_current && dropped.sql.is_empty());
    let status = views.drop(drop("logins")).await.unwrap_err();
    assert_eq!(cause(&status), expected);
    let status = views.get(get(None)).await.unwrap_err();
    assert_eq!(cause(&status), expected);
    let listed = |name: Option<&str>, current_only| ViewServiceListRequest {
        name: name.map(str::to_owned),
        current_only,
        ..ViewServiceListRequest::default()
    };
    let current = views.list(listed(None, true)).await.unwrap().into_inner();
    assert_eq!(
        (current.views.len(), current.views[0].name.as_str()),
        (1, "answers")
    );
    let all = views.list(listed(Some("logins"), false)).await.unwrap();
    let versions = all.into_inner().views.into_iter();
    let versions: Vec<_> = versions
        .map(|view| (view.version, view.is_dropped))
        .collect();
    assert_eq!(versions, [(1, false), (2, false), (3, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_view_has_its_place() {
    let server = TestServer::start().await;
    let mut views = server.views().await;
    let request = ViewServiceApplyRequest {
        name: "wrong".to_owned(),
        sql: "SELECT\n  acount_id FROM events".to_owned(),
    };
    let status = views.apply(request).await.unwrap_err();
    let expected = (Code::InvalidArgument, "INVALID_SQL".to_owned());
    assert_eq!(cause(&status), expected);
    let details = status.get_error_details();
    let facts = &details.error_info().unwrap().metadata;
    assert_eq!(
        (facts["line"].as_str(), facts["column"].as_str()),
        ("2", "3")
    );
}
