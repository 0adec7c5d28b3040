//! `accounts` and `users`: everyone that an event names, with their traits.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use vitalog_store::{Domain, Member, NULL_SYMBOL};

use super::Result;
use super::activity::Seen;
use super::traits::EntityTraits;
use crate::snapshot::StatementSnapshot;
use crate::tables::TableName;

/// The rows of `accounts`, by `account_id`.
pub(super) fn accounts(snapshot: &StatementSnapshot) -> Result<RecordBatch> {
    let traits = snapshot.traits()?;
    let entities = Entities::collect(snapshot, Domain::Account, &traits.accounts)?;
    let columns = vec![
        entities.ids(),
        entities.text("name"),
        entities.timestamp("created_at"),
        entities.text("plan"),
        entities.integer("seats"),
        entities.number("mrr"),
        entities.timestamp("renewal_at"),
        entities.timestamp("churned_at"),
        entities.text("churn_type"),
        entities.json(),
        entities.first_seen(),
        entities.last_seen(),
        entities.events(),
    ];
    Ok(RecordBatch::try_new(TableName::Accounts.schema(), columns)?)
}

/// The rows of `users`, by `user_id`.
pub(super) fn users(snapshot: &StatementSnapshot) -> Result<RecordBatch> {
    let traits = snapshot.traits()?;
    let entities = Entities::collect(snapshot, Domain::User, &traits.users)?;
    let columns = vec![
        entities.ids(),
        entities.text("name"),
        entities.text("email"),
        entities.text("role"),
        entities.timestamp("created_at"),
        entities.json(),
        entities.first_seen(),
        entities.last_seen(),
        entities.events(),
    ];
    Ok(RecordBatch::try_new(TableName::Users.schema(), columns)?)
}

/// Everyone of one domain that is known, by id.
struct Entities<'a> {
    /// Id, what was seen, and the traits where there are any.
    rows: Vec<(String, Seen, Option<&'a EntityTraits>)>,
}

impl<'a> Entities<'a> {
    fn collect(
        snapshot: &StatementSnapshot,
        domain: Domain,
        traits: &'a HashMap<u32, EntityTraits>,
    ) -> Result<Self> {
        let symbols = snapshot.snapshot.symbols();
        let activity = snapshot.activity()?;
        let members = symbols.members();
        let entity = |member: Member| match domain {
            Domain::User => member.user,
            Domain::Account | Domain::Event => member.account,
        };
        let mut seen = vec![Seen::default(); symbols.bound(domain)];
        for (member, part) in members.iter().zip(&activity.members).skip(1) {
            seen[entity(*member) as usize].merge(part);
        }
        let is_known = |&symbol: &u32| symbol != NULL_SYMBOL && seen[symbol as usize].is_known;
        let known: Vec<u32> = (0..seen.len() as u32).filter(is_known).collect();
        let ids = symbols.resolve_all(domain, &known);
        let mut rows: Vec<_> = known
            .iter()
            .zip(ids.iter().flatten())
            .map(|(symbol, id)| (id.to_owned(), seen[*symbol as usize], traits.get(symbol)))
            .collect();
        rows.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        Ok(Self { rows })
    }

    fn traits(&self) -> impl Iterator<Item = Option<&'a EntityTraits>> {
        self.rows.iter().map(|row| row.2)
    }

    fn ids(&self) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(
            self.rows.iter().map(|row| &row.0),
        ))
    }

    fn text(&self, name: &str) -> ArrayRef {
        Arc::new(
            self.traits()
                .map(|traits| traits?.text(name))
                .collect::<StringArray>(),
        )
    }

    fn json(&self) -> ArrayRef {
        Arc::new(
            self.traits()
                .map(|traits| traits?.to_json())
                .collect::<StringArray>(),
        )
    }

    fn integer(&self, name: &str) -> ArrayRef {
        Arc::new(
            self.traits()
                .map(|traits| traits?.integer(name))
                .collect::<Int64Array>(),
        )
    }

    fn number(&self, name: &str) -> ArrayRef {
        Arc::new(
            self.traits()
                .map(|traits| traits?.number(name))
                .collect::<Float64Array>(),
        )
    }

    fn timestamp(&self, name: &str) -> ArrayRef {
        timestamps(self.traits().map(|traits| traits?.timestamp(name)))
    }

    fn first_seen(&self) -> ArrayRef {
        timestamps(self.rows.iter().map(|row| row.1.first_us()))
    }

    fn last_seen(&self) -> ArrayRef {
        timestamps(self.rows.iter().map(|row| row.1.last_us()))
    }

    fn events(&self) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(
            self.rows.iter().map(|row| row.1.events),
        ))
    }
}

/// A column of times in microseconds, UTC.
pub(super) fn timestamps(times: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(
        times
            .collect::<TimestampMicrosecondArray>()
            .with_timezone("UTC"),
    )
}
