//! Payloads of the Segment specification (track, identify, group, page, screen) as events.
//!
//! `messageId` → `event_id`, `timestamp` (else `originalTimestamp`) → `event_time`, `userId` →
//! `user_id`, `context.groupId` → `account_id`; a track's `event` and `properties` stay what they
//! are; a page or screen becomes the event `page` or `screen`; a group becomes `$group` with its
//! `groupId` and `traits`, an identify `$identify` with its `traits`. `anonymousId` never becomes a
//! user: stitching identities is not promised. Whatever else the envelope holds is left out.
//!
//! Source: the Segment spec, <https://segment.com/docs/connections/spec/common/>.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use vitalog_event::{GROUP_EVENT, IDENTIFY_EVENT, RejectionCode};

use super::event_field::EventField;
use super::json_row::{JsonRow, Members, RowFault, string_of};
use super::options::ImportOptions;

/// The kind of a payload: its `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PayloadKind {
    Track,
    Identify,
    Group,
    Page,
    Screen,
    Alias,
}

impl PayloadKind {
    /// The kind of a row that is a payload: its `type` is one of the specification's, is not mapped
    /// to a field, and the row does not carry our own `event_time`.
    pub(super) fn of(members: &Members<'_>, options: &ImportOptions) -> Option<Self> {
        let kind = match string_of(members.get("type")?)?.as_ref() {
            "track" => Self::Track,
            "identify" => Self::Identify,
            "group" => Self::Group,
            "page" => Self::Page,
            "screen" => Self::Screen,
            "alias" => Self::Alias,
            _ => return None,
        };
        let is_own = members.get("event_time").is_some() || options.mapped("type").is_some();
        (!is_own).then_some(kind)
    }
}

/// The one member of `context` that matters; the rest is skipped unread.
#[derive(Deserialize)]
struct Context<'a> {
    #[serde(borrow, rename = "groupId", default)]
    group_id: Option<&'a RawValue>,
}

/// Reads a payload.
///
/// Mapped columns (paths such as `properties.company_id`) fill the account where
/// `context.groupId` is absent, and go before the payload's own members for every other field.
///
/// # Errors
/// An alias, or a member of the wrong type.
pub(super) fn read_payload<'a>(
    kind: PayloadKind,
    members: &Members<'a>,
    options: &ImportOptions,
) -> Result<JsonRow<'a>, RowFault> {
    let mut row = JsonRow {
        account_is_absent: true,
        ..JsonRow::default()
    };
    let mut fill = |field, key: &str| match members.get(key) {
        Some(value) => row.set(field, key, value, options.time_unit),
        None => Ok(()),
    };
    fill(EventField::EventId, "messageId")?;
    fill(EventField::UserId, "userId")?;
    let sent = if members.get("timestamp").is_some() {
        "timestamp"
    } else {
        "originalTimestamp"
    };
    fill(EventField::EventTime, sent)?;
    match kind {
        PayloadKind::Track => {
            fill(EventField::Event, "event")?;
            fill(EventField::Properties, "properties")?;
        }
        PayloadKind::Page | PayloadKind::Screen => fill(EventField::Properties, "properties")?,
        PayloadKind::Identify => fill(EventField::Properties, "traits")?,
        PayloadKind::Group => {
            fill(EventField::Properties, "traits")?;
            fill(EventField::AccountId, "groupId")?;
        }
        PayloadKind::Alias => {
            let message = "alias payloads are not taken: identities are not stitched together";
            return Err(RowFault::new("type", RejectionCode::WrongType, message));
        }
    }
    match kind {
        PayloadKind::Page => name_view(&mut row, "page", members)?,
        PayloadKind::Screen => name_view(&mut row, "screen", members)?,
        PayloadKind::Identify => row.event = Some(Cow::Borrowed(IDENTIFY_EVENT)),
        PayloadKind::Group => row.event = Some(Cow::Borrowed(GROUP_EVENT)),
        PayloadKind::Track | PayloadKind::Alias => {}
    }
    if kind != PayloadKind::Group && kind != PayloadKind::Identify {
        set_group(&mut row, members, options)?;
    }
    row.apply_mappings(members, options, |row, field| match field {
        EventField::AccountId => row.account_is_absent && kind != PayloadKind::Identify,
        _ => true,
    })?;
    Ok(row)
}

fn set_group<'a>(
    row: &mut JsonRow<'a>,
    members: &Members<'a>,
    options: &ImportOptions,
) -> Result<(), RowFault> {
    let Some(context) = members.get("context") else {
        return Ok(());
    };
    let context: Context<'a> = serde_json::from_str(context.get()).map_err(|error| {
        let message = format!("the context cannot be read: {error}");
        RowFault::new("context", RejectionCode::WrongType, message)
    })?;
    match context.group_id {
        Some(group) => row.set(
            EventField::AccountId,
            "context.groupId",
            group,
            options.time_unit,
        ),
        None => Ok(()),
    }
}

/// Names the event of a page or screen; the view's own `name` and `category`, which stand beside
/// the properties, join them unless they hold such a key already.
fn name_view<'a>(
    row: &mut JsonRow<'a>,
    event: &'static str,
    members: &Members<'a>,
) -> Result<(), RowFault> {
    row.event = Some(Cow::Borrowed(event));
    for key in ["category", "name"] {
        let Some(value) = members.get(key) else {
            continue;
        };
        let before = row.properties.as_deref().unwrap_or("{}");
        let held = Members::parse(before).map_err(|fault| RowFault {
            field: "properties".to_owned(),
            code: RejectionCode::InvalidProperties,
            ..fault
        })?;
        if held.0.iter().any(|(name, _)| name == key) {
            continue;
        }
        let comma = if held.0.is_empty() { "" } else { "," };
        let rest = before.trim_start().strip_prefix('{').unwrap_or("}");
        row.properties = Some(Cow::Owned(format!("{{\"{key}\":{value}{comma}{rest}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, mappings: &[&str]) -> Result<String, RowFault> {
        let options = ImportOptions {
            mappings: mappings
                .iter()
                .map(|text| text.parse().expect("a mapping"))
                .collect(),
            ..ImportOptions::default()
        };
        let members = Members::parse(text)?;
        let kind = PayloadKind::of(&members, &options).expect("a payload");
        let row = read_payload(kind, &members, &options)?;
        let text = |text: &Option<Cow<'_, str>>| text.as_deref().unwrap_or("-").to_owned();
        Ok(format!(
            "{} {} {} {} {} {}",
            text(&row.event_id),
            row.event_time_us.unwrap_or(-1),
            text(&row.event),
            text(&row.account_id),
            text(&row.user_id),
            text(&row.properties)
        ))
    }

    #[test]
    fn each_kind_becomes_its_event() {
        let check = |text: &str, expected: &str| {
            assert_eq!(read(text, &[]).as_deref(), Ok(expected), "{text}");
        };
        check(
            r#"{"type":"track","messageId":"m","timestamp":"1970-01-01T00:00:01Z","event":"Paid",
                "userId":"u","anonymousId":"x","properties":{"a":1},"integrations":{},
                "context":{"library":{"name":"js"},"groupId":"acme"}}"#,
            r#"m 1000000 Paid acme u {"a":1}"#,
        );
        check(
            r#"{"type":"identify","userId":"u","traits":{"email":"e"},"context":{"groupId":"a"}}"#,
            r#"- -1 $identify - u {"email":"e"}"#,
        );
        check(
            r#"{"type":"group","groupId":42,"userId":"u","traits":{"plan":"pro"}}"#,
            r#"- -1 $group 42 u {"plan":"pro"}"#,
        );
        check(
            r#"{"type":"track","anonymousId":"x","event":"e"}"#,
            "- -1 e - - -",
        );
        check(
            r#"{"type":"page","name":"Home","category":null,"properties":{"url":"/"}}"#,
            r#"- -1 page - - {"name":"Home","url":"/"}"#,
        );
        check(
            r#"{"type":"screen","name":"Home","category":"App","properties":{ "name" : "x" }}"#,
            r#"- -1 screen - - {"category":"App", "name" : "x" }"#,
        );
        check(
            r#"{"type":"page","name":"Home"}"#,
            r#"- -1 page - - {"name":"Home"}"#,
        );
        check(
            r#"{"type":"track","event":"e","originalTimestamp":"1970-01-01T00:00:02Z"}"#,
            "- 2000000 e - - -",
        );
    }

    #[test]
    fn the_group_of_the_context_goes_before_a_mapping() {
        let mappings = ["properties.company=account_id", "properties.total=value"];
        let text = r#"{"type":"track","event":"e","properties":{"company":"b"},
            "context":{"groupId":"a"}}"#;
        assert!(
            read(text, &mappings)
                .expect("a row")
                .starts_with("- -1 e a -")
        );
        let text = r#"{"type":"track","event":"e","properties":{"company":"b"},
            "context":{"groupId":null}}"#;
        assert!(
            read(text, &mappings)
                .expect("a row")
                .starts_with("- -1 e b -")
        );
    }

    #[test]
    fn what_is_no_payload_is_left_alone() {
        let kind = |text: &str, mappings: &[&str]| {
            let options = ImportOptions {
                mappings: mappings
                    .iter()
                    .map(|text| text.parse().expect("a mapping"))
                    .collect(),
                ..ImportOptions::default()
            };
            PayloadKind::of(&Members::parse(text).expect("JSON"), &options)
        };
        assert_eq!(kind(r#"{"type":"group"}"#, &[]), Some(PayloadKind::Group));
        assert_eq!(kind(r#"{"type":"click"}"#, &[]), None);
        assert_eq!(kind(r#"{"type":"page","event_time":"x"}"#, &[]), None);
        assert_eq!(kind(r#"{"type":"page"}"#, &["type=event"]), None);
        assert_eq!(kind(r#"{"event":"page"}"#, &[]), None);
    }

    #[test]
    fn faults_bear_the_names_of_the_payload() {
        let check = |text: &str, field: &str, reason: &str| {
            let fault = read(text, &[]).expect_err(text);
            assert_eq!(fault.field, field, "{fault:?}");
            assert!(fault.message.contains(reason), "{fault:?}");
        };
        check(
            r#"{"type":"alias","userId":"u","previousId":"v"}"#,
            "type",
            "not stitched",
        );
        check(
            r#"{"type":"track","timestamp":"soon"}"#,
            "timestamp",
            "is no time",
        );
        check(
            r#"{"type":"track","userId":{}}"#,
            "userId",
            "text is expected",
        );
        check(
            r#"{"type":"track","context":3}"#,
            "context",
            "cannot be read",
        );
        check(
            r#"{"type":"page","name":"x","properties":[]}"#,
            "properties",
            "an object",
        );
    }
}
