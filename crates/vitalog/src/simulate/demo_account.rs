//! The accounts of the demonstration: names, contracts, and what is known of each.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use vitalog_event::{day_start_us, format_timestamp_us};

use super::demo::DEMO_DAYS;
use super::demo_fate::Fate;
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
        let fates = Fate::draw_all(rng, NAMES.len());
        NAMES
            .iter()
            .zip(fates)
            .map(|(name, fate)| Self::draw(rng, first_day, name, fate))
            .collect()
    }

    fn draw(rng: &mut ChaCha8Rng, first_day: i32, name: &'static str, fate: Fate) -> Self {
        let plan = &PLANS[rng.random_range(1..PLANS.len())];
        let (seats, members_min) = if fate.leaves_last() {
            // Neither so few people that chance rules its numbers, nor so many that it tops the
            // scale.
            (rng.random_range(8..=10), 5)
        } else {
            let more = rng.random_range(0..=14) * rng.random_range(0..=1);
            (rng.random_range(4..=10) + more, 2)
        };
        let members = ((f64::from(seats) * fate.seat_use(rng)) as u32).max(members_min);
        let features = fate.features(rng);
        let features = draw_features(rng, features);
        let created_day = match fate {
            Fate::New { since } => first_day + since as i32,
            _ => first_day - rng.random_range(40..700),
        };
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
            // In the morning, so that there is a day left to begin with the product.
            created_us: day_start_us(created_day) + rng.random_range(6..9) * 3_600_000_000,
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

    /// When it became a customer, with everybody it has.
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
}
