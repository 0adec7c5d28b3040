//! What a scan keeps: a conjunction of bounds that the store applies exactly.

use std::ops::Range;

/// A set of symbols of one domain; [`NULL_SYMBOL`](crate::NULL_SYMBOL) in it keeps nulls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SymbolSet {
    symbols: Vec<u32>,
}

impl SymbolSet {
    /// Whether `symbol` is in the set. Cost: a binary search.
    #[inline]
    #[must_use]
    pub fn contains(&self, symbol: u32) -> bool {
        match self.symbols.as_slice() {
            [only] => *only == symbol,
            symbols => symbols.binary_search(&symbol).is_ok(),
        }
    }

    /// The symbols, ascending.
    #[must_use]
    pub fn symbols(&self) -> &[u32] {
        &self.symbols
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// The symbols in both sets.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        self.symbols
            .iter()
            .copied()
            .filter(|&symbol| other.contains(symbol))
            .collect()
    }
}

impl FromIterator<u32> for SymbolSet {
    fn from_iter<I: IntoIterator<Item = u32>>(symbols: I) -> Self {
        let mut symbols: Vec<u32> = symbols.into_iter().collect();
        symbols.sort_unstable();
        symbols.dedup();
        Self { symbols }
    }
}

/// Bounds on rows, all of which must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFilter {
    /// `event_time` in microseconds: start inclusive, end exclusive.
    pub time_us: Range<i64>,
    /// Lowest `seq`, inclusive: what came before is known already.
    pub seq_min: i64,
    /// Highest `seq`, inclusive: the point in time of the read.
    pub seq_max: i64,
    /// Accounts to keep; `None` keeps all.
    pub accounts: Option<SymbolSet>,
    /// Users to keep; `None` keeps all.
    pub users: Option<SymbolSet>,
    /// Event names to keep; `None` keeps all.
    pub events: Option<SymbolSet>,
}

impl RowFilter {
    /// Everything up to `seq_max`.
    #[must_use]
    pub fn up_to(seq_max: i64) -> Self {
        Self {
            time_us: i64::MIN..i64::MAX,
            seq_min: i64::MIN,
            seq_max,
            accounts: None,
            users: None,
            events: None,
        }
    }

    /// Whether only the bounds on `seq` filter.
    #[must_use]
    pub fn is_seq_only(&self) -> bool {
        let seq_min = self.seq_min;
        let bounds = Self::up_to(self.seq_max);
        *self == Self { seq_min, ..bounds }
    }
}
