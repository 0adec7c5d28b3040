//! `UpkeepService`: compaction, backups and counts over gRPC.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{TestServer, append, cause, field_of, free_port, numbered};
use tonic::{Code, Request};
use vitalog_disk::RealDirectory;
use vitalog_server::{Access, Scope, ServerConfig, TokenLine, Tokens};
use vitalog_store::{ImportBatch, StoreConfig, restore_directory};
use vitalog_wire::vitalog::v1::upkeep_service_erase_request::Entity;
use vitalog_wire::vitalog::v1::{
    CompactionGoal, Tier, TierStats, UpkeepServiceBackupRequest, UpkeepServiceCompactRequest,
    UpkeepServiceEraseRequest, UpkeepServiceGetStatsRequest, UpkeepServiceGetStatsResponse,
    UpkeepServiceListImportsRequest, UpkeepServiceListReceiptsRequest, UpkeepServiceRetainRequest,
    UpkeepServiceUndoImportRequest,
};

fn compaction(goal: CompactionGoal) -> UpkeepServiceCompactRequest {
    UpkeepServiceCompactRequest { goal: goal.into() }
}

fn backup(path: &std::path::Path) -> UpkeepServiceBackupRequest {
    let path = path.to_str().unwrap().to_owned();
    UpkeepServiceBackupRequest { path }
}

async fn stats(server: &TestServer) -> UpkeepServiceGetStatsResponse {
    let request = UpkeepServiceGetStatsRequest {};
    let answer = server.upkeep().await.get_stats(request).await;
    answer.unwrap().into_inner()
}

fn tier(stats: &UpkeepServiceGetStatsResponse, tier: Tier) -> TierStats {
    let found = stats.tiers.iter().find(|known| known.tier() == tier);
    *found.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_follow_events_from_memory_to_cold_files() {
    let server = TestServer::start().await;
    let empty = stats(&server).await;
    assert_eq!((empty.seq, empty.event_time_min), (0, None));
    assert_eq!(empty.write_amplification, None);
    append(&mut server.events().await, numbered(0..200)).await;
    let fresh = stats(&server).await;
    assert_eq!((fresh.seq, fresh.days, fresh.accounts), (200, 5, 4));
    assert_eq!(fresh.event_time_min, numbered(0..1)[0].event_time);
    assert_eq!(fresh.event_time_max, numbered(199..200)[0].event_time);
    assert_eq!((fresh.users, fresh.event_names), (9, 3));
    assert_eq!(tier(&fresh, Tier::Memory).rows, 200);
    assert!(tier(&fresh, Tier::Log).bytes > 0);

    server.store.flush().unwrap();
    append(&mut server.events().await, numbered(200..250)).await;
    let mut client = server.upkeep().await;
    // Nothing is due, and an unspecified goal asks for no more.
    let due = client.compact(UpkeepServiceCompactRequest::default()).await;
    assert_eq!(due.unwrap().into_inner().rows_cooled, 0);
    let hot = stats(&server).await;
    assert_eq!(tier(&hot, Tier::Hot).rows, 200);
    assert_eq!(hot.write_amplification, Some(1.0));

    // What lies in memory takes part.
    let all = client.compact(compaction(CompactionGoal::All)).await;
    let all = all.unwrap().into_inner();
    assert_eq!((all.rows_cooled, all.hot_files_cooled), (250, 2));
    assert_eq!((all.cold_files_written, all.cold_files_merged), (5, 0));
    let cold = stats(&server).await;
    let files = tier(&cold, Tier::Cold);
    assert_eq!((files.rows, files.sections, files.files), (250, 5, 10));
    assert_eq!(files.bytes, all.bytes_written);
    assert_eq!(cold.bytes_compacted, all.bytes_written);
    let rows = |stats: &UpkeepServiceGetStatsResponse| -> u64 {
        stats.tiers.iter().map(|known| known.rows).sum()
    };
    assert_eq!((rows(&fresh), rows(&hot), rows(&cold)), (200, 250, 250));
    let wanted = (cold.bytes_flushed + cold.bytes_compacted) as f64 / cold.bytes_flushed as f64;
    assert_eq!(cold.write_amplification, Some(wanted));
    let again = client.compact(compaction(CompactionGoal::All)).await;
    assert_eq!(again.unwrap().into_inner(), Default::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_count_what_they_add() {
    let server = TestServer::start().await;
    append(&mut server.events().await, numbered(0..200)).await;
    let lease = Duration::from_secs(3_600);
    support::snapshots::publish(&server.store, "events", 1_000, lease);
    support::snapshots::publish(&server.store, "events", 1_000, lease);
    let known = stats(&server).await;
    let published: u64 = server.store.published().list()[0].bytes();
    let files = tier(&known, Tier::Snapshots);
    assert_eq!(known.snapshots, 2);
    // Both hold the same bytes, and each has its catalog and its manifest.
    assert!(files.bytes > published, "{files:?}");
    assert!(files.bytes < 2 * published, "{files:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_beside_appends_and_restores() {
    let server = TestServer::start().await;
    append(&mut server.events().await, numbered(0..200)).await;
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("backup");
    let mut client = server.upkeep().await;
    let first = client.backup(backup(&target)).await.unwrap().into_inner();
    assert_eq!((first.seq, first.files), (200, first.files_copied));
    assert!(first.files > 0 && first.bytes == first.bytes_copied);
    assert!(first.started_at.unwrap().seconds <= first.finished_at.unwrap().seconds);
    append(&mut server.events().await, numbered(200..250)).await;
    let second = client.backup(backup(&target)).await.unwrap().into_inner();
    assert_eq!(second.seq, 250);
    assert!(second.files > second.files_copied && second.files_copied > 0);

    let open = |name: &str| -> Arc<dyn vitalog_disk::Directory> {
        Arc::new(RealDirectory::open(folder.path().join(name)).unwrap())
    };
    let restored = restore_directory(&open("backup"), &open("restored"), |_| {}).unwrap();
    assert_eq!((restored.seq, restored.rows), (250, 250));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_name_their_field() {
    let server = TestServer::start().await;
    let mut client = server.upkeep().await;
    let goal = client
        .compact(UpkeepServiceCompactRequest { goal: 7 })
        .await;
    let goal = goal.unwrap_err();
    assert_eq!(
        (cause(&goal), field_of(&goal).as_str()),
        (
            (Code::InvalidArgument, "INVALID_REQUEST".to_owned()),
            "goal"
        )
    );
    let inside = server.store.directory().path().join("backup");
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes");
    std::fs::create_dir(&notes).unwrap();
    std::fs::write(notes.join("todo.txt"), "mine").unwrap();
    let long = format!("/{}", "x".repeat(4_096));
    for path in [
        "",
        "backup",
        "/tmp/../tmp/backup",
        "/tmp/\0",
        &long,
        inside.to_str().unwrap(),
        notes.to_str().unwrap(),
        notes.join("todo.txt").to_str().unwrap(),
    ] {
        let path = path.to_owned();
        let error = client.backup(UpkeepServiceBackupRequest { path }).await;
        let error = error.unwrap_err();
        assert_eq!(
            (cause(&error), field_of(&error).as_str()),
            (
                (Code::InvalidArgument, "INVALID_REQUEST".to_owned()),
                "path"
            ),
            "{error:?}"
        );
    }
    assert_eq!(std::fs::read(notes.join("todo.txt")).unwrap(), b"mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_erased_with_a_receipt_and_wrong_requests_are_told_so() {
    let server = TestServer::start().await;
    append(&mut server.events().await, numbered(0..2_000)).await;
    let mut client = server.upkeep().await;
    let erase = |entity| {
        let mut client = client.clone();
        async move { client.erase(UpkeepServiceEraseRequest { entity }).await }
    };
    let nobody = erase(None).await.unwrap_err();
    let empty = erase(Some(Entity::AccountId(String::new()))).await;
    let unknown = erase(Some(Entity::UserId("nobody of that name".to_owned()))).await;
    let codes = [
        nobody.code(),
        empty.unwrap_err().code(),
        unknown.unwrap_err().code(),
        client
            .retain(UpkeepServiceRetainRequest { days: 0 })
            .await
            .unwrap_err()
            .code(),
        client
            .undo_import(UpkeepServiceUndoImportRequest {
                batch: "none of that name".to_owned(),
            })
            .await
            .unwrap_err()
            .code(),
    ];
    assert_eq!(codes, [Code::InvalidArgument; 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_and_receipts_are_listed_in_pages() {
    let server = TestServer::start().await;
    append(&mut server.events().await, numbered(0..600)).await;
    for (at, name) in ["b", "a", "c"].into_iter().enumerate() {
        let mut batch = ImportBatch {
            name: name.to_owned(),
            files: vec![format!("{name}.csv")],
            begun_at_us: 1_740_787_200_000_000 + at as i64,
            is_finished: at != 2,
            ..ImportBatch::default()
        };
        batch.add((at as i64 * 100 + 1, at as i64 * 100 + 50));
        server.store.record_import(&batch).unwrap();
    }
    let mut client = server.upkeep().await;
    for batch in ["c", "a"] {
        let batch = batch.to_owned();
        let undone = client
            .undo_import(UpkeepServiceUndoImportRequest { batch })
            .await;
        let receipt = undone.unwrap().into_inner().receipt.unwrap();
        assert_eq!((receipt.rows, receipt.is_repeated), (50, false));
    }
    let (mut imports, mut receipts) = (Vec::new(), Vec::new());
    let mut page_token = String::new();
    loop {
        let request = UpkeepServiceListImportsRequest {
            page_size: 2,
            page_token,
        };
        let page = client.list_imports(request).await.unwrap().into_inner();
        imports.extend(page.imports);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let told = imports.iter().map(|one| {
        let name = one.name.as_str();
        (name, one.events, one.is_finished, one.undone_at.is_some())
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            ("b", 50, true, false),
            ("a", 50, true, true),
            ("c", 50, false, true)
        ]
    );
    assert_eq!(imports[0].files, ["b.csv"]);
    loop {
        let request = UpkeepServiceListReceiptsRequest {
            page_size: 1,
            page_token,
        };
        let page = client.list_receipts(request).await.unwrap().into_inner();
        assert_eq!(page.receipts.len(), 1);
        receipts.extend(page.receipts);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let numbers: Vec<u64> = receipts.iter().map(|receipt| receipt.number).collect();
    assert_eq!(numbers, [1, 2]);
    let page_token = "of nobody".to_owned();
    let request = UpkeepServiceListReceiptsRequest {
        page_token,
        ..Default::default()
    };
    let refused = client.list_receipts(request).await.unwrap_err();
    assert_eq!(field_of(&refused), "page_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_does_not_stop_the_work() {
    let server = TestServer::start().await;
    append(&mut server.events().await, numbered(0..2_000)).await;
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("backup");
    let mut client = server.upkeep().await;
    let call = tokio::spawn(async move { client.backup(backup(&target)).await });
    // The directory is there as soon as the work has begun.
    while !folder.path().join("backup").exists() && !call.is_finished() {
        tokio::task::yield_now().await;
    }
    call.abort();
    while folder
        .path()
        .join("backup/manifest")
        .read_dir()
        .map_or(0, Iterator::count)
        == 0
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_needs_read_and_everything_else_admin() {
    let line = |name, scope, token| TokenLine::new(name, &[scope], token).unwrap();
    let lines = [
        line("bi", Scope::Read, "reads"),
        line("etl", Scope::Write, "writes"),
        line("ops", Scope::Admin, "all"),
    ];
    let text = lines.map(|line| line.to_string()).join("\n");
    let config = ServerConfig {
        access: Access::with_tokens(Tokens::parse(&text).unwrap()),
        ..free_port()
    };
    let server = TestServer::with(config, StoreConfig::default()).await;
    let mut client = server.upkeep().await;
    for (token, counts, compacts) in [
        ("", Code::Unauthenticated, Code::Unauthenticated),
        ("reads", Code::Ok, Code::PermissionDenied),
        ("writes", Code::PermissionDenied, Code::PermissionDenied),
        ("all", Code::Ok, Code::Ok),
    ] {
        let bearer = format!("Bearer {token}");
        let mut request = Request::new(UpkeepServiceGetStatsRequest {});
        let metadata = request.metadata_mut();
        metadata.insert("authorization", bearer.parse().unwrap());
        let answer = client.get_stats(request).await;
        assert_eq!(
            answer.map_or_else(|error| error.code(), |_| Code::Ok),
            counts
        );
        let mut request = Request::new(compaction(CompactionGoal::Due));
        let metadata = request.metadata_mut();
        metadata.insert("authorization", bearer.parse().unwrap());
        let answer = client.compact(request).await;
        assert_eq!(
            answer.map_or_else(|error| error.code(), |_| Code::Ok),
            compacts
        );
    }
}
