//! The mathematics of customer health on plain numbers and slices.
//!
//! This crate owns the exact meaning of a score, a peg, a band, an active day, a streak, a gap,
//! a session and a funnel. It knows nothing of tables, SQL, time zones or files: a day is a number, an
//! instant is a number of microseconds, a NULL score is a NaN or a `None`. The SQL registry and
//! the kernels of the store are thin layers over it, so that both give the same answer.
//!
//! Invariants that every item here keeps:
//! - an answer depends on the set (or bag) of the inputs only, never on their order or on how they
//!   were split into partitions, to the last bit;
//! - bytes that come from outside give an [`Error`], never a panic;
//! - nothing is random and nothing reads a clock.
//!
//! | module | owns |
//! |---|---|
//! | [`score`] | the curve from a raw score to 1–100 and back |
//! | [`peg`] | the exact type-7 quantile and the population it is taken over |
//! | [`normalize`] | whole populations at once, with the other methods |
//! | [`band`] | green, yellow, red, and the status of many bands |
//! | [`share`] | ratios and percentages |
//! | [`calendar`] | day numbers, periods and "as of" instants |
//! | [`day_set`] | the set of active days of one entity, and its bytes |
//! | [`day_sets`] | the same for many entities at once, 16 bytes each |
//! | [`activity`] | first, last and active days: the storable state |
//! | [`lifecycle`] | new, returning, resurrecting, dormant |
//! | [`exact_sum`] | sums of doubles that do not depend on order |
//! | [`decay`] | values that fade with age |
//! | [`auc`] | how well a score tells two classes apart |
//! | [`quantile_sketch`] | quantiles within 0.4 %, storable |
//! | [`uniq_sketch`] | distinct counts within 1 %, storable |
//! | [`counters`] | running counts for rows that arrive in time order |
//! | [`session`] | where sessions begin |
//! | [`funnel`] | how deep into a sequence of steps events went |
//! | [`retention`] | who met a first condition and then others |
//! | [`risk`] | the severity of a signal, and the risk of many |
//! | [`rollup`] | many scores as one |
//! | [`trend`] | up, flat or down |

#![forbid(unsafe_code)]

pub mod activity;
pub mod auc;
pub mod band;
pub mod calendar;
mod code;
pub mod counters;
pub mod day_set;
mod day_set_bytes;
pub mod day_sets;
pub mod decay;
mod error;
pub mod exact_sum;
pub mod funnel;
mod funnel_once;
pub mod lifecycle;
pub mod normalize;
pub mod peg;
pub mod quantile_sketch;
pub mod retention;
pub mod risk;
pub mod rollup;
pub mod score;
pub mod session;
pub mod share;
pub mod trend;
pub mod uniq_sketch;
mod wide;

pub use activity::Activity;
pub use band::{Band, Thresholds};
pub use calendar::{AsOf, Period};
pub use counters::{ActiveDayCounter, SessionCounter};
pub use day_set::DaySet;
pub use day_sets::DaySets;
pub use error::Error;
pub use exact_sum::ExactSum;
pub use funnel::{Funnel, FunnelEvent, FunnelModes};
pub use lifecycle::Lifecycle;
pub use normalize::Method;
pub use peg::PegPopulation;
pub use quantile_sketch::QuantileSketch;
pub use score::Curve;
pub use trend::Trend;
pub use uniq_sketch::UniqSketch;
