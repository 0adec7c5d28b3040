//! The aggregates: one file a function, and the states that several of them share.
//!
//! A function's file owns its name, arguments, documentation and checks; a state's file
//! (`…_groups.rs`) owns what is kept of a group's rows. [`grouped`] turns one state into all that
//! SQL needs: groups, no groups, cumulative and sliding windows.

use std::sync::Arc;

use datafusion_expr::AggregateUDF;

mod activation_rate;
mod active_days;
mod activity;
mod activity_groups;
mod activity_merge;
mod auc_groups;
mod catalogue;
mod conditions;
mod day_groups;
mod day_question;
mod days_inactive;
mod decay;
mod decayed_sum;
mod distinct_hash;
mod exact_avg;
mod exact_groups;
mod exact_sum;
mod feature_adoption;
mod funnel_groups;
mod grouped;
mod health_peg;
mod longest_gap;
mod peg_groups;
mod quantile_merge;
mod quantile_sketch;
mod retention;
mod retention_groups;
mod roc_auc;
mod rows;
mod share_groups;
mod sketch_groups;
mod streak;
mod uniq_merge;
mod uniq_sketch;
mod usage_frequency;
mod value_lists;
mod window_funnel;

/// Every aggregate, in the order of their names.
pub(crate) fn all() -> Vec<Arc<AggregateUDF>> {
    [
        AggregateUDF::from(activation_rate::ActivationRate::new()),
        AggregateUDF::from(active_days::ActiveDays::new()),
        AggregateUDF::from(activity::ActivityOf::new()),
        AggregateUDF::from(activity_merge::ActivityMerge::new()),
        AggregateUDF::from(days_inactive::DaysInactive::new()),
        AggregateUDF::from(decayed_sum::DecayedSum::new()),
        AggregateUDF::from(exact_avg::ExactAvg::new()),
        AggregateUDF::from(exact_sum::ExactSumOf::new()),
        AggregateUDF::from(feature_adoption::FeatureAdoption::new()),
        AggregateUDF::from(health_peg::HealthPeg::new()),
        AggregateUDF::from(longest_gap::LongestGap::new()),
        AggregateUDF::from(quantile_merge::QuantileMerge::new()),
        AggregateUDF::from(quantile_sketch::QuantileSketchOf::new()),
        AggregateUDF::from(retention::RetentionOf::new()),
        AggregateUDF::from(roc_auc::RocAuc::new()),
        AggregateUDF::from(streak::Streak::new()),
        AggregateUDF::from(uniq_merge::UniqMerge::new()),
        AggregateUDF::from(uniq_sketch::UniqSketchOf::new()),
        AggregateUDF::from(usage_frequency::UsageFrequency::new()),
        AggregateUDF::from(window_funnel::WindowFunnel::new()),
    ]
    .map(Arc::new)
    .into()
}
