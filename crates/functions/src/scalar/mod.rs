//! The scalar functions: one file a function.

use std::sync::Arc;

use datafusion_expr::ScalarUDF;

mod activity_days;
mod activity_first;
mod activity_frequency;
mod activity_inactive_days;
mod activity_last;
mod activity_lifecycle;
mod activity_longest_gap;
mod activity_streak;
mod churn_risk;
mod each_row;
mod health_band;
mod health_raw_for;
mod health_rollup;
mod health_score;
mod health_severity;
mod health_status;
mod health_trend;
mod paired_lists;
mod quantile;
mod ratio;
mod states;
mod uniq_count;

/// Every scalar function, in the order of their names.
pub(crate) fn all() -> Vec<Arc<ScalarUDF>> {
    [
        ScalarUDF::from(activity_days::ActivityDays::new()),
        ScalarUDF::from(activity_first::ActivityFirst::new()),
        ScalarUDF::from(activity_frequency::ActivityFrequency::new()),
        ScalarUDF::from(activity_inactive_days::ActivityInactiveDays::new()),
        ScalarUDF::from(activity_last::ActivityLast::new()),
        ScalarUDF::from(activity_lifecycle::ActivityLifecycle::new()),
        ScalarUDF::from(activity_longest_gap::ActivityLongestGap::new()),
        ScalarUDF::from(activity_streak::ActivityStreak::new()),
        ScalarUDF::from(churn_risk::ChurnRisk::new()),
        ScalarUDF::from(health_band::HealthBand::new()),
        ScalarUDF::from(health_raw_for::HealthRawFor::new()),
        ScalarUDF::from(health_rollup::HealthRollup::new()),
        ScalarUDF::from(health_score::HealthScore::new()),
        ScalarUDF::from(health_severity::HealthSeverity::new()),
        ScalarUDF::from(health_status::HealthStatus::new()),
        ScalarUDF::from(health_trend::HealthTrend::new()),
        ScalarUDF::from(quantile::Quantile::new()),
        ScalarUDF::from(ratio::Ratio::new()),
        ScalarUDF::from(uniq_count::UniqCount::new()),
    ]
    .map(Arc::new)
    .into()
}
