//! Lengths of time as settings and flags give them: `90s`, `30m`, `24h`, `7d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// A length of time of whole seconds, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

/// Units, the longest first, and their seconds.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
/// Ten years: more is a mistyped unit.
const SECONDS_MAX: u64 = 3_650 * 86_400;

impl Span {
    /// So many hours.
    #[must_use]
    pub const fn hours(hours: u64) -> Self {
        Self(Duration::from_secs(hours * 3_600))
    }

    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As the standard library has it.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?}: expected a whole number and a unit, as in 90s, 30m, 24h or 7d");
        let unit = text.chars().next_back().ok_or_else(wrong)?;
        let (_, factor) = UNITS
            .into_iter()
            .find(|(known, _)| *known == unit)
            .ok_or_else(wrong)?;
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let number: Option<u64> = digits.parse().ok();
        let seconds = number.and_then(|number| number.checked_mul(factor));
        match seconds {
            Some(seconds @ 1..=SECONDS_MAX) => Ok(Self(Duration::from_secs(seconds))),
            _ => Err(format!("{text:?}: expected at least 1s and at most 3650d")),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let is_whole = |(_, factor): &(char, u64)| seconds.is_multiple_of(*factor);
        let (unit, factor) = UNITS.into_iter().find(is_whole).unwrap_or(('s', 1));
        write!(formatter, "{}{unit}", seconds / factor)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for (text, seconds, shown) in [
            ("1s", 1, "1s"),
            ("90s", 90, "90s"),
            ("30m", 1_800, "30m"),
            ("60m", 3_600, "1h"),
            ("24h", 86_400, "1d"),
            ("36h", 129_600, "36h"),
            ("7d", 604_800, "7d"),
        ] {
            let span: Span = text.parse().expect(text);
            assert_eq!(span.duration().as_secs(), seconds, "{text}");
            assert_eq!(span.to_string(), shown);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "h",
            "1",
            "1.5h",
            "-1h",
            "+1h",
            "1 h",
            "1w",
            "0s",
            "4000d",
            "1h30m",
            "1é",
            "99999999999999999999d",
        ] {
            let error = text.parse::<Span>().expect_err(text);
            assert!(error.contains("expected"), "{error}");
        }
    }
}
