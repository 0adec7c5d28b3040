//! `memberships`: the (account, user) pairs that events name together.
//!
//! A pair is removed while the latest of its events is a `$group` event with a `removed_at`; any
//! later event of the pair makes it a member again.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use vitalog_store::{Domain, NULL_SYMBOL};

use super::Result;
use super::activity::Seen;
use super::entities::timestamps;
use crate::snapshot::StatementSnapshot;
use crate::tables::TableName;

/// The rows of `memberships`, by `account_id` and `user_id`.
pub(super) fn memberships(snapshot: &StatementSnapshot) -> Result<RecordBatch> {
    let (traits, activity) = (snapshot.traits()?, snapshot.activity()?);
    let symbols = snapshot.snapshot.symbols();
    let members = symbols.members();
    let mut known: Vec<(u32, Seen)> = Vec::new();
    for (symbol, (member, seen)) in members.iter().zip(&activity.members).enumerate().skip(1) {
        if seen.is_known && member.account != NULL_SYMBOL && member.user != NULL_SYMBOL {
            known.push((symbol as u32, *seen));
        }
    }
    let part = |domain, part: fn(&vitalog_store::Member) -> u32| {
        let parts: Vec<u32> = known
            .iter()
            .map(|(symbol, _)| part(&members[*symbol as usize]))
            .collect();
        symbols.resolve_all(domain, &parts)
    };
    let accounts = part(Domain::Account, |member| member.account);
    let users = part(Domain::User, |member| member.user);
    let mut order: Vec<usize> = (0..known.len()).collect();
    let id = |at: usize| (accounts.value(at), users.value(at));
    order.sort_unstable_by(|&left, &right| id(left).cmp(&id(right)));

    let rows = || order.iter().map(|&at| &known[at]);
    let removed_at = |symbol: u32| {
        let removal = traits.removals.get(&symbol)?;
        let is_latest = activity.latest_of_removed.get(&symbol) == Some(&removal.at);
        is_latest.then_some(removal.removed_at_us)
    };
    let ids = |strings: &StringArray| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(
            order.iter().map(|&at| strings.value(at)),
        ))
    };
    let columns = vec![
        ids(&accounts),
        ids(&users),
        timestamps(rows().map(|(_, seen)| seen.first_us())),
        timestamps(rows().map(|(_, seen)| seen.last_us())),
        timestamps(rows().map(|(symbol, _)| removed_at(*symbol))),
        Arc::new(Int64Array::from_iter_values(
            rows().map(|(_, seen)| seen.events),
        )),
    ];
    Ok(RecordBatch::try_new(
        TableName::Memberships.schema(),
        columns,
    )?)
}
