//! The people of the demonstration.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use vitalog_event::format_timestamp_us;

use super::demo_account::DemoAccount;
use super::render::push_number;

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
