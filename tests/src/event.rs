//! Events whose whole content follows from a number, so that a test needs to remember numbers only.

use vitalog_event::{DAY_US, format_timestamp_us};
use vitalog_wire::vitalog::v1 as wire;

use crate::rows::Row;

/// 2025-03-01T00:00:00Z.
const START_US: i64 = 1_740_787_200_000_000;
/// Days over which events are spread.
const DAYS: u64 = 9;
/// What every id begins with.
const ID_PREFIX: &str = "event-";

/// One event as plain values; `None` is null.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The idempotency key, which holds the number.
    pub id: String,
    /// When it happened, microseconds since 1970 UTC.
    pub time_us: i64,
    /// The event's name.
    pub name: String,
    /// The account.
    pub account: Option<String>,
    /// The person.
    pub user: Option<String>,
    /// The measure.
    pub value: Option<f64>,
    /// Canonical JSON.
    pub properties: Option<String>,
}

impl Event {
    /// Event `number` of a fixed, varied world: times out of order over several days, new accounts
    /// and users all along beside old ones, some of them null, some in several accounts.
    #[must_use]
    pub fn numbered(number: u64) -> Self {
        let mix = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        // Names grow with the number, so that symbols never stop being new.
        let age = number / 400;
        Self {
            id: format!("{ID_PREFIX}{number}"),
            time_us: START_US
                + (mix % DAYS) as i64 * DAY_US
                + (mix / DAYS % 86_400) as i64 * 1_000_000
                + (number % 1_000) as i64,
            name: format!("name {}", mix % 7 + age / 10),
            account: (!mix.is_multiple_of(11)).then(|| format!("account {}", mix % 5 + age)),
            user: (!mix.is_multiple_of(13)).then(|| format!("user {}", mix / 7 % 17 + 3 * age)),
            value: mix
                .is_multiple_of(3)
                .then_some((mix % 100_000) as f64 / 8.0),
            properties: mix
                .is_multiple_of(2)
                .then(|| format!(r#"{{"k{}":{number},"text":"a \"quoted\" é\n"}}"#, mix % 3)),
        }
    }

    /// The number of the event that has this id; `None` for an id that no numbered event has.
    #[must_use]
    pub fn number_of(id: &str) -> Option<u64> {
        let digits = id.strip_prefix(ID_PREFIX)?;
        // Only the one way in which the number was written.
        digits
            .parse()
            .ok()
            .filter(|number: &u64| number.to_string() == digits)
    }

    /// Whether a row of a store holds exactly this event.
    #[must_use]
    pub fn is(&self, row: &Row<'_>) -> bool {
        self.id == row.id
            && self.time_us == row.time_us
            && self.name == row.name
            && self.account.as_deref() == row.account
            && self.user.as_deref() == row.user
            && self.value == row.value
            && self.properties.as_deref() == row.properties
    }

    /// The event as a client sends it over gRPC.
    #[must_use]
    pub fn to_wire(&self) -> wire::Event {
        wire::Event {
            event_id: Some(self.id.clone()),
            event_time: Some(prost_types::Timestamp {
                seconds: self.time_us.div_euclid(1_000_000),
                nanos: self.time_us.rem_euclid(1_000_000) as i32 * 1_000,
            }),
            event: self.name.clone(),
            account_id: self.account.clone(),
            user_id: self.user.clone(),
            value: self.value,
            properties: self.properties.clone(),
        }
    }

    /// The event as a line of a JSON Lines file, without its end.
    #[must_use]
    pub fn to_json_line(&self) -> String {
        let properties = self.properties.as_deref().map(|text| {
            serde_json::from_str::<serde_json::Value>(text).expect("numbered properties are JSON")
        });
        serde_json::json!({
            "event_id": self.id,
            "event_time": format_timestamp_us(self.time_us),
            "event": self.name,
            "account_id": self.account,
            "user_id": self.user,
            "value": self.value,
            "properties": properties,
        })
        .to_string()
    }
}
