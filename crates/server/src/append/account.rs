//! What is counted of a batch, whichever way it came.
//!
//! The log's thread counts it at the moment at which it answers: neither a caller that has gone away
//! nor one that reads its answers slowly changes a number.

use std::time::Instant;

use vitalog_store::AppendReceipt;

use super::publications::Publications;
use crate::metrics::AppendMetrics;

/// One batch under way.
#[derive(Debug)]
pub(super) struct Account {
    pub metrics: AppendMetrics,
    pub publications: Publications,
    /// When it was handed to the log.
    pub arrived: Instant,
    /// Whether the log was given any event; what is durable of a batch without is no append.
    pub has_events: bool,
    /// Events that the log was not given.
    pub refused: u64,
}

impl Account {
    /// The log has answered now. Cost: three short locks and three atomic additions.
    pub fn of_receipt(&self, receipt: &AppendReceipt) {
        if self.has_events {
            let visible = self.publications.of(receipt.last_seq);
            self.metrics.committed(self.arrived, visible);
        }
        let rejected = self.refused + receipt.rejected.len() as u64;
        let (accepted, duplicates) = (receipt.accepted as u64, receipt.duplicates as u64);
        self.metrics.events(accepted, duplicates, rejected);
    }
}

#[cfg(test)]
mod tests {
    use vitalog_event::{Rejection, RejectionCode, schema};

    use super::*;
    use crate::metrics::{Facts, Metrics};

    #[test]
    fn a_batch_is_counted_by_what_became_of_its_events() {
        let metrics = Metrics::new();
        let account = |has_events, refused| Account {
            metrics: metrics.appends(),
            publications: Publications::default(),
            arrived: Instant::now(),
            has_events,
            refused,
        };
        let conflict = Rejection {
            index: 4,
            field: schema::EVENT_ID,
            code: RejectionCode::Conflict,
            message: "taken".to_owned(),
        };
        account(true, 2).of_receipt(&AppendReceipt {
            last_seq: 9,
            accepted: 5,
            duplicates: 3,
            rejected: vec![conflict],
            seqs: Some((5, 9)),
        });
        // All of it was refused here.
        account(false, 10).of_receipt(&AppendReceipt::default());
        let text = metrics.text(&Facts::default());
        for line in [
            "vitalog_append_events_total{outcome=\"accepted\"} 5\n",
            "vitalog_append_events_total{outcome=\"duplicate\"} 3\n",
            "vitalog_append_events_total{outcome=\"rejected\"} 13\n",
            "vitalog_append_durable_seconds_count 1\n",
            "vitalog_append_visible_seconds_count 1\n",
        ] {
            assert!(text.contains(line), "{line:?} in {text}");
        }
    }
}
