//! Promoted properties: keys that occur often in a section, as typed columns beside its rows.
//!
//! It owns which keys of `properties` are promoted, how their values are typed, and the bytes of
//! the columns; it does not own `properties` itself, which stays where it is, nor the sidecar that
//! holds the bytes (with a checksum).
//!
//! Invariants:
//! - the text of a promoted value is the very text that stands in the JSON (a string without its
//!   quotes and escapes): a value whose text the column's type cannot give back stays in the
//!   *remainder*, and who needs it parses the row's JSON;
//! - a row without a value and outside the remainder has no such key, or JSON's null: a promoted
//!   column answers what a key's value is, not whether the key is there;
//! - everything is bounded: [`KEYS_MAX`] columns, [`DISTINCT_MAX`] texts in one, and bytes.

mod census;
mod collect;
mod column;
mod decode;
mod encode;
mod members;
mod number;

pub use column::{PromotedColumn, PromotedValues};
pub use decode::PromotedBlob;
pub use number::NumberStyle;

/// Columns of one section.
pub(crate) const KEYS_MAX: usize = 16;

/// Different texts in one column of text; a key with more is left where it is.
pub(crate) const DISTINCT_MAX: usize = 1 << 16;

/// The promoted properties of one section, as they are made: the most frequent key first.
#[derive(Clone, Debug)]
pub struct PromotedColumns {
    rows: usize,
    columns: Vec<PromotedColumn>,
}

impl PromotedColumns {
    /// The columns, the most frequent key first.
    #[must_use]
    pub fn columns(&self) -> &[PromotedColumn] {
        &self.columns
    }

    /// Rows of the section.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }
}

#[cfg(test)]
mod tests;
