//! The built-in metrics by name, and where each turns red and green unless a model says otherwise.

use super::definition::Metric;
use super::threshold::Thresholds;

impl Metric {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 18] = [
        Self::Raw,
        Self::Score,
        Self::ActiveDays,
        Self::UsageFrequency,
        Self::DaysInactive,
        Self::FeatureAdoption,
        Self::Members,
        Self::ActiveMembers,
        Self::ActiveUserPct,
        Self::ActivationRate,
        Self::TenureDays,
        Self::TimeToFirst,
        Self::HealthyUserPct,
        Self::HealthyDays,
        Self::Trend,
        Self::TrendOwn,
        Self::ChurnRisk,
        Self::DaysToRenewal,
    ];

    /// The name of its column, by which models name it, too.
    pub fn column(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Score => "score",
            Self::ActiveDays => "active_days",
            Self::UsageFrequency => "usage_frequency",
            Self::DaysInactive => "days_inactive",
            Self::FeatureAdoption => "feature_adoption",
            Self::Members => "members",
            Self::ActiveMembers => "active_members",
            Self::ActiveUserPct => "active_user_pct",
            Self::ActivationRate => "activation_rate",
            Self::TenureDays => "tenure_days",
            Self::TimeToFirst => "time_to_first",
            Self::HealthyUserPct => "healthy_user_pct",
            Self::HealthyDays => "healthy_days",
            Self::Trend => "trend",
            Self::TrendOwn => "trend_own",
            Self::ChurnRisk => "churn_risk",
            Self::DaysToRenewal => "days_to_renewal",
        }
    }

    /// The metric of a name, exactly as [`Metric::column`] writes it.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.column() == name)
    }

    /// Thresholds where a model names none; most metrics have some, counts and ages do not.
    /// Source: the customer-health guides of Accoil; `trend` and `trend_own` are our own.
    pub fn default_thresholds(self) -> Option<Thresholds> {
        match self {
            Self::Score => Some(Thresholds::higher(20.0, true, 85.0)),
            Self::UsageFrequency => Some(Thresholds::higher(2.0 / 7.0, true, 5.0 / 7.0)),
            Self::DaysInactive => Some(Thresholds::lower(30.0, true, 7.0)),
            Self::FeatureAdoption | Self::ActiveUserPct | Self::HealthyUserPct => {
                Some(Thresholds::higher(30.0, false, 70.0))
            }
            Self::ActivationRate => Some(Thresholds::higher(40.0, false, 70.0)),
            Self::Trend | Self::TrendOwn => Some(Thresholds::higher(-10.0, true, 0.0)),
            Self::Raw
            | Self::ActiveDays
            | Self::Members
            | Self::ActiveMembers
            | Self::TenureDays
            | Self::TimeToFirst
            | Self::HealthyDays
            | Self::ChurnRisk
            | Self::DaysToRenewal => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_come_back() {
        let names: HashSet<&str> = Metric::ALL.iter().map(|metric| metric.column()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
        for (at, metric) in Metric::ALL.into_iter().enumerate() {
            assert_eq!(Metric::of(metric.column()), Some(metric));
            assert_eq!(metric as usize, at, "{metric:?}");
        }
        assert_eq!(Metric::of("Score"), None);
    }
}
