//! A picture: the scores of every entity of a model at one moment, ready to be looked up.
//!
//! It stays in columns, which take a third of the memory of messages; a row becomes a message when
//! it is sent. Invariant: rows ascend strictly by (account, user) in byte order, NULL last.

use std::cmp::Ordering;
use std::ops::Range;

use arrow::array::{
    Array, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use vitalog_wire::vitalog::v1;
use vitalog_wire::vitalog::v1::{Band, Entity, EntityId, Score, Status};

use super::pin::Pin;
use crate::columns::{
    booleans, count, doubles, integers, text, text_list, text_lists, texts, times, value,
};
use crate::fault::{Fault, Reason};
use crate::instant::timestamp;
use crate::token::{TokenKind, seal};
use crate::words::{band_of, direction_of, status_of};

/// The columns that a picture is made of, as SQL selects them.
pub(super) const COLUMNS: &str = "version, account_id, user_id, raw, peg, peg_n, score, band, \
     active_days, usage_frequency, first_active, last_active, days_inactive, feature_adoption, \
     members, active_members, active_user_pct, activation_rate, start_at, tenure_days, \
     time_to_first, healthy_user_pct, healthy_days, trend, trend_own, direction, churn_risk, \
     expansion_ready, status, stage, days_to_renewal, segments";

/// The order of a picture's rows.
pub(super) const ORDER: &str = "ORDER BY account_id ASC NULLS LAST, user_id ASC NULLS LAST";

/// An entity's place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key<'a> {
    pub account_id: Option<&'a str>,
    pub user_id: Option<&'a str>,
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let nulls_last = |left: Option<&str>, right: Option<&str>| {
            (left.is_none(), left).cmp(&(right.is_none(), right))
        };
        nulls_last(self.account_id, other.account_id)
            .then_with(|| nulls_last(self.user_id, other.user_id))
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The scores of one moment.
#[derive(Debug)]
pub(super) struct Picture {
    pub pin: Pin,
    computed_at_us: i64,
    columns: Columns,
    /// Rows by user, then account; for members only, whose rows are not in that order.
    by_user: Vec<u32>,
    bytes: usize,
}

#[derive(Debug)]
struct Columns {
    account_id: StringArray,
    user_id: StringArray,
    raw: Float64Array,
    peg: Float64Array,
    peg_n: Int64Array,
    score: Float64Array,
    bands: Vec<Band>,
    active_days: Int64Array,
    usage_frequency: Float64Array,
    first_active: TimestampMicrosecondArray,
    last_active: TimestampMicrosecondArray,
    days_inactive: Int64Array,
    feature_adoption: Float64Array,
    members: Int64Array,
    active_members: Int64Array,
    active_user_pct: Float64Array,
    activation_rate: Float64Array,
    start_at: TimestampMicrosecondArray,
    tenure_days: Int64Array,
    time_to_first: Float64Array,
    healthy_user_pct: Float64Array,
    healthy_days: Int64Array,
    trend: Float64Array,
    trend_own: Float64Array,
    directions: Vec<v1::Direction>,
    churn_risk: Float64Array,
    expansion_ready: BooleanArray,
    statuses: Vec<Status>,
    stage: StringArray,
    days_to_renewal: Int64Array,
    segments: ListArray,
}

impl Picture {
    /// The picture of `pin` from the rows of [`COLUMNS`] in [`ORDER`]. Where the rows name a
    /// version of the model, the picture's pin does.
    ///
    /// # Errors
    /// [`Reason::Internal`]: the rows are not what the statement asked for.
    pub fn new(mut pin: Pin, rows: &RecordBatch, computed_at_us: i64) -> Result<Self, Fault> {
        let version = integers(rows, "version")?;
        if !version.is_empty() {
            pin.version = u32::try_from(version.value(0)).unwrap_or(pin.version);
        }
        let columns = Columns::new(rows)?;
        let mut picture = Self {
            pin,
            computed_at_us,
            columns,
            by_user: Vec::new(),
            bytes: rows.get_array_memory_size() + rows.num_rows() * 4 * size_of::<Band>(),
        };
        let keys = || (0..picture.len()).map(|row| picture.key(row));
        if !keys().zip(keys().skip(1)).all(|(left, right)| left < right) {
            let message = "the scores came out of order, or an entity came twice";
            return Err(Fault::new(Reason::Internal, message));
        }
        if picture.pin.entity() == Entity::Member {
            let mut by_user: Vec<u32> = (0..picture.len() as u32).collect();
            by_user.sort_by_key(|&row| (picture.key(row as usize).user_id, row));
            picture.by_user = by_user;
        }
        Ok(picture)
    }

    /// Number of entities.
    pub fn len(&self) -> usize {
        self.columns.account_id.len()
    }

    /// Memory that it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn key(&self, row: usize) -> Key<'_> {
        Key {
            account_id: value(&self.columns.account_id, row),
            user_id: value(&self.columns.user_id, row),
        }
    }

    /// The row of an entity: a binary search.
    pub fn find(&self, key: Key<'_>) -> Option<usize> {
        let row = partition_point(0..self.len(), |row| self.key(row) < key);
        (row < self.len() && self.key(row) == key).then_some(row)
    }

    /// The rows of an account: two binary searches.
    pub fn rows_of_account(&self, account_id: &str) -> Range<usize> {
        let account = Some(account_id);
        let start = partition_point(0..self.len(), |row| {
            let key = self.key(row);
            key.account_id.is_some() && key.account_id < account
        });
        let end = partition_point(start..self.len(), |row| self.key(row).account_id == account);
        start..end
    }

    /// The rows of a user, ascending: two binary searches.
    pub fn rows_of_user(&self, user_id: &str) -> Vec<usize> {
        if self.by_user.is_empty() {
            let user_id = Some(user_id);
            let account_id = None;
            let row = self.find(Key {
                account_id,
                user_id,
            });
            return row.into_iter().collect();
        }
        let user_of = |&row: &u32| self.key(row as usize).user_id;
        let start = self
            .by_user
            .partition_point(|row| user_of(row) < Some(user_id));
        let rows = self.by_user[start..].iter();
        rows.take_while(|row| user_of(row) == Some(user_id))
            .map(|&row| row as usize)
            .collect()
    }

    pub fn score(&self, row: usize) -> Option<f64> {
        value(&self.columns.score, row)
    }

    pub fn band(&self, row: usize) -> Band {
        self.columns.bands[row]
    }

    pub fn status(&self, row: usize) -> Status {
        self.columns.statuses[row]
    }

    pub fn stage(&self, row: usize) -> Option<&str> {
        value(&self.columns.stage, row)
    }

    pub fn segments(&self, row: usize) -> Vec<String> {
        text_list(&self.columns.segments, row)
    }

    pub fn id(&self, row: usize) -> EntityId {
        EntityId {
            account_id: text(&self.columns.account_id, row),
            user_id: text(&self.columns.user_id, row),
        }
    }

    /// A row as a message.
    pub fn message(&self, row: usize) -> Score {
        let columns = &self.columns;
        let time = |column| value(column, row).map(timestamp);
        Score {
            account_id: text(&columns.account_id, row),
            user_id: text(&columns.user_id, row),
            raw: value(&columns.raw, row),
            peg: value(&columns.peg, row),
            peg_n: count(&columns.peg_n, row).unwrap_or_default(),
            score: value(&columns.score, row),
            band: columns.bands[row].into(),
            active_days: count(&columns.active_days, row).unwrap_or_default(),
            usage_frequency: value(&columns.usage_frequency, row),
            first_active: time(&columns.first_active),
            last_active: time(&columns.last_active),
            days_inactive: value(&columns.days_inactive, row),
            feature_adoption: value(&columns.feature_adoption, row),
            members: count(&columns.members, row),
            active_members: count(&columns.active_members, row),
            active_user_pct: value(&columns.active_user_pct, row),
            activation_rate: value(&columns.activation_rate, row),
            start_at: time(&columns.start_at),
            tenure_days: value(&columns.tenure_days, row),
            time_to_first: value(&columns.time_to_first, row),
            healthy_user_pct: value(&columns.healthy_user_pct, row),
            healthy_days: value(&columns.healthy_days, row),
            trend: value(&columns.trend, row),
            trend_own: value(&columns.trend_own, row),
            direction: columns.directions[row].into(),
            churn_risk: value(&columns.churn_risk, row),
            expansion_ready: value(&columns.expansion_ready, row),
            status: columns.statuses[row].into(),
            stage: text(&columns.stage, row),
            days_to_renewal: value(&columns.days_to_renewal, row),
            segments: self.segments(row),
        }
    }

    /// The picture as answers name it.
    pub fn described(&self) -> v1::Picture {
        let Pin {
            model,
            version,
            entity,
            seq,
            as_of_us,
            known_at_us,
        } = self.pin.clone();
        v1::Picture {
            model,
            version,
            entity,
            seq: seq.max(0) as u64,
            as_of: Some(timestamp(as_of_us)),
            known_at: known_at_us.map(timestamp),
            computed_at: Some(timestamp(self.computed_at_us)),
            token: seal(TokenKind::Picture, &self.pin),
        }
    }
}

impl Columns {
    fn new(rows: &RecordBatch) -> Result<Self, Fault> {
        let words = |name| texts(rows, name);
        Ok(Self {
            account_id: texts(rows, "account_id")?,
            user_id: texts(rows, "user_id")?,
            raw: doubles(rows, "raw")?,
            peg: doubles(rows, "peg")?,
            peg_n: integers(rows, "peg_n")?,
            score: doubles(rows, "score")?,
            bands: words("band")?
                .iter()
                .map(band_of)
                .collect::<Result<_, _>>()?,
            active_days: integers(rows, "active_days")?,
            usage_frequency: doubles(rows, "usage_frequency")?,
            first_active: times(rows, "first_active")?,
            last_active: times(rows, "last_active")?,
            days_inactive: integers(rows, "days_inactive")?,
            feature_adoption: doubles(rows, "feature_adoption")?,
            members: integers(rows, "members")?,
            active_members: integers(rows, "active_members")?,
            active_user_pct: doubles(rows, "active_user_pct")?,
            activation_rate: doubles(rows, "activation_rate")?,
            start_at: times(rows, "start_at")?,
            tenure_days: integers(rows, "tenure_days")?,
            time_to_first: doubles(rows, "time_to_first")?,
            healthy_user_pct: doubles(rows, "healthy_user_pct")?,
            healthy_days: integers(rows, "healthy_days")?,
            trend: doubles(rows, "trend")?,
            trend_own: doubles(rows, "trend_own")?,
            directions: words("direction")?
                .iter()
                .map(direction_of)
                .collect::<Result<_, _>>()?,
            churn_risk: doubles(rows, "churn_risk")?,
            expansion_ready: booleans(rows, "expansion_ready")?,
            statuses: words("status")?
                .iter()
                .map(status_of)
                .collect::<Result<_, _>>()?,
            stage: texts(rows, "stage")?,
            days_to_renewal: integers(rows, "days_to_renewal")?,
            segments: text_lists(rows, "segments")?,
        })
    }
}

/// The first row of `rows` for which `is_before` does not hold, where it holds for the rows
/// before some row and for none after.
fn partition_point(rows: Range<usize>, is_before: impl Fn(usize) -> bool) -> usize {
    let Range { mut start, mut end } = rows;
    while start < end {
        let middle = start + (end - start) / 2;
        if is_before(middle) {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    start
}
