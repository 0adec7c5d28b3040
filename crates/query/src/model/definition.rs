//! What a health model is, as checked data.
//!
//! It owns the types only. A [`Model`] that exists is valid in itself: made by parsing
//! (`parse`), never by hand outside tests. Whether the SQL in it plans over a store is checked
//! when it is applied.

use super::threshold::Thresholds;

/// Units of a weight: `weight · 10_000`, whole.
pub(crate) const WEIGHT_UNITS: i64 = 10_000;

/// Who is a row of `health_scores`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Entity {
    /// The customer account.
    #[default]
    Account,
    /// The person, over all accounts.
    User,
    /// An (account, user) pair.
    Member,
}

impl Entity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Account, Self::User, Self::Member];
}

/// SQL of a model and the line on which it stands, from 1; 0 in the built-in default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SqlText {
    pub sql: String,
    pub line: usize,
}

/// How raw scores become 1–100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// The exponential curve that maps the peg to 100.
    Peg,
    /// Linear, cut at the peg.
    Winsor,
    /// By percent rank.
    Rank,
}

/// The denominator of `active_user_pct`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberBase {
    /// Every known member; silent ones count.
    Known,
    /// Members seen in the last 90 days.
    Seen90Days,
    /// The account's `seats` trait.
    Seats,
}

/// A health model: weights and thresholds as data.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Model {
    /// `[a-z0-9][a-z0-9_-]{0,63}`.
    pub name: String,
    pub description: Option<String>,
    pub entity: Entity,
    /// Of the models with a priority over the same entity, each entity belongs to the one of the
    /// lowest number that it matches; equal priorities go by name. A model without one stands
    /// alone and takes everyone whom its filter keeps.
    pub priority: Option<i64>,
    /// SQL over the columns of `accounts` (of `users` for user models; of `accounts` and `users`
    /// for members) that an entity must fulfil.
    pub filter: Option<SqlText>,
    /// SQL over the columns of `events`: the events that the model looks at.
    pub event_filter: Option<SqlText>,
    /// Local calendar days of the period: 1 to 366.
    pub period_days: u32,
    /// An IANA name.
    pub time_zone: String,
    /// In (0, 1).
    pub percentile: f64,
    /// Overrides `k = −ln(1 − percentile)`: finite, ≥ 0.
    pub curve: Option<f64>,
    pub method: Method,
    /// Finite, > 0.
    pub peg_floor: Option<f64>,
    /// Raw scores above 0 below which the peg is not taken from the population.
    pub min_population: u64,
    pub weights: Vec<Weight>,
    pub features: Vec<String>,
    pub steps: Vec<String>,
    pub key_event: Option<String>,
    pub member_base: MemberBase,
    /// Minutes of silence after which a session ends.
    pub session_gap_minutes: u32,
    /// Days that `healthy_days` looks back: 1 to 366.
    pub healthy_days_max: u32,
    pub dimensions: Vec<Dimension>,
    /// In order: the first that holds is the stage.
    pub stages: Vec<Predicate>,
    pub segments: Vec<Predicate>,
    /// Weight in [0, 1] of each metric that takes part in `churn_risk`, in a fixed order.
    pub churn_risk: Vec<(Metric, f64)>,
    pub expansion: Expansion,
    /// Thresholds by metric: the model's own where it names one, else the defaults.
    pub thresholds: Vec<(Metric, Thresholds)>,
    /// Every event that it names anywhere, once, with the line that names it first, in line order.
    pub event_lines: Vec<(String, usize)>,
}

/// One rule of the raw score. An event goes to the first rule whose subject it matches, so that
/// every event is counted once; special rules stand before general ones.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weight {
    pub events: EventSet,
    /// SQL over the columns of `events`.
    pub filter: Option<SqlText>,
    /// In units of 1e-4; |weight| < 100,000.
    pub units: i64,
    /// Multiplied by the event's `value`; an event without one adds nothing.
    pub times_value: bool,
    /// Most events a member and local day that count; never together with `times_value`.
    pub daily_cap: Option<u32>,
}

/// Which events a weight or signal is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EventSet {
    /// `"*"`: every event.
    All,
    /// One or more names.
    Named(Vec<String>),
}

/// A dimension of the status.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dimension {
    pub name: String,
    pub signals: Vec<Signal>,
}

/// Something measured of each entity, with a band.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Signal {
    /// `[a-z][a-z0-9_]{0,63}`, unique in the model, not the name of a metric unless it is that
    /// metric.
    pub name: String,
    pub source: SignalSource,
    /// What the thresholds are held against.
    pub banded: Banded,
    /// None: the signal has no band (and is `info`).
    pub thresholds: Option<Thresholds>,
    /// Shown, but counts for no status.
    pub is_info: bool,
    pub line: usize,
}

/// What of a signal the thresholds are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Banded {
    /// The value.
    Value,
    /// Value − previous.
    Change,
    /// 100 · (value − previous) / previous; NULL where previous is 0 or NULL.
    ChangePercent,
}

/// Where a signal's value comes from. Everything is a DOUBLE.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SignalSource {
    /// A built-in metric.
    Metric(Metric),
    /// Over the events of the period (`Last`: of all history).
    Events {
        measure: EventMeasure,
        events: EventSet,
        filter: Option<SqlText>,
    },
    /// Opened and not closed since, over all history in order of `event_time`: an opening adds one, a
    /// closing takes one away where there is one. Events of one instant count together.
    Open { opened: EventSet, closed: EventSet },
    /// Sessions of the period.
    Sessions(SessionMeasure),
    /// A trait, as a number (true is 1, false 0; a time is days from it to today).
    Trait(String),
    /// SQL over metrics, other signals and traits' columns.
    Sql(SqlText),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventMeasure {
    Count,
    ActiveDays,
    /// Of `value`.
    Sum,
    /// Of `value`.
    Average,
    /// The `value` of the latest event by (`event_time`, `seq`) of all history that has one.
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionMeasure {
    Count,
    /// Minutes of all sessions.
    TotalMinutes,
    /// Minutes of a session in the mean.
    MeanMinutes,
}

/// A stage or segment: holds where its SQL over metrics, signals and traits is true.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Predicate {
    pub name: String,
    pub when: SqlText,
}

/// When an account is ready to grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Expansion {
    /// Score at and above which it is.
    pub score: f64,
    /// 100 · active members / seats, at and above which it is, where `seats` is known.
    pub seats_percent: f64,
}

/// The built-in metrics that are numbers, by the name of their column in `health_scores`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Metric {
    Raw,
    Score,
    ActiveDays,
    UsageFrequency,
    DaysInactive,
    FeatureAdoption,
    Members,
    ActiveMembers,
    ActiveUserPct,
    ActivationRate,
    TenureDays,
    TimeToFirst,
    HealthyUserPct,
    HealthyDays,
    Trend,
    TrendOwn,
    ChurnRisk,
    DaysToRenewal,
}
