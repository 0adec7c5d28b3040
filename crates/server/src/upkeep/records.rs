//! What is on record of imports and removals, in pages.

use vitalog_store::{ImportBatch, RemovalReceipt, Store};
use vitalog_wire::vitalog::v1;

use super::removal::receipt_of;
use crate::fault::Fault;
use crate::instant::timestamp;
use crate::listing::{self, Key, Versioned, Wanted};
use crate::token::TokenKind;

/// A page of the imports on record.
pub(super) fn imports(
    store: &Store,
    page_size: u32,
    page_token: String,
) -> Result<v1::UpkeepServiceListImportsResponse, Fault> {
    let wanted = wanted(page_size, page_token);
    let all = store.imports();
    let (imports, next_page_token) =
        listing::page(TokenKind::Imports, all, &wanted, |one| Ok(import_of(one)))?;
    Ok(v1::UpkeepServiceListImportsResponse {
        imports,
        next_page_token,
    })
}

/// A page of the receipts.
pub(super) fn receipts(
    store: &Store,
    page_size: u32,
    page_token: String,
) -> Result<v1::UpkeepServiceListReceiptsResponse, Fault> {
    let wanted = wanted(page_size, page_token);
    let all = store.receipts();
    let (receipts, next_page_token) =
        listing::page(TokenKind::Receipts, all, &wanted, |one| Ok(receipt_of(one)))?;
    Ok(v1::UpkeepServiceListReceiptsResponse {
        receipts,
        next_page_token,
    })
}

/// Everything, in pages.
fn wanted(page_size: u32, page_token: String) -> Wanted {
    Wanted {
        name: None,
        current_only: false,
        page_size,
        page_token,
    }
}

/// By the time it began, then by name. A time before 1970 is no time of an import.
impl Versioned for ImportBatch {
    fn key(&self) -> Key {
        Key {
            name: format!("{:020} {}", self.begun_at_us.max(0), self.name),
            version: 0,
        }
    }

    fn is_current(&self) -> bool {
        self.undone_at_us.is_none()
    }
}

/// By number.
impl Versioned for RemovalReceipt {
    fn key(&self) -> Key {
        Key {
            name: format!("{:020}", self.number),
            version: 0,
        }
    }

    fn is_current(&self) -> bool {
        true
    }
}

fn import_of(batch: ImportBatch) -> v1::ImportBatch {
    v1::ImportBatch {
        name: batch.name,
        files: batch.files,
        events: batch.events,
        started_at: Some(timestamp(batch.begun_at_us)),
        is_finished: batch.is_finished,
        undone_at: batch.undone_at_us.map(timestamp),
    }
}
