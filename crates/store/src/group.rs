//! Making a commit group: each event of the waiting batches is looked for among what is stored
//! and in flight, and the new ones become columns with their symbols.

use arrow_array::{Array, Float64Array, StringArray, TimestampMicrosecondArray, UInt32Array};
use arrow_schema::ArrowError;
use arrow_select::concat::concat;
use arrow_select::take::take;
use vitalog_event::{
    DAY_US, EventBatch, Rejection, RejectionCode, day_of_timestamp_us, format_timestamp_us, schema,
};

use crate::command::AppendReceipt;
use crate::error::{Result, StoreError};
use crate::idempotency::{EventKey, RecentIds, Stored, content_of, find_in_section};
use crate::removal::PendingRemoval;
use crate::snapshot::Snapshot;
use crate::symbols::{Domain, Member, NULL_SYMBOL, Symbols, Tables};
use crate::wal::GroupColumns;

/// Collects the new events of a group.
pub(crate) struct GroupBuilder<'a> {
    symbols: &'a Symbols,
    snapshot: &'a Snapshot,
    frozen: Option<&'a RecentIds>,
    recent: &'a mut RecentIds,
    /// The first day that is kept.
    retained_from_day: Option<i32>,
    /// Removals under way: their rows are no originals.
    removing: &'a [PendingRemoval],
    /// Rows taken of each batch.
    taken: Vec<Vec<u32>>,
    events: Vec<u32>,
    members: Vec<u32>,
}

/// One row of a batch, looked up but not yet stored.
struct Row<'a> {
    event_id: &'a str,
    time_us: i64,
    is_stamped: bool,
    event: &'a str,
    account: Option<&'a str>,
    user: Option<&'a str>,
    value: Option<f64>,
    properties: Option<&'a str>,
}

enum Outcome {
    New,
    Duplicate,
    Conflict(String),
}

impl<'a> GroupBuilder<'a> {
    pub fn new(
        symbols: &'a Symbols,
        snapshot: &'a Snapshot,
        frozen: Option<&'a RecentIds>,
        recent: &'a mut RecentIds,
        (retained_from_day, removing): (Option<i32>, &'a [PendingRemoval]),
    ) -> Self {
        let (taken, events, members) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            symbols,
            snapshot,
            frozen,
            recent,
            retained_from_day,
            removing,
            taken,
            events,
            members,
        }
    }

    /// Takes the new events of `batch`.
    pub fn take(&mut self, batch: &EventBatch) -> Result<AppendReceipt> {
        let mut receipt = AppendReceipt::default();
        let mut taken = Vec::with_capacity(batch.len());
        let mut tables = self.symbols.write();
        for at in 0..batch.len() {
            let row = row_of(batch, at);
            if let Some(message) = self.past_retention(&row) {
                receipt.rejected.push(Rejection {
                    index: batch.input_index(at),
                    field: schema::EVENT_TIME,
                    code: RejectionCode::PastRetention,
                    message,
                });
                continue;
            }
            match self.take_row(&mut tables, &row)? {
                Outcome::New => taken.push(at as u32),
                Outcome::Duplicate => receipt.duplicates += 1,
                Outcome::Conflict(message) => receipt.rejected.push(Rejection {
                    index: batch.input_index(at),
                    field: schema::EVENT_ID,
                    code: RejectionCode::Conflict,
                    message,
                }),
            }
        }
        receipt.accepted = taken.len();
        self.taken.push(taken);
        Ok(receipt)
    }

    /// Why a row lies before the days that are kept, where it does.
    fn past_retention(&self, row: &Row<'_>) -> Option<String> {
        let floor = self.retained_from_day?;
        (day_of_timestamp_us(row.time_us) < floor).then(|| {
            format!(
                "{} lies before {}, the first day that the store keeps",
                format_timestamp_us(row.time_us),
                &format_timestamp_us(i64::from(floor) * DAY_US)[..10],
            )
        })
    }

    fn take_row(&mut self, tables: &mut Tables, row: &Row<'_>) -> Result<Outcome> {
        let intern = |tables: &mut Tables, domain, text: Option<&str>| {
            text.map_or(NULL_SYMBOL, |text| tables.strings_mut(domain).intern(text))
        };
        let account = intern(tables, Domain::Account, row.account);
        let user = intern(tables, Domain::User, row.user);
        let event = tables.events.intern(row.event);
        let key = EventKey {
            event_id: row.event_id,
            account,
            time_us: row.time_us,
            content: content_of(event, user, row.value, row.properties),
        };
        let day = day_of_timestamp_us(row.time_us);
        if let Some(stored) = self.find(&key, day, row.is_stamped)? {
            return Ok(compare(&key, row, stored));
        }
        self.recent.insert(&key, day);
        self.events.push(event);
        self.members
            .push(tables.members.intern(Member { account, user }));
        Ok(Outcome::New)
    }

    /// A time that the server stamped differs in a retry: the day before is asked too.
    fn find(&self, key: &EventKey<'_>, day: i32, is_stamped: bool) -> Result<Option<Stored>> {
        for day in (day - i32::from(is_stamped)..=day).rev() {
            let recent = self.recent.find(key, day);
            let known = recent.or_else(|| self.frozen.and_then(|frozen| frozen.find(key, day)));
            if known.is_some() {
                return Ok(known);
            }
            for section in self.snapshot.file_sections(day) {
                let stored = find_in_section(section, key, self.removing)?;
                if stored.is_some() {
                    return Ok(stored);
                }
            }
        }
        Ok(None)
    }

    /// The columns of the taken rows of `batches`, which are those given to [`Self::take`].
    pub fn finish(self, batches: &[&EventBatch]) -> Result<GroupColumns> {
        let Self {
            taken,
            events,
            members,
            ..
        } = self;
        let gather = |column: fn(&EventBatch) -> &dyn Array| {
            gather(batches, &taken, column).map_err(StoreError::arrow("commit group"))
        };
        Ok(GroupColumns {
            event_ids: downcast::<StringArray>(gather(|batch| batch.event_ids())?.as_ref()),
            times: downcast::<TimestampMicrosecondArray>(gather(|batch| batch.times())?.as_ref()),
            events,
            members,
            values: downcast::<Float64Array>(gather(|batch| batch.values())?.as_ref()),
            properties: downcast::<StringArray>(gather(|batch| batch.properties())?.as_ref()),
        })
    }
}

fn optional(column: &StringArray, at: usize) -> Option<&str> {
    column.is_valid(at).then(|| column.value(at))
}

fn row_of(batch: &EventBatch, at: usize) -> Row<'_> {
    Row {
        event_id: batch.event_ids().value(at),
        time_us: batch.times().value(at),
        is_stamped: batch.time_is_stamped(at),
        event: batch.events().value(at),
        account: optional(batch.account_ids(), at),
        user: optional(batch.user_ids(), at),
        value: batch
            .values()
            .is_valid(at)
            .then(|| batch.values().value(at)),
        properties: optional(batch.properties(), at),
    }
}

fn compare(key: &EventKey<'_>, row: &Row<'_>, stored: Stored) -> Outcome {
    let same_time = row.is_stamped || stored.time_us == key.time_us;
    if same_time && stored.content == key.content {
        return Outcome::Duplicate;
    }
    let what = if same_time {
        "other content"
    } else {
        "another time of the same day"
    };
    Outcome::Conflict(format!(
        "the id {:?} was stored with {what} (at {}); the first one stays",
        row.event_id,
        format_timestamp_us(stored.time_us)
    ))
}

/// The taken rows of one column over all batches; without a copy where one batch is whole.
fn gather(
    batches: &[&EventBatch],
    taken: &[Vec<u32>],
    column: fn(&EventBatch) -> &dyn Array,
) -> std::result::Result<arrow_array::ArrayRef, ArrowError> {
    let parts = batches
        .iter()
        .zip(taken)
        .map(|(batch, rows)| {
            let array = column(batch);
            if rows.len() == batch.len() {
                return Ok(array.slice(0, array.len()));
            }
            take(array, &UInt32Array::from(rows.clone()), None)
        })
        .collect::<std::result::Result<Vec<_>, _>>()?;
    match parts.as_slice() {
        [only] => Ok(only.clone()),
        several => concat(&several.iter().map(AsRef::as_ref).collect::<Vec<_>>()),
    }
}

fn downcast<T: Array + Clone + 'static>(array: &dyn Array) -> T {
    array
        .as_any()
        .downcast_ref::<T>()
        .expect("a column keeps its type")
        .clone()
}
