//! The members of a canonical object, read without parsing values.
//!
//! Invariant: canonical text has no white space outside strings, so a value ends at a comma or a
//! brace of its own level. Text that is not canonical gives no members, never wrong ones that
//! overlap.

use std::borrow::Cow;

/// One member: the key without its quotes and the value, both with escapes as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    pub key: &'a str,
    pub value: &'a str,
}

/// Digits of a number beyond which readers of JSON give up on the text around it as well.
const NUMBER_BYTES_MAX: usize = 4_000;

/// Puts the members of `canonical` into `members`. `false`, and none, where the text is no
/// canonical object or holds a number so long that readers refuse it.
pub(super) fn read_members<'a>(canonical: &'a str, members: &mut Vec<Member<'a>>) -> bool {
    members.clear();
    let is_whole = read(canonical, members).is_some();
    if !is_whole {
        members.clear();
    }
    is_whole
}

fn read<'a>(text: &'a str, members: &mut Vec<Member<'a>>) -> Option<()> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'{') {
        return None;
    }
    if bytes == b"{}" {
        return Some(());
    }
    let mut at = 1;
    loop {
        let key_end = string_end(bytes, at)?;
        let key = text.get(at + 1..key_end - 1)?;
        if bytes.get(key_end) != Some(&b':') {
            return None;
        }
        let start = key_end + 1;
        let end = value_end(bytes, start)?;
        let value = text.get(start..end)?;
        if value.is_empty() || (value.len() > NUMBER_BYTES_MAX && !value.starts_with('"')) {
            return None;
        }
        members.push(Member { key, value });
        match bytes.get(end)? {
            b',' => at = end + 1,
            b'}' if end + 1 == bytes.len() => return Some(()),
            _ => return None,
        }
    }
}

/// The place after the string that starts at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The place after the value that starts at `at`.
fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string_end(bytes, at),
        b'{' | b'[' => nested_end(bytes, at),
        _ => {
            let length = bytes[at..].iter().position(|byte| b",}]".contains(byte))?;
            Some(at + length)
        }
    }
}

fn nested_end(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0usize);
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The text of a JSON string given without its quotes; `None` where its escapes are wrong.
pub(super) fn unescaped(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains('\\') {
        return Some(Cow::Borrowed(raw));
    }
    serde_json::from_str(&format!("\"{raw}\""))
        .ok()
        .map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Option<Vec<(String, String)>> {
        let mut members = Vec::new();
        read_members(text, &mut members).then(|| {
            let pair = |member: &Member<'_>| (member.key.to_owned(), member.value.to_owned());
            members.iter().map(pair).collect()
        })
    }

    #[test]
    fn members_are_found_without_parsing_them() {
        let check = |text: &str, expected: &[(&str, &str)]| {
            let expected = expected
                .iter()
                .map(|&(key, value)| (key.into(), value.into()));
            assert_eq!(pairs(text), Some(expected.collect()), "{text}");
        };
        check("{}", &[]);
        check(r#"{"a":1}"#, &[("a", "1")]);
        check(
            r#"{"a":"x,}\"","b":[1,{"c":"]"}],"d":{"e":{}},"f":null,"é\\":-1.5e2}"#,
            &[
                ("a", r#""x,}\"""#),
                ("b", r#"[1,{"c":"]"}]"#),
                ("d", r#"{"e":{}}"#),
                ("f", "null"),
                ("é\\\\", "-1.5e2"),
            ],
        );
    }

    #[test]
    fn what_is_no_canonical_object_has_none() {
        let long = format!("{{\"a\":{}}}", "1".repeat(4_301));
        for text in [
            "",
            "{",
            "[1]",
            "1",
            "{\"a\":1",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1}x",
        ]
        .into_iter()
        .chain([long.as_str(), "{\"a\":\"x}", "{\"a\":1,}", "{\"a\\"])
        {
            assert_eq!(pairs(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_members_are_those_of_a_parser(
            members in proptest::collection::btree_map("[a-c\"\\\\\u{e9}{},]{0,4}", crate::promoted::tests::value(), 0..6)
        ) {
            let text = crate::promoted::tests::object(&members);
            let found = pairs(&text).expect("canonical");
            let found: Vec<(String, String)> = found
                .into_iter()
                .map(|(key, value)| (unescaped(&key).expect("a key").into_owned(), value))
                .collect();
            prop_assert_eq!(found, members.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn arbitrary_text_never_panics(text in "[{}\\[\\]\",:\\\\a1é]{0,24}") {
            pairs(&text);
        }
    }
}
