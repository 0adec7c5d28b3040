//! The words of a generated product: event names, countries, plans, and how often each is drawn.

/// The 40 event names in order of frequency: the name of rank r is drawn with weight 1/r.
pub const EVENT_NAMES: [&str; 40] = [
    "page_viewed",
    "dashboard_viewed",
    "report_viewed",
    "search_performed",
    "record_opened",
    "record_updated",
    "login",
    "filter_applied",
    "comment_added",
    "record_created",
    "report_exported",
    "task_completed",
    "file_uploaded",
    "notification_opened",
    "chart_created",
    "dashboard_shared",
    "api_called",
    "invoice_viewed",
    "task_assigned",
    "invoice_paid",
    "mention_sent",
    "template_used",
    "import_started",
    "automation_run",
    "dashboard_created",
    "settings_changed",
    "integration_synced",
    "file_downloaded",
    "teammate_invited",
    "view_saved",
    "alert_created",
    "automation_created",
    "help_opened",
    "ticket_opened",
    "integration_connected",
    "profile_updated",
    "seat_added",
    "api_key_created",
    "survey_answered",
    "subscription_renewed",
];

/// The names among [`EVENT_NAMES`] that stand for a feature of the product: a catalogue of 20.
pub const FEATURES: [&str; 20] = [
    "dashboard_viewed",
    "report_viewed",
    "search_performed",
    "filter_applied",
    "comment_added",
    "record_created",
    "report_exported",
    "task_completed",
    "file_uploaded",
    "chart_created",
    "dashboard_shared",
    "api_called",
    "task_assigned",
    "template_used",
    "import_started",
    "automation_run",
    "dashboard_created",
    "integration_synced",
    "view_saved",
    "alert_created",
];

/// Whether the event of this rank (from 0) carries an amount of money.
pub(super) fn is_billing(name: u8) -> bool {
    matches!(
        EVENT_NAMES[name as usize],
        "invoice_paid" | "seat_added" | "subscription_renewed"
    )
}

/// A country, its offset from UTC in minutes, and its share.
pub(super) struct Country {
    pub code: &'static str,
    pub utc_offset_minutes: i32,
    pub share: u32,
}

const fn country(code: &'static str, utc_offset_minutes: i32, share: u32) -> Country {
    Country {
        code,
        utc_offset_minutes,
        share,
    }
}

/// Offsets are chosen so that working hours, 8 to 18 o'clock, lie inside one UTC day everywhere.
pub(super) const COUNTRIES: [Country; 10] = [
    country("US", -300, 34),
    country("DE", 60, 16),
    country("GB", 0, 12),
    country("FR", 60, 9),
    country("CA", -300, 7),
    country("NL", 60, 6),
    country("BR", -180, 5),
    country("ES", 60, 4),
    country("SE", 60, 4),
    country("IN", 330, 3),
];

/// A plan, its monthly price for a seat, and its share among accounts.
pub(super) struct Plan {
    pub name: &'static str,
    pub seat_price: u32,
    pub share: u32,
}

const fn plan(name: &'static str, seat_price: u32, share: u32) -> Plan {
    Plan {
        name,
        seat_price,
        share,
    }
}

pub(super) const PLANS: [Plan; 4] = [
    plan("free", 0, 30),
    plan("starter", 19, 34),
    plan("pro", 49, 26),
    plan("enterprise", 89, 10),
];

/// Draws an index below 256 with given weights from 12 random bits, by one look into 4 KiB.
#[derive(Debug)]
pub(super) struct WeightedPick {
    table: Box<[u8; Self::SLOTS]>,
}

impl WeightedPick {
    const SLOTS: usize = 1 << 12;

    /// Slots are dealt by running sums, so each share is right to one slot in 4096.
    pub(super) fn new(weights: impl ExactSizeIterator<Item = f64> + Clone) -> Self {
        let total: f64 = weights.clone().sum();
        let mut table = Box::new([0; Self::SLOTS]);
        let (mut running, mut start) = (0.0, 0);
        let last = weights.len() - 1;
        for (index, weight) in weights.enumerate() {
            running += weight;
            let share = (running / total * Self::SLOTS as f64) as usize;
            let end = if index == last {
                Self::SLOTS
            } else {
                share.min(Self::SLOTS)
            };
            table[start..end].fill(index as u8);
            start = end;
        }
        Self { table }
    }

    /// The index for the low 12 bits of `bits`.
    pub(super) fn pick(&self, bits: u64) -> u8 {
        self.table[bits as usize & (Self::SLOTS - 1)]
    }
}

/// The Zipf distribution over [`EVENT_NAMES`].
pub(super) fn event_pick() -> WeightedPick {
    WeightedPick::new((0..EVENT_NAMES.len()).map(|index| 1.0 / (index + 1) as f64))
}

pub(super) fn country_pick() -> WeightedPick {
    WeightedPick::new(COUNTRIES.iter().map(|country| f64::from(country.share)))
}

pub(super) fn plan_pick() -> WeightedPick {
    WeightedPick::new(PLANS.iter().map(|plan| f64::from(plan.share)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_every_feature_is_one_of_them() {
        let names: HashSet<_> = EVENT_NAMES.iter().collect();
        assert_eq!(names.len(), EVENT_NAMES.len());
        let features: HashSet<_> = FEATURES.iter().collect();
        assert_eq!(features.len(), FEATURES.len());
        assert!(features.is_subset(&names));
    }

    #[test]
    fn shares_follow_the_weights() {
        let pick = event_pick();
        let mut counts = [0_usize; 40];
        for bits in 0..4096 {
            counts[usize::from(pick.pick(bits))] += 1;
        }
        let harmonic: f64 = (1..=40).map(|rank| 1.0 / f64::from(rank)).sum();
        for (index, count) in counts.iter().enumerate() {
            let expected = 4096.0 / harmonic / (index + 1) as f64;
            assert!(
                (*count as f64 - expected).abs() <= 1.0,
                "{index}: {count}, not {expected}"
            );
        }
    }

    #[test]
    fn working_hours_lie_inside_one_utc_day() {
        for country in &COUNTRIES {
            assert!(8 * 60 - country.utc_offset_minutes >= 0, "{}", country.code);
            assert!(
                18 * 60 - country.utc_offset_minutes < 24 * 60,
                "{}",
                country.code
            );
        }
    }
}
