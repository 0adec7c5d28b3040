//! Which events a `Read` returns, by strings, and how they become the store's filter.

use vitalog_store::{Domain, RowFilter, SymbolSet, Symbols};
use vitalog_wire::vitalog::v1::ReadRequest;

/// The filters of a request; an empty list keeps everything.
#[derive(Clone, Debug, Default)]
pub(super) struct LogFilter {
    pub account_ids: Vec<String>,
    pub user_ids: Vec<String>,
    pub events: Vec<String>,
}

impl LogFilter {
    pub fn of(request: &mut ReadRequest) -> Self {
        Self {
            account_ids: std::mem::take(&mut request.account_ids),
            user_ids: std::mem::take(&mut request.user_ids),
            events: std::mem::take(&mut request.events),
        }
    }

    /// Whether everything is kept.
    pub fn keeps_all(&self) -> bool {
        self.account_ids.is_empty() && self.user_ids.is_empty() && self.events.is_empty()
    }

    /// The filter up to `seq_max`; `None` where no event can pass because no event so far has any
    /// of the wanted strings. They are looked up anew for each snapshot: a string that is unknown
    /// now may come with a later event.
    pub fn rows_up_to(&self, seq_max: i64, symbols: &Symbols) -> Option<RowFilter> {
        Some(RowFilter {
            accounts: wanted(&self.account_ids, Domain::Account, symbols)?,
            users: wanted(&self.user_ids, Domain::User, symbols)?,
            events: wanted(&self.events, Domain::Event, symbols)?,
            ..RowFilter::up_to(seq_max)
        })
    }
}

/// `Some(None)` for no filter, `None` for one that nothing passes.
fn wanted(texts: &[String], domain: Domain, symbols: &Symbols) -> Option<Option<SymbolSet>> {
    if texts.is_empty() {
        return Some(None);
    }
    let known: SymbolSet = texts
        .iter()
        .filter_map(|text| symbols.lookup(domain, text))
        .collect();
    (!known.is_empty()).then_some(Some(known))
}
