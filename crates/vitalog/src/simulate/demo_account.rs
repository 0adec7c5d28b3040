//! The accounts of the demonstration: names, contracts, and how each one fares.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use vitalog_event::{day_start_us, format_timestamp_us};

use super::demo::DEMO_DAYS;
use super::render::push_number;
use super::vocabulary::PLANS;

/// Invented companies; any likeness is chance.
const NAMES: [&str; 60] = [
    "Alderbrook Foods",
    "Amberline Studio",
    "Arctura Robotics",
    "Bellmont Clinics",
    "Birchway Logistics",
    "Bluepine Software",
    "Brightmoor Energy",
    "Calder & Finch",
    "Canopy Legal",
    "Castellan Bank",
    "Cedarpoint Media",
    "Clearhaven Water",
    "Copperfield Tools",
    "Coral Bay Travel",
    "Cranmore Textiles",
    "Dovetail Interiors",
    "Eastgate Motors",
    "Elmhurst Dental",
    "Emberly Foods",
    "Everline Rail",
    "Fairwind Marine",
    "Fenwick Analytics",
    "Foxglove Pharma",
    "Glassworks Nord",
    "Goldenrod Farms",
    "Graniteview Mining",
    "Greyfield Insurance",
    "Halcyon Hotels",
    "Harborlight Games",
    "Hazelton Press",
    "Hillcrest Schools",
    "Ironbark Steel",
    "Juniper Mobility",
    "Kestrel Aviation",
    "Kingsway Retail",
    "Lakeshore Realty",
    "Larkspur Design",
    "Lindenhof Bau",
    "Lumenfold Optics",
    "Maplewood Homes",
    "Marlowe Advisors",
    "Meridian Freight",
    "Millstone Bakery",
    "Northbeam Solar",
    "Oakridge Capital",
    "Orchard Lane Care",
    "Palisade Security",
    "Pennard Cycles",
    "Quillfeather Books",
    "Redwater Brewing",
    "Rookery Labs",
    "Saltmarsh Seafood",
    "Silverbirch HR",
    "Stonebridge Civil",
    "Summerfield Toys",
    "Tidewater Telecom",
    "Umbra Security",
    "Vantage Surveying",
    "Westhaven Health",
    "Yarrow Chemicals",
];

/// Number of accounts in the demonstration.
pub const DEMO_ACCOUNTS: usize = NAMES.len();

const CHURNING: usize = 11;
const DRIFTING: usize = 14;

/// How an account fares over the days of the demonstration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fate {
    /// As busy as ever, or busier: `growth` is what is added until the last day, a share.
    Healthy { growth: f64 },
    /// Slowly less from `onset` on, to a quarter on the last day.
    Drifting { onset: u32 },
    /// Ever less from `onset` on, and silent from `silent` on; gone with notice where `left`.
    Churning { onset: u32, silent: u32, left: bool },
}

impl Fate {
    /// Activity on a day of the demonstration (from 0), 1 being the usual.
    pub(super) fn activity(self, day: u32) -> f64 {
        let progress = |from: u32, until: u32| {
            f64::from(day.saturating_sub(from)) / f64::from(until - from).max(1.0)
        };
        match self {
            Self::Healthy { growth } => 1.0 + growth * progress(0, DEMO_DAYS),
            Self::Drifting { onset } => 1.0 - 0.75 * progress(onset, DEMO_DAYS),
            Self::Churning { silent, .. } if day >= silent => 0.0,
            Self::Churning { onset, silent, .. } => 1.0 - 0.9 * progress(onset, silent),
        }
    }

    /// How many of the 20 features the account ever took up.
    fn features(self, rng: &mut ChaCha8Rng) -> usize {
        match self {
            Self::Healthy { .. } => rng.random_range(13..=20),
            Self::Drifting { .. } => rng.random_range(8..=13),
            Self::Churning { .. } => rng.random_range(4..=9),
        }
    }

    /// The share of seats in use.
    fn seat_use(self, rng: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::Healthy { .. } => rng.random_range(0.75..1.0),
            Self::Drifting { .. } => rng.random_range(0.55..0.85),
            Self::Churning { .. } => rng.random_range(0.4..0.7),
        }
    }
}

/// One account of the demonstration.
#[derive(Clone, Debug)]
pub(super) struct DemoAccount {
    pub id: String,
    pub name: &'static str,
    pub fate: Fate,
    plan: &'static str,
    seat_price: u32,
    pub seats: u32,
    /// Members, of whom at most `seats`.
    pub members: u32,
    /// Bit i is set where the account uses feature i.
    pub features: u32,
    created_us: i64,
    renewal_us: i64,
}

impl DemoAccount {
    /// Every account, for a demonstration whose first day is `first_day`.
    pub(super) fn draw_all(rng: &mut ChaCha8Rng, first_day: i32) -> Vec<Self> {
        let mut fates: Vec<Fate> = (0..NAMES.len())
            .map(|index| draw_fate(rng, index))
            .collect();
        fates.shuffle(rng);
        NAMES
            .iter()
            .zip(fates)
            .map(|(name, fate)| Self::draw(rng, first_day, name, fate))
            .collect()
    }

    fn draw(rng: &mut ChaCha8Rng, first_day: i32, name: &'static str, fate: Fate) -> Self {
        let plan = &PLANS[rng.random_range(1..PLANS.len())];
        let seats = rng.random_range(4..=10) + rng.random_range(0..=14) * rng.random_range(0..=1);
        let members = ((f64::from(seats) * fate.seat_use(rng)) as u32).max(2);
        let features = fate.features(rng);
        let features = draw_features(rng, features);
        let created_day = first_day - rng.random_range(40..900);
        // Contracts run a year: the next renewal after the last day of the demonstration.
        let today = first_day + DEMO_DAYS as i32 - 1;
        let years = (today - created_day) / 365 + 1;
        Self {
            id: slug(name),
            name,
            fate,
            plan: plan.name,
            seat_price: plan.seat_price,
            seats,
            members,
            features,
            created_us: day_start_us(created_day) + rng.random_range(0..86_400) * 1_000_000,
            renewal_us: day_start_us(created_day + 365 * years),
        }
    }

    /// What the account pays each month, in whole units of money.
    pub(super) fn mrr(&self) -> u32 {
        self.seats * self.seat_price
    }

    pub(super) fn plan(&self) -> &'static str {
        self.plan
    }

    /// Until when somebody of the account may have joined: its creation.
    pub(super) fn created_us(&self) -> i64 {
        self.created_us
    }

    /// The traits of its `$group` event; with `churned_us` once it has left.
    pub(super) fn traits(&self, churned_us: Option<i64>) -> String {
        let mut traits = json!({
            "name": self.name,
            "plan": self.plan,
            "seats": self.seats,
            "mrr": self.mrr(),
            "created_at": format_timestamp_us(self.created_us),
            "renewal_at": format_timestamp_us(self.renewal_us),
        });
        if let Some(churned_us) = churned_us {
            traits["churned_at"] = json!(format_timestamp_us(churned_us));
            traits["churn_type"] = json!("voluntary");
        }
        traits.to_string()
    }
}

fn draw_fate(rng: &mut ChaCha8Rng, index: usize) -> Fate {
    if index < CHURNING {
        let silent = rng.random_range(62..82);
        // Six of eleven have said that they leave; the others are silent only.
        Fate::Churning {
            onset: rng.random_range(15..45),
            silent,
            left: index < 6,
        }
    } else if index < CHURNING + DRIFTING {
        Fate::Drifting {
            onset: rng.random_range(20..50),
        }
    } else {
        Fate::Healthy {
            growth: rng.random_range(-0.05..0.35),
        }
    }
}

/// `count` of the 20 features, the popular ones more often.
fn draw_features(rng: &mut ChaCha8Rng, count: usize) -> u32 {
    let mut features = 0_u32;
    while (features.count_ones() as usize) < count {
        let (left, right) = (rng.random_range(0..20_u32), rng.random_range(0..20_u32));
        features |= 1 << left.min(right);
    }
    features
}

/// `Calder & Finch` → `calder-finch`
fn slug(name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join("-").to_ascii_lowercase()
}

const FIRST_NAMES: [&str; 24] = [
    "Ada", "Amir", "Bea", "Carlos", "Chen", "Dora", "Elif", "Emil", "Farah", "Greta", "Hugo",
    "Ines", "Jonas", "Kofi", "Lena", "Mara", "Nadia", "Oscar", "Priya", "Ravi", "Sofia", "Tomas",
    "Yuki", "Zoe",
];

const LAST_NAMES: [&str; 16] = [
    "Adler",
    "Bakker",
    "Costa",
    "Dahl",
    "Eriksen",
    "Fischer",
    "Garcia",
    "Haddad",
    "Ito",
    "Jansen",
    "Keller",
    "Lindqvist",
    "Moreau",
    "Novak",
    "Okafor",
    "Patel",
];

/// A person of the demonstration.
#[derive(Clone, Debug)]
pub(super) struct DemoUser {
    pub id: String,
    /// Days of ten on which the person works with the product.
    pub diligence: f64,
    pub country: &'static str,
    name: String,
    role: &'static str,
}

impl DemoUser {
    pub(super) fn draw(rng: &mut ChaCha8Rng, number: u32, country: &'static str) -> Self {
        let first = FIRST_NAMES[rng.random_range(0..FIRST_NAMES.len())];
        let last = LAST_NAMES[rng.random_range(0..LAST_NAMES.len())];
        let mut id = String::from("usr-");
        push_number(&mut id, number, 4);
        let role = if rng.random_range(0..5) == 0 {
            "admin"
        } else {
            "member"
        };
        let diligence = rng.random_range(0.3..0.95);
        Self {
            id,
            diligence,
            country,
            name: format!("{first} {last}"),
            role,
        }
    }

    /// The traits of its `$identify` event.
    pub(super) fn traits(&self, account: &DemoAccount) -> String {
        let mailbox = self.name.to_ascii_lowercase().replace(' ', ".");
        json!({
            "name": self.name,
            "email": format!("{mailbox}@{}.example", account.id),
            "role": self.role,
            "created_at": format_timestamp_us(account.created_us()),
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_give_distinct_ids() {
        let ids: HashSet<_> = NAMES.iter().map(|name| slug(name)).collect();
        assert_eq!(ids.len(), DEMO_ACCOUNTS);
        assert_eq!(slug("Calder & Finch"), "calder-finch");
    }

    #[test]
    fn fates_run_their_course() {
        let last = DEMO_DAYS - 1;
        assert!(Fate::Healthy { growth: 0.2 }.activity(last) > 1.1);
        let drifting = Fate::Drifting { onset: 30 };
        assert_eq!(drifting.activity(30), 1.0);
        assert!((0.2..0.3).contains(&drifting.activity(last)));
        let churning = Fate::Churning {
            onset: 20,
            silent: 70,
            left: true,
        };
        assert!(churning.activity(69) > 0.0);
        assert_eq!(churning.activity(70), 0.0);
    }
}
