//! Receipts of removals: what is kept of them for good, and how one is matched to an id.
//!
//! A receipt never holds an id, only a hash of it salted with the receipt's number: who knows the
//! id finds its receipt, nobody reads the id back from a list of receipts.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Receipts a store keeps; the oldest go first.
pub(crate) const RECEIPTS_MAX: usize = 10_000;

/// Why rows were removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovalKind {
    /// An account was erased.
    Account,
    /// A user was erased.
    User,
    /// An import was taken back.
    Import,
    /// Days were dropped for their age.
    Retention,
}

impl RemovalKind {
    /// The word for it: account, user, import or retention.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::User => "user",
            Self::Import => "import",
            Self::Retention => "retention",
        }
    }
}

/// How many rows went, by where they lay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedRows {
    /// In hot segments, those of the memory included: they are flushed first.
    pub hot: u64,
    /// In cold files.
    pub cold: u64,
}

/// What a removal did. Kept in the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovalReceipt {
    /// 1, 2, 3 … over all removals of the store.
    pub number: u64,
    /// Why.
    pub kind: RemovalKind,
    /// SHA-256 of `<number> <id>` as 64 lower-case hexadecimal digits, where an id was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_sha256: Option<String>,
    /// The first day that was kept, in days since 1970-01-01, where days were dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_day: Option<i32>,
    /// Rows removed.
    pub rows: RemovedRows,
    /// Files written again without rows that went.
    pub files_rewritten: u64,
    /// Files of which no row was left.
    pub files_removed: u64,
    /// Bytes of those files before.
    pub bytes_before: u64,
    /// Bytes of what was written in their place.
    pub bytes_after: u64,
    /// The last seq when it began; what came later is new data.
    pub seq_max: i64,
    /// When it began, microseconds.
    pub begun_at_us: i64,
    /// When nothing was left any more, microseconds; 0 while it is pending.
    pub finished_at_us: i64,
    /// Published snapshots that held the rows and were revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots_revoked: Vec<String>,
    /// Files set aside after damage that hold the erased id, or that cannot be decoded, so that they
    /// may. They are named and not removed: look at them and remove them by hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<String>,
    /// Whether this is the receipt of an earlier removal: there was nothing left to remove.
    #[serde(skip)]
    pub repeated: bool,
}

impl RemovalReceipt {
    /// Whether it is that of the erasure of `id`. Cost: one SHA-256.
    #[must_use]
    pub fn is_of(&self, id: &str) -> bool {
        self.id_sha256.as_ref() == Some(&id_hash(self.number, id))
    }
}

/// See [`RemovalReceipt::id_sha256`].
pub(crate) fn id_hash(number: u64, id: &str) -> String {
    let digest = Sha256::digest(format!("{number} {id}").as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_sha256_of_number_space_id() {
        // printf '7 acme' | sha256sum
        assert_eq!(id_hash(7, "acme"), HASH_OF_7_ACME);
        assert_ne!(id_hash(8, "acme"), HASH_OF_7_ACME);
    }

    const HASH_OF_7_ACME: &str = "bc60c69d8aa345b5f7dbd82d8d9390a465030794d5286559610f3ed3ce0b21ca";
}
