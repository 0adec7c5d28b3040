//! The fields of an event that an import fills, and the names people give them elsewhere.

use vitalog_event::schema::{
    ACCOUNT_ID, EVENT, EVENT_ID, EVENT_TIME, PROPERTIES, RECEIVED_AT, SEQ, USER_ID, VALUE,
};

/// A field of an event that a column of a file can fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventField {
    /// The idempotency key; made from the row's content where the file has none.
    EventId,
    /// When it happened; required.
    EventTime,
    /// The event's name; required.
    Event,
    /// The account.
    AccountId,
    /// The person.
    UserId,
    /// The measure.
    Value,
    /// A JSON object.
    Properties,
}

impl EventField {
    /// Every field.
    pub const ALL: [Self; 7] = [
        Self::EventId,
        Self::EventTime,
        Self::Event,
        Self::AccountId,
        Self::UserId,
        Self::Value,
        Self::Properties,
    ];

    /// The column of `events` it fills.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EventId => EVENT_ID,
            Self::EventTime => EVENT_TIME,
            Self::Event => EVENT,
            Self::AccountId => ACCOUNT_ID,
            Self::UserId => USER_ID,
            Self::Value => VALUE,
            Self::Properties => PROPERTIES,
        }
    }

    /// The field of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

/// Columns that Vitalog's own exports carry and the store fills itself: never an error in a file,
/// never read.
const STORE_COLUMNS: [&str; 3] = [RECEIVED_AT, SEQ, "dt"];

/// Whether the store fills the column `name` itself.
pub(super) fn is_store_column(name: &str) -> bool {
    STORE_COLUMNS.contains(&name)
}

/// What other tools call the fields; only ever suggested, never assumed.
const OTHER_NAMES: [(&str, EventField); 28] = [
    ("id", EventField::EventId),
    ("messageid", EventField::EventId),
    ("insertid", EventField::EventId),
    ("uuid", EventField::EventId),
    ("timestamp", EventField::EventTime),
    ("time", EventField::EventTime),
    ("ts", EventField::EventTime),
    ("datetime", EventField::EventTime),
    ("date", EventField::EventTime),
    ("createdat", EventField::EventTime),
    ("occurredat", EventField::EventTime),
    ("name", EventField::Event),
    ("eventname", EventField::Event),
    ("eventtype", EventField::Event),
    ("action", EventField::Event),
    ("account", EventField::AccountId),
    ("company", EventField::AccountId),
    ("companyid", EventField::AccountId),
    ("groupid", EventField::AccountId),
    ("workspaceid", EventField::AccountId),
    ("organizationid", EventField::AccountId),
    ("user", EventField::UserId),
    ("userid", EventField::UserId),
    ("personid", EventField::UserId),
    ("distinctid", EventField::UserId),
    ("amount", EventField::Value),
    ("revenue", EventField::Value),
    ("props", EventField::Properties),
];

/// The field that a column of this name most likely means, or none that is near.
pub(super) fn nearest_field(name: &str) -> Option<EventField> {
    let plain = plain_letters(name);
    if let Some((_, field)) = OTHER_NAMES.iter().find(|(other, _)| *other == plain) {
        return Some(*field);
    }
    let distance =
        |field: EventField| strsim::damerau_levenshtein(&plain, &plain_letters(field.name()));
    let nearest = EventField::ALL
        .into_iter()
        .min_by_key(|field| distance(*field))?;
    (distance(nearest) <= 1 + nearest.name().len() / 5).then_some(nearest)
}

/// The one of `names` that `name` most likely means, or none that is near.
pub(super) fn nearest_name<'a>(name: &str, names: &'a [String]) -> Option<&'a str> {
    let plain = plain_letters(name);
    let distance = |other: &str| strsim::damerau_levenshtein(&plain, &plain_letters(other));
    let nearest = names.iter().min_by_key(|other| distance(other))?;
    (distance(nearest) <= 1 + plain.len() / 5).then_some(nearest)
}

/// Lower case, without anything but letters and digits: `Account ID` and `accountId` are alike.
fn plain_letters(name: &str) -> String {
    name.chars()
        .filter(|letter| letter.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        for (name, field) in [
            ("acount_id", Some(EventField::AccountId)),
            ("accountId", Some(EventField::AccountId)),
            ("Event Time", Some(EventField::EventTime)),
            ("evnt", Some(EventField::Event)),
            ("timestamp", Some(EventField::EventTime)),
            ("distinct_id", Some(EventField::UserId)),
            ("vlaue", Some(EventField::Value)),
            ("temperature", None),
            ("x", None),
        ] {
            assert_eq!(nearest_field(name), field, "{name}");
        }
        let names = ["company".to_owned(), "ts".to_owned()];
        assert_eq!(nearest_name("compnay", &names), Some("company"));
        assert_eq!(nearest_name("customer", &names), None);
    }

    #[test]
    fn names_lead_back_to_their_fields() {
        for field in EventField::ALL {
            assert_eq!(EventField::from_name(field.name()), Some(field));
        }
        assert_eq!(EventField::from_name("seq"), None);
        assert!(is_store_column("seq") && !is_store_column("event"));
    }
}
