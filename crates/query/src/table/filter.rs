//! From SQL conditions on `events` to what the store applies.
//!
//! A condition is described by the rows for which it is **true**: a WHERE keeps those alone, so
//! false and unknown need not be told apart, and the rows of `a OR b` and `a AND b` are the union
//! and the intersection. A condition that no description fits stays with the engine.
//!
//! Invariant: a description that is marked exact keeps the rows for which the condition is true
//! and no others; one that is not keeps at least those.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, Operator, TryCast};
use vitalog_event::{DAY_US, format_timestamp_us, schema};
use vitalog_store::{Domain, NULL_SYMBOL, RowFilter, StoredSection, SymbolSet, Symbols};

/// What a scan keeps: the store's filter, made of conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScanFilter {
    pub rows: RowFilter,
}

/// A column of identities or names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameColumn {
    Account,
    User,
    Event,
}

/// The rows for which a condition is true.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    /// `event_time` in microseconds, both ends inclusive; may be empty.
    Times(RangeInclusive<i64>),
    /// `seq`, both ends inclusive; may be empty.
    Seqs(RangeInclusive<i64>),
    /// A column has one of these values; `None` is NULL.
    Names(NameColumn, BTreeSet<Option<String>>),
    /// Every row, or none.
    All(bool),
}

/// A condition as the store understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    kept: Kept,
    /// Whether the scan alone applies it.
    pub is_exact: bool,
}

impl Condition {
    /// The description of `expression`, where there is one.
    pub fn of(expression: &Expr) -> Option<Self> {
        let condition = |kept| {
            Some(Self {
                kept,
                is_exact: true,
            })
        };
        match expression {
            Expr::Alias(alias) => Self::of(&alias.expr),
            Expr::IsTrue(inner) => Self::of(inner),
            Expr::Literal(ScalarValue::Boolean(value), _) => {
                condition(Kept::All(value.unwrap_or(false)))
            }
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::And,
                right,
            }) => Self::of(left)?.and(Self::of(right)?),
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::Or,
                right,
            }) => Self::of(left)?.or(Self::of(right)?),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                condition(comparison(left, *op, right)?)
            }
            Expr::Between(Between {
                expr,
                negated: false,
                low,
                high,
            }) => {
                let above = comparison(expr, Operator::GtEq, low)?;
                let below = comparison(expr, Operator::LtEq, high)?;
                condition(intersection(above, below)?)
            }
            Expr::InList(InList {
                expr,
                list,
                negated: false,
            }) => condition(in_list(expr, list)?),
            Expr::IsNull(inner) => match name_column(inner)? {
                NameColumn::Event => condition(Kept::All(false)),
                column => condition(Kept::Names(column, [None].into())),
            },
            _ => None,
        }
    }

    fn and(self, other: Self) -> Option<Self> {
        let is_exact = self.is_exact && other.is_exact;
        Some(Self {
            kept: intersection(self.kept, other.kept)?,
            is_exact,
        })
    }

    fn or(self, other: Self) -> Option<Self> {
        let (kept, is_union) = union(self.kept, other.kept)?;
        Some(Self {
            kept,
            is_exact: is_union && self.is_exact && other.is_exact,
        })
    }
}

fn intersection(left: Kept, right: Kept) -> Option<Kept> {
    let both = |left: RangeInclusive<i64>, right: RangeInclusive<i64>| {
        *left.start().max(right.start())..=*left.end().min(right.end())
    };
    match (left, right) {
        (Kept::All(true), other) | (other, Kept::All(true)) => Some(other),
        (Kept::All(false), _) | (_, Kept::All(false)) => Some(Kept::All(false)),
        (Kept::Times(left), Kept::Times(right)) => Some(Kept::Times(both(left, right))),
        (Kept::Seqs(left), Kept::Seqs(right)) => Some(Kept::Seqs(both(left, right))),
        (Kept::Names(column, left), Kept::Names(other, right)) if column == other => Some(
            Kept::Names(column, left.intersection(&right).cloned().collect()),
        ),
        _ => None,
    }
}

/// The rows of both, and whether no others are among them.
fn union(left: Kept, right: Kept) -> Option<(Kept, bool)> {
    let hull = |left: RangeInclusive<i64>, right: RangeInclusive<i64>| {
        if left.is_empty() {
            return right;
        }
        if right.is_empty() {
            return left;
        }
        *left.start().min(right.start())..=*left.end().max(right.end())
    };
    match (left, right) {
        (Kept::All(false), other) | (other, Kept::All(false)) => Some((other, true)),
        (Kept::All(true), _) | (_, Kept::All(true)) => Some((Kept::All(true), true)),
        (Kept::Times(left), Kept::Times(right)) => Some((Kept::Times(hull(left, right)), false)),
        (Kept::Seqs(left), Kept::Seqs(right)) => Some((Kept::Seqs(hull(left, right)), false)),
        (Kept::Names(column, mut left), Kept::Names(other, right)) if column == other => {
            left.extend(right);
            Some((Kept::Names(column, left), true))
        }
        _ => None,
    }
}

fn in_list(expression: &Expr, list: &[Expr]) -> Option<Kept> {
    list.iter()
        .map(|value| comparison(expression, Operator::Eq, value))
        .reduce(|left, right| match union(left?, right?)? {
            (kept @ (Kept::Names(..) | Kept::All(_)), true) => Some(kept),
            // Times and seqs one by one are no range.
            _ => None,
        })?
}

fn comparison(left: &Expr, operator: Operator, right: &Expr) -> Option<Kept> {
    match (left, right) {
        (column, Expr::Literal(value, _)) => compare(column, operator, value),
        (Expr::Literal(value, _), column) => compare(column, operator.swap()?, value),
        _ => None,
    }
}

fn compare(column: &Expr, operator: Operator, value: &ScalarValue) -> Option<Kept> {
    if let Some(column) = name_column(column) {
        return compare_name(column, operator, value);
    }
    if value.is_null() {
        // Comparing with NULL is true of no row; IS [NOT] DISTINCT FROM stays with the engine.
        let is_plain = matches!(
            operator,
            Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
        );
        return (is_plain && (time_column(column).is_some() || is_seq(column)))
            .then_some(Kept::All(false));
    }
    if is_seq(column) {
        let ScalarValue::Int64(Some(seq)) = value else {
            return None;
        };
        let bucket = i128::from(*seq)..=i128::from(*seq);
        return Some(Kept::Seqs(clamp(&range(operator, &bucket)?)));
    }
    let bucket = microseconds_of(time_column(column)?, value)?;
    Some(Kept::Times(clamp(&range(operator, &bucket)?)))
}

fn compare_name(column: NameColumn, operator: Operator, value: &ScalarValue) -> Option<Kept> {
    let text = value.try_as_str()?;
    match (operator, text) {
        (Operator::Eq, None) => Some(Kept::All(false)),
        (Operator::Eq | Operator::IsNotDistinctFrom, Some(text)) => {
            Some(Kept::Names(column, [Some(text.to_owned())].into()))
        }
        (Operator::IsNotDistinctFrom, None) => Some(Kept::Names(column, [None].into())),
        _ => None,
    }
}

/// The integers that compare as asked with a value that stands for the integers of `bucket`; an
/// empty bucket `n+1..=n` lies between `n` and `n+1`.
fn range(operator: Operator, bucket: &RangeInclusive<i128>) -> Option<RangeInclusive<i128>> {
    let (first, last) = (*bucket.start(), *bucket.end());
    match operator {
        Operator::Eq | Operator::IsNotDistinctFrom => Some(first..=last),
        Operator::Lt => Some(i128::MIN..=first - 1),
        Operator::LtEq => Some(i128::MIN..=last),
        Operator::Gt => Some(last + 1..=i128::MAX),
        Operator::GtEq => Some(first..=i128::MAX),
        _ => None,
    }
}

fn clamp(range: &RangeInclusive<i128>) -> RangeInclusive<i64> {
    let (low, high) = (i128::from(i64::MIN), i128::from(i64::MAX));
    if *range.start() > high || *range.end() < low {
        return RangeInclusive::new(1, 0);
    }
    let bound = |value: i128| value.clamp(low, high) as i64;
    bound(*range.start())..=bound(*range.end())
}

fn column_name(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Column(column) => Some(column.name()),
        _ => None,
    }
}

/// A column of names, also where a cast makes it another type of text, which changes no value.
fn name_column(expression: &Expr) -> Option<NameColumn> {
    let inner = match expression {
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field })
            if is_text(field.data_type()) =>
        {
            expr
        }
        other => other,
    };
    match column_name(inner)? {
        schema::ACCOUNT_ID => Some(NameColumn::Account),
        schema::USER_ID => Some(NameColumn::User),
        schema::EVENT => Some(NameColumn::Event),
        _ => None,
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn is_seq(expression: &Expr) -> bool {
    column_name(expression) == Some(schema::SEQ)
}

/// The type as which `event_time` is compared: its own, or that of a cast whose buckets are known.
fn time_column(expression: &Expr) -> Option<DataType> {
    let (inner, data_type) = match expression {
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            (expr.as_ref(), field.data_type().clone())
        }
        column => (column, schema::timestamp_type()),
    };
    let is_known = matches!(data_type, DataType::Timestamp(..) | DataType::Date32);
    (column_name(inner) == Some(schema::EVENT_TIME) && is_known).then_some(data_type)
}

/// The microseconds that `event_time` may have to equal `value` once it is cast to `compared`.
///
/// Times are never before 1970, so a cast to a coarser unit rounds down; a cast to another zone
/// keeps the instant, and the session's zone is UTC.
fn microseconds_of(compared: DataType, value: &ScalarValue) -> Option<RangeInclusive<i128>> {
    let whole = |units: i64, width: i64| {
        let (units, width) = (i128::from(units), i128::from(width));
        units * width..=units * width + width - 1
    };
    let point = |microseconds: i128| microseconds..=microseconds;
    match (compared, value) {
        (DataType::Date32, ScalarValue::Date32(Some(day))) => Some(whole(i64::from(*day), DAY_US)),
        (DataType::Timestamp(TimeUnit::Second, _), ScalarValue::TimestampSecond(Some(time), _)) => {
            Some(whole(*time, 1_000_000))
        }
        (
            DataType::Timestamp(TimeUnit::Millisecond, _),
            ScalarValue::TimestampMillisecond(Some(time), _),
        ) => Some(whole(*time, 1_000)),
        // The finer units hold every microsecond, so any literal compares as an instant.
        (DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _), value) => {
            match value {
                ScalarValue::TimestampSecond(Some(time), _) => {
                    Some(point(i128::from(*time) * 1_000_000))
                }
                ScalarValue::TimestampMillisecond(Some(time), _) => {
                    Some(point(i128::from(*time) * 1_000))
                }
                ScalarValue::TimestampMicrosecond(Some(time), _) => Some(point(i128::from(*time))),
                ScalarValue::TimestampNanosecond(Some(time), _) => {
                    let below = i128::from(time.div_euclid(1_000));
                    let is_whole = time.rem_euclid(1_000) == 0;
                    Some(if is_whole {
                        point(below)
                    } else {
                        below + 1..=below
                    })
                }
                ScalarValue::Date32(Some(day)) => {
                    Some(point(i128::from(*day) * i128::from(DAY_US)))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

impl ScanFilter {
    /// The rows of `rows`.
    pub fn of(rows: RowFilter) -> Self {
        Self { rows }
    }

    /// Keeps only rows of `condition`, too. Names become symbols; one that the store never saw
    /// keeps nothing.
    pub fn add(&mut self, condition: &Condition, symbols: &Symbols) {
        match &condition.kept {
            Kept::All(true) => {}
            Kept::All(false) => self.rows.time_us = 0..0,
            Kept::Times(times) => {
                let start = self.rows.time_us.start.max(*times.start());
                let end = self.rows.time_us.end.min(times.end().saturating_add(1));
                self.rows.time_us = if start < end { start..end } else { 0..0 };
            }
            Kept::Seqs(seqs) => {
                self.rows.seq_max = self.rows.seq_max.min(*seqs.end());
                self.rows.seq_min = self.rows.seq_min.max(*seqs.start());
            }
            Kept::Names(column, names) => {
                let (domain, slot) = match column {
                    NameColumn::Account => (Domain::Account, &mut self.rows.accounts),
                    NameColumn::User => (Domain::User, &mut self.rows.users),
                    NameColumn::Event => (Domain::Event, &mut self.rows.events),
                };
                let symbol = |name: &Option<String>| match name {
                    None => (domain != Domain::Event).then_some(NULL_SYMBOL),
                    Some(name) => symbols.lookup(domain, name),
                };
                let set: SymbolSet = names.iter().filter_map(symbol).collect();
                *slot = Some(
                    slot.as_ref()
                        .map_or_else(|| set.clone(), |old| old.intersect(&set)),
                );
            }
        }
    }

    /// Whether it is known without looking that no row passes.
    pub fn is_empty(&self) -> bool {
        let none = |set: &Option<SymbolSet>| set.as_ref().is_some_and(SymbolSet::is_empty);
        let RowFilter {
            time_us,
            seq_min,
            seq_max,
            accounts,
            users,
            events,
        } = &self.rows;
        time_us.is_empty() || seq_max < seq_min || none(accounts) || none(users) || none(events)
    }

    /// Whether statistics alone show that no row of `section` passes.
    pub fn prunes(&self, section: &StoredSection) -> bool {
        section.is_pruned_by(&self.rows)
    }

    /// Whether statistics alone show that every row of `section` passes.
    pub fn keeps_all(&self, section: &StoredSection) -> bool {
        section.is_kept_whole_by(&self.rows)
    }
}

/// For EXPLAIN: only what filters.
impl fmt::Display for ScanFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RowFilter {
            time_us,
            seq_min,
            seq_max,
            accounts,
            users,
            events,
        } = &self.rows;
        write!(formatter, "seq<={seq_max}")?;
        if *seq_min > i64::MIN {
            write!(formatter, ", seq>={seq_min}")?;
        }
        if time_us.start > i64::MIN {
            write!(
                formatter,
                ", event_time>={}",
                format_timestamp_us(time_us.start)
            )?;
        }
        if time_us.end < i64::MAX {
            write!(
                formatter,
                ", event_time<{}",
                format_timestamp_us(time_us.end)
            )?;
        }
        for (name, set) in [
            (schema::ACCOUNT_ID, accounts),
            (schema::USER_ID, users),
            (schema::EVENT, events),
        ] {
            if let Some(set) = set {
                write!(formatter, ", {name} in {} symbols", set.symbols().len())?;
            }
        }
        Ok(())
    }
}
