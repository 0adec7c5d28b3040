//! Erasing, retention and taking an import back, as messages.

use vitalog_event::format_timestamp_us;
use vitalog_store::{EraseRequest, RemovalKind, RemovalReceipt, Store};
use vitalog_wire::vitalog::v1;
use vitalog_wire::vitalog::v1::upkeep_service_erase_request::Entity;

use crate::fault::{Fault, Reason};
use crate::instant::timestamp;

/// Days that may be kept, at most.
const DAYS_MAX: u32 = 36_500;

/// Whom a request names.
pub(super) fn entity_of(entity: Option<Entity>) -> Result<Entity, Fault> {
    let (field, id) = match &entity {
        Some(Entity::AccountId(id)) => ("account_id", id),
        Some(Entity::UserId(id)) => ("user_id", id),
        None => {
            let message = "is missing: name an account_id or a user_id";
            return Err(Fault::of_field(Reason::InvalidRequest, "entity", message));
        }
    };
    if id.is_empty() {
        return Err(Fault::of_field(Reason::InvalidRequest, field, "is empty"));
    }
    Ok(entity.expect("looked at above"))
}

/// How many days a request keeps.
pub(super) fn days_of(days: u32) -> Result<u32, Fault> {
    if (1..=DAYS_MAX).contains(&days) {
        return Ok(days);
    }
    let message = format!("is {days}; from 1 to {DAYS_MAX} days can be kept");
    Err(Fault::of_field(Reason::InvalidRequest, "days", message))
}

pub(super) fn erase(store: &Store, entity: &Entity) -> Result<v1::RemovalReceipt, Fault> {
    let request = match entity {
        Entity::AccountId(id) => EraseRequest::Account(id),
        Entity::UserId(id) => EraseRequest::User(id),
    };
    Ok(receipt_of(store.erase(request, Box::new(|_| {}))?))
}

pub(super) fn retain(store: &Store, days: u32) -> Result<v1::UpkeepServiceRetainResponse, Fault> {
    let receipt = receipt_of(store.retain_days(days, Box::new(|_| {}))?);
    Ok(v1::UpkeepServiceRetainResponse {
        first_day_kept: receipt.first_day_kept.clone(),
        receipt: Some(receipt),
    })
}

pub(super) fn undo_import(store: &Store, batch: &str) -> Result<v1::RemovalReceipt, Fault> {
    Ok(receipt_of(store.undo_import(batch, Box::new(|_| {}))?))
}

/// A UTC day as `YYYY-MM-DD`.
fn day_text(day: i32) -> String {
    let text = format_timestamp_us(i64::from(day) * vitalog_event::DAY_US);
    text.split('T').next().unwrap_or_default().to_owned()
}

pub(super) fn receipt_of(receipt: RemovalReceipt) -> v1::RemovalReceipt {
    let kind = match receipt.kind {
        RemovalKind::Account | RemovalKind::User => v1::RemovalKind::Erasure,
        RemovalKind::Retention => v1::RemovalKind::Retention,
        RemovalKind::Import => v1::RemovalKind::UndoImport,
    };
    v1::RemovalReceipt {
        kind: kind.into(),
        seq: receipt.seq_max.unsigned_abs(),
        rows: receipt.rows.hot + receipt.rows.cold,
        files_rewritten: receipt.files_rewritten,
        files_removed: receipt.files_removed,
        bytes_removed: receipt.bytes_before,
        bytes_written: receipt.bytes_after,
        snapshots_revoked: receipt.snapshots_revoked,
        started_at: Some(timestamp(receipt.begun_at_us)),
        finished_at: Some(timestamp(receipt.finished_at_us)),
        number: receipt.number,
        is_repeated: receipt.repeated,
        rows_cold: receipt.rows.cold,
        first_day_kept: receipt.before_day.map_or_else(String::new, day_text),
        quarantined_files: receipt.quarantined,
    }
}
