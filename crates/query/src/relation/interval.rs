//! A length of calendar time, as SQL writes it.

use datafusion::common::ScalarValue;

/// Months, days and microseconds, each counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub months: i32,
    pub days: i32,
    pub us: i64,
}

impl Interval {
    pub const WEEK: Self = Self::days(7);

    pub const fn days(days: i32) -> Self {
        Self {
            months: 0,
            days,
            us: 0,
        }
    }

    /// `'day'`, `'week'`, `'month'`, `'quarter'`, `'year'` or an INTERVAL; `None` for anything else.
    pub fn of(value: &ScalarValue) -> Option<Self> {
        let months = |months| Self {
            months,
            days: 0,
            us: 0,
        };
        match value {
            ScalarValue::Utf8(Some(name))
            | ScalarValue::Utf8View(Some(name))
            | ScalarValue::LargeUtf8(Some(name)) => match name.to_ascii_lowercase().as_str() {
                "day" => Some(Self::days(1)),
                "week" => Some(Self::WEEK),
                "month" => Some(months(1)),
                "quarter" => Some(months(3)),
                "year" => Some(months(12)),
                _ => None,
            },
            ScalarValue::IntervalYearMonth(Some(count)) => Some(months(*count)),
            ScalarValue::IntervalDayTime(Some(parts)) => Some(Self {
                us: i64::from(parts.milliseconds) * 1_000,
                ..Self::days(parts.days)
            }),
            ScalarValue::IntervalMonthDayNano(Some(parts)) => Some(Self {
                months: parts.months,
                days: parts.days,
                us: parts.nanoseconds / 1_000,
            }),
            _ => None,
        }
    }

    /// Whether repeating it goes forward.
    pub fn is_positive(self) -> bool {
        let Self { months, days, us } = self;
        months >= 0 && days >= 0 && us >= 0 && (months, days, us) != (0, 0, 0)
    }

    /// Its length in microseconds; `None` where it has months, whose length varies.
    pub fn fixed_us(self) -> Option<i64> {
        let days_us = i64::from(self.days).checked_mul(86_400_000_000)?;
        (self.months == 0).then_some(())?;
        days_us.checked_add(self.us)
    }
}
