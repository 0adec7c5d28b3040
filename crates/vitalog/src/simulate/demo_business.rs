//! What happens around the product of the demonstration: how accounts begin, what they are billed,
//! what they ask support, how satisfied they say they are, and how they leave.
//!
//! All of it is drawn before the first day; the days of work stand in `demo.rs`.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use vitalog_event::{DAY_US, GROUP_EVENT, day_start_us};

use super::demo::{DEMO_DAYS, DemoEvent};
use super::demo_account::DemoAccount;
use super::demo_fate::{Fate, Trouble};

/// The steps of the onboarding, in the order in which most accounts do them.
pub(super) const STEPS: [&str; 6] = [
    "workspace_created",
    "teammate_invited",
    "data_imported",
    "integration_connected",
    "report_shared",
    "automation_enabled",
];

const HOUR_US: i64 = 60 * 60 * 1_000_000;

/// Days between two invoices of an account.
const BILLING_DAYS: u32 = 30;
/// Days after which an invoice that is not paid is overdue.
const DUE_DAYS: u32 = 14;
/// Days before the last on which the invoice was issued that an account in trouble leaves unpaid.
const UNPAID_DAYS: u32 = DUE_DAYS + 5;

/// Draws what happens around one account.
pub(super) struct Business<'a> {
    account: usize,
    drawn: &'a DemoAccount,
    /// Who acts for the account: its first member.
    user: usize,
    first_day: i32,
    events: Vec<DemoEvent>,
}

impl<'a> Business<'a> {
    /// The events of `drawn`, the account number `account`, in no order.
    pub(super) fn draw(
        rng: &mut ChaCha8Rng,
        (account, drawn): (usize, &'a DemoAccount),
        user: usize,
        first_day: i32,
    ) -> Vec<DemoEvent> {
        let mut business = Self {
            account,
            drawn,
            user,
            first_day,
            events: Vec::new(),
        };
        business.begin(rng);
        business.bill(rng);
        business.support(rng);
        business.leave();
        business.events
    }

    /// Something at `hour` of a day of the demonstration.
    fn happen(&mut self, (day, hour): (u32, i64), event: &'static str, value: Option<f64>) {
        let time_us = day_start_us(self.first_day + day as i32) + hour * HOUR_US;
        // Accounts do not write at the same microsecond.
        let time_us = time_us + self.account as i64 * 7_000_003;
        self.events.push(DemoEvent {
            time_us,
            event,
            account: self.account,
            user: None,
            value,
            properties: None,
        });
    }

    /// The onboarding: two steps on the day of creation, the others on one of the days after.
    fn begin(&mut self, rng: &mut ChaCha8Rng) {
        let steps = self.drawn.fate.steps(rng, STEPS.len());
        let later_us = i64::from(rng.random_range(1..=9)) * DAY_US;
        for (position, event) in STEPS.iter().take(steps).enumerate() {
            let after_us = if position < 2 { 0 } else { later_us };
            let minutes = 20 * (position as i64 + 1) + rng.random_range(0..15);
            self.events.push(DemoEvent {
                time_us: self.drawn.created_us() + after_us + minutes * HOUR_US / 60,
                event,
                account: self.account,
                user: Some(self.user),
                value: None,
                properties: None,
            });
        }
    }

    /// Invoices of the days of the demonstration: issued, paid, overdue, recovered; and the card.
    fn bill(&mut self, rng: &mut ChaCha8Rng) {
        let (from, until) = self.drawn.fate.days();
        let is_unpaid = self.trouble() == Some(Trouble::UnpaidInvoice);
        let first = if is_unpaid {
            (DEMO_DAYS - 1 - UNPAID_DAYS) % BILLING_DAYS
        } else {
            from + rng.random_range(0..BILLING_DAYS)
        };
        let amount = Some(f64::from(self.drawn.mrr()));
        for day in (first..until).step_by(BILLING_DAYS as usize) {
            self.happen((day, 9), "invoice_issued", amount);
            let is_last = day + BILLING_DAYS >= until;
            let paid = match self.drawn.fate {
                _ if is_unpaid && is_last => None,
                Fate::Churning { .. } if is_last => None,
                fate if day > fate.onset() => Some(day + rng.random_range(6..DUE_DAYS + 10)),
                _ => Some(day + rng.random_range(1..DUE_DAYS - 2)),
            };
            let due = day + DUE_DAYS;
            if due < until && paid.is_none_or(|paid| paid > due) {
                self.happen((due, 10), "invoice_overdue", amount);
            }
            if let Some(paid) = paid.filter(|paid| *paid < until) {
                if paid > due {
                    self.happen((paid, 11), "invoice_recovered", amount);
                }
                self.happen((paid, 12), "invoice_paid", amount);
            }
        }
        if let Fate::Churning {
            silent, left: true, ..
        } = self.drawn.fate
        {
            self.happen((silent - rng.random_range(4..12), 15), "card_removed", None);
        }
    }

    /// Tickets, solved or not, and what is answered when somebody asks how it goes.
    fn support(&mut self, rng: &mut ChaCha8Rng) {
        let fate = self.drawn.fate;
        let (from, until) = fate.days();
        let survey = from + rng.random_range(0..BILLING_DAYS);
        for day in from..until {
            let is_bad = day >= fate.onset();
            let (chance, solved, days_max) = match (fate, is_bad) {
                (Fate::Churning { .. }, true) => (0.09, 0.55, 14),
                (Fate::Drifting { .. }, true) => (0.04, 0.9, 7),
                _ => (0.015, 1.0, 3),
            };
            if rng.random::<f64>() < chance {
                let is_solved = rng.random::<f64>() < solved;
                let closed = day + rng.random_range(0..=days_max);
                self.happen((day, 12), "ticket_opened", None);
                if is_solved && closed < until {
                    self.happen((closed, 17), "ticket_closed", None);
                }
            }
            if day % BILLING_DAYS == survey % BILLING_DAYS {
                let points = match (fate, is_bad) {
                    (Fate::Churning { .. }, true) => rng.random_range(1..=3),
                    (Fate::Drifting { .. }, true) => rng.random_range(3..=4),
                    _ => rng.random_range(4..=5),
                };
                self.happen((day, 16), "survey_answered", Some(f64::from(points)));
            }
        }
        if self.trouble() == Some(Trouble::TicketSpike) {
            for day in DEMO_DAYS - 5..DEMO_DAYS - 1 {
                self.happen((day, 9), "ticket_opened", None);
                self.happen((day, 14), "ticket_opened", None);
            }
        }
    }

    /// The notice of an account that leaves: its traits, with the day and the reason.
    fn leave(&mut self) {
        let Fate::Churning {
            silent, left: true, ..
        } = self.drawn.fate
        else {
            return;
        };
        self.happen((silent, 12), GROUP_EVENT, None);
        if let Some(notice) = self.events.last_mut() {
            notice.properties = Some(self.drawn.traits(Some(notice.time_us)));
        }
    }

    fn trouble(&self) -> Option<Trouble> {
        match self.drawn.fate {
            Fate::Healthy { trouble, .. } => trouble,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rand::SeedableRng;

    use super::*;

    /// Events of every account, by account.
    fn all(seed: u64) -> Vec<(DemoAccount, HashMap<&'static str, Vec<i64>>)> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let accounts = DemoAccount::draw_all(&mut rng, 20_000);
        let drawn: Vec<_> = accounts
            .iter()
            .enumerate()
            .map(|known| Business::draw(&mut rng, known, 0, 20_000))
            .collect();
        let by_name = drawn.into_iter().map(|events| {
            let mut times: HashMap<_, Vec<i64>> = HashMap::new();
            for event in events {
                times.entry(event.event).or_default().push(event.time_us);
            }
            times
        });
        accounts.into_iter().zip(by_name).collect()
    }

    fn count(events: &HashMap<&'static str, Vec<i64>>, name: &str) -> usize {
        events.get(name).map_or(0, Vec::len)
    }

    #[test]
    fn trouble_shows_in_events_and_only_there() {
        let open = |events: &HashMap<_, Vec<i64>>, opened, closed| {
            count(events, opened).saturating_sub(count(events, closed))
        };
        for (account, events) in all(3) {
            let overdue = open(&events, "invoice_overdue", "invoice_recovered");
            let tickets = open(&events, "ticket_opened", "ticket_closed");
            match account.fate {
                Fate::Healthy {
                    trouble: Some(Trouble::UnpaidInvoice),
                    ..
                } => assert_eq!(overdue, 1),
                Fate::Healthy {
                    trouble: Some(Trouble::TicketSpike),
                    ..
                } => assert!(tickets >= 8, "{tickets}"),
                // A ticket of the last days may be open.
                Fate::Healthy { .. } => assert!(overdue == 0 && tickets <= 1, "{}", account.id),
                Fate::Churning { left, .. } => {
                    assert_eq!(count(&events, "card_removed"), usize::from(left));
                    assert_eq!(count(&events, GROUP_EVENT), usize::from(left));
                }
                Fate::Drifting { .. } | Fate::New { .. } => {}
            }
            assert!(count(&events, "invoice_paid") <= count(&events, "invoice_issued"));
            let steps = STEPS.iter().filter(|step| count(&events, step) == 1);
            assert!(steps.count() >= 2, "{}", account.id);
        }
    }
}
