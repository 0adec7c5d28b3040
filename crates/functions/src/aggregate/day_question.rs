//! The five questions about active days: what each takes, what it is about and how it is checked.
//!
//! Owns the way from arguments to a cut: which instants count, and the period or today that the
//! answer refers to. Invariant: what is constant is computed and checked once, before any row.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::format_state_name;
use vitalog_measure::Error;

use crate::aggregate::day_groups::DayGroups;
use crate::constant::{self, Known};
use crate::local_days::LocalDays;
use crate::moments::{Edge, Moments};
use crate::parameters::refused;

/// Which question is asked of a group's days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    ActiveDays,
    UsageFrequency,
    DaysInactive,
    LongestGap,
    Streak,
}

impl Question {
    pub(crate) fn function(self) -> &'static str {
        match self {
            Question::ActiveDays => "active_days",
            Question::UsageFrequency => "usage_frequency",
            Question::DaysInactive => "days_inactive",
            Question::LongestGap => "longest_gap",
            Question::Streak => "streak",
        }
    }

    /// The arguments that cut the rows; they follow `ts`, and `tz` follows them.
    pub(crate) fn bounds(self) -> &'static [&'static str] {
        match self {
            Question::ActiveDays | Question::UsageFrequency => &["since", "until"],
            Question::DaysInactive | Question::Streak => &["as_of"],
            Question::LongestGap => &[],
        }
    }

    fn zone_index(self) -> usize {
        1 + self.bounds().len()
    }

    pub(crate) fn return_type(self) -> DataType {
        match self {
            Question::UsageFrequency => DataType::Float64,
            _ => DataType::Int64,
        }
    }

    /// The answer of no rows at all.
    pub(crate) fn of_nothing(self) -> ScalarValue {
        match self {
            Question::ActiveDays | Question::Streak => ScalarValue::Int64(Some(0)),
            Question::UsageFrequency => ScalarValue::Float64(Some(0.0)),
            Question::DaysInactive | Question::LongestGap => ScalarValue::Int64(None),
        }
    }

    /// Whether the answer needs to know the period or today, beside the days.
    pub(crate) fn needs_frame(self) -> bool {
        matches!(
            self,
            Question::UsageFrequency | Question::DaysInactive | Question::Streak
        )
    }

    /// Checks the time zone and the bounds as far as they are known.
    pub(crate) fn check(self, known: &Known) -> Result<()> {
        let function = self.function();
        let mut days = LocalDays::new(constant::zone(known, self.zone_index(), function)?);
        self.constant_cut(known, &mut days)?;
        Ok(())
    }

    /// The state of an aggregation.
    pub(crate) fn state(self, args: &AccumulatorArgs) -> Result<DayGroups> {
        let known = constant::of_aggregate(args);
        constant::required(&known, self.zone_index(), self.function(), "tz")?;
        let mut days = LocalDays::new(constant::zone(&known, self.zone_index(), self.function())?);
        let cut = self.constant_cut(&known, &mut days)?;
        Ok(DayGroups::new(self, days, cut))
    }

    pub(crate) fn state_fields(args: &StateFieldsArgs) -> Vec<FieldRef> {
        let field = |name: &str, data_type| {
            Arc::new(Field::new(
                format_state_name(args.name, name),
                data_type,
                true,
            ))
        };
        vec![
            field("days", DataType::LargeBinary),
            field("today", DataType::Int32),
            field("days_of_period", DataType::UInt32),
        ]
    }

    /// The cut, when every bound is known; else that it comes from columns.
    fn constant_cut(self, known: &Known, days: &mut LocalDays) -> Result<Cut> {
        let mut instants = Vec::new();
        for (index, &argument) in self.bounds().iter().enumerate() {
            let Some(Some(value)) = known.get(1 + index) else {
                return Ok(Cut::Columns);
            };
            let instant = Moments::of_scalar(value, edge_of(argument), days)?;
            instants.push(
                instant
                    .transpose()
                    .map_err(refused(self.function(), argument))?,
            );
        }
        let cut = match instants[..] {
            [] => Span {
                from_us: i64::MIN,
                to_us: i64::MAX,
                frame: None,
            },
            [Some(as_of)] => span_until(as_of, days).map_err(refused(self.function(), "as_of"))?,
            [Some(since), Some(until)] => span_between(since, until, days)
                .map_err(refused(self.function(), "since or until"))?,
            // Nothing is before, after or between what is not known.
            _ => Span {
                from_us: 0,
                to_us: 0,
                frame: None,
            },
        };
        Ok(Cut::Constant(cut))
    }
}

pub(crate) fn edge_of(argument: &str) -> Edge {
    if argument == "as_of" {
        Edge::End
    } else {
        Edge::Start
    }
}

/// What the question is about: its last day and, for a period, how many days it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) today: i32,
    pub(crate) days: u32,
}

/// The instants that count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
    pub(crate) frame: Option<Frame>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    Constant(Span),
    Columns,
}

pub(crate) fn span_until(as_of_us: i64, days: &mut LocalDays) -> Result<Span, Error> {
    let as_of = days.as_of(as_of_us)?;
    let frame = Some(Frame {
        today: as_of.today,
        days: 0,
    });
    Ok(Span {
        from_us: i64::MIN,
        to_us: as_of_us,
        frame,
    })
}

pub(crate) fn span_between(
    since_us: i64,
    until_us: i64,
    days: &mut LocalDays,
) -> Result<Span, Error> {
    let period = days.period(since_us, until_us)?;
    let frame = Some(Frame {
        today: period.last_day,
        days: period.days(),
    });
    Ok(Span {
        from_us: since_us,
        to_us: until_us,
        frame,
    })
}
