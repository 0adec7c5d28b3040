//! Every row of a store, read in the same process through the store's SQL face.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use vitalog_event::schema;
use vitalog_store::{Result, RowFilter, Snapshot};

/// One row of `events`, borrowed from its batch; `None` is null.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// The place in commit order, from 1.
    pub seq: i64,
    /// `event_id`.
    pub id: &'a str,
    /// `event_time`, microseconds since 1970 UTC.
    pub time_us: i64,
    /// `event`.
    pub name: &'a str,
    /// `account_id`.
    pub account: Option<&'a str>,
    /// `user_id`.
    pub user: Option<&'a str>,
    /// `value`.
    pub value: Option<f64>,
    /// `properties`.
    pub properties: Option<&'a str>,
}

/// Rows read at once.
const BATCH_ROWS: usize = 8192;

/// Calls `visit` with every row of the snapshot, day after day.
///
/// # Errors
/// Damage of a segment, found on first touch.
///
/// # Panics
/// Where a column that is never null holds one.
pub fn for_each_row(snapshot: &Snapshot, mut visit: impl FnMut(&Row<'_>)) -> Result<()> {
    let filter = RowFilter::up_to(snapshot.seq());
    let columns: Vec<usize> = (0..schema::events_view_schema().fields().len()).collect();
    for section in snapshot.sections(&filter) {
        let section = section.open();
        for ranges in section.select(&filter)?.batches(BATCH_ROWS) {
            let batch = section.batch(&ranges, &columns)?;
            let column = |name: &str| batch.column_by_name(name).expect("a column of events");
            let seqs = column(schema::SEQ).as_primitive::<Int64Type>();
            let ids = column(schema::EVENT_ID).as_string_view();
            let times = column(schema::EVENT_TIME).as_primitive::<TimestampMicrosecondType>();
            let names = column(schema::EVENT).as_string_view();
            let accounts = column(schema::ACCOUNT_ID).as_string_view();
            let users = column(schema::USER_ID).as_string_view();
            let values = column(schema::VALUE).as_primitive::<Float64Type>();
            let properties = column(schema::PROPERTIES).as_string_view();
            assert_eq!(seqs.null_count() + ids.null_count() + times.null_count(), 0);
            for row in 0..batch.num_rows() {
                visit(&Row {
                    seq: seqs.value(row),
                    id: ids.value(row),
                    time_us: times.value(row),
                    name: names.value(row),
                    account: accounts.is_valid(row).then(|| accounts.value(row)),
                    user: users.is_valid(row).then(|| users.value(row)),
                    value: values.is_valid(row).then(|| values.value(row)),
                    properties: properties.is_valid(row).then(|| properties.value(row)),
                });
            }
        }
    }
    Ok(())
}
