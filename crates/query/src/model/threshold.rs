//! Thresholds: where a value turns red or green.
//!
//! It owns their text (`"<= 2/7"`). Bands are taken on unrounded values (`relation::sql`), so a
//! fraction is the double nearest to it, as the metric's own quotient is.

use std::fmt;

/// Most bytes of a number in a threshold.
const NUMBER_BYTES_MAX: usize = 64;
/// A bound lies strictly between minus this and this, so that differences stay finite.
const VALUE_LIMIT: f64 = 1e15;
/// Whole numbers up to here are exact as doubles.
const WHOLE_MAX: u64 = 1 << 53;

/// Red and green of a metric or signal. Never overlapping: with higher values better,
/// `red ≤ green`, and at most one of them includes a common bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Thresholds {
    /// Finite.
    pub red: f64,
    /// Whether `red` itself is red.
    pub red_inclusive: bool,
    /// Finite.
    pub green: f64,
    /// Whether `green` itself is green.
    pub green_inclusive: bool,
    /// Red above, green below.
    pub lower_is_better: bool,
}

impl Thresholds {
    /// Red below, green at `green` and above.
    pub(crate) const fn higher(red: f64, red_inclusive: bool, green: f64) -> Self {
        Self {
            red,
            red_inclusive,
            green,
            green_inclusive: true,
            lower_is_better: false,
        }
    }

    /// Red above, green at `green` and below.
    pub(crate) const fn lower(red: f64, red_inclusive: bool, green: f64) -> Self {
        Self {
            red,
            red_inclusive,
            green,
            green_inclusive: true,
            lower_is_better: true,
        }
    }

    /// # Errors
    /// Why the two do not go together: the same direction, or values that are both.
    pub fn of(red: Bound, green: Bound) -> Result<Self, String> {
        if red.is_above == green.is_above {
            return Err(format!(
                "red \"{red}\" and green \"{green}\" look in the same direction; one needs < or \
                 <=, the other > or >="
            ));
        }
        let lower_is_better = red.is_above;
        let (low, high) = if lower_is_better {
            (green, red)
        } else {
            (red, green)
        };
        let share_bound = low.value == high.value && low.is_inclusive && high.is_inclusive;
        if low.value > high.value || share_bound {
            return Err(format!(
                "red \"{red}\" and green \"{green}\" overlap: {} is both",
                high.value
            ));
        }
        Ok(Self {
            red: red.value,
            red_inclusive: red.is_inclusive,
            green: green.value,
            green_inclusive: green.is_inclusive,
            lower_is_better,
        })
    }

    /// Which values are red, as a model writes it; parsed again it is the same to the bit.
    pub fn red_bound(&self) -> Bound {
        Bound {
            is_above: self.lower_is_better,
            is_inclusive: self.red_inclusive,
            value: self.red,
        }
    }

    /// Which values are green, likewise.
    pub fn green_bound(&self) -> Bound {
        Bound {
            is_above: !self.lower_is_better,
            is_inclusive: self.green_inclusive,
            value: self.green,
        }
    }
}

/// One side of a pair of thresholds: a comparison with a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound {
    /// `>` or `>=`.
    pub is_above: bool,
    /// `<=` or `>=`.
    pub is_inclusive: bool,
    /// Finite.
    pub value: f64,
}

impl Bound {
    /// Reads `<`, `<=`, `>` or `>=` and a decimal number or a fraction of whole numbers, with
    /// spaces where one likes.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = || {
            format!(
                "\"{}\" is no threshold; <, <=, > or >= and a number are expected, as in \
                 \"< 30\" or \">= 5/7\"",
                text.escape_debug()
            )
        };
        let rest = text.trim();
        let (is_above, rest) = if let Some(rest) = rest.strip_prefix('<') {
            (false, rest)
        } else {
            (true, rest.strip_prefix('>').ok_or_else(refused)?)
        };
        let (is_inclusive, rest) = match rest.strip_prefix('=') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let value = number(rest.trim()).ok_or_else(refused)?;
        if value.abs() >= VALUE_LIMIT {
            return Err(format!(
                "the threshold \"{}\" is too large; |threshold| must be below 1e15",
                text.trim()
            ));
        }
        Ok(Self {
            is_above,
            is_inclusive,
            value,
        })
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.is_above { '>' } else { '<' };
        let equal = if self.is_inclusive { "=" } else { "" };
        // The shortest decimal that is read as the same double.
        write!(formatter, "{side}{equal} {}", self.value)
    }
}

fn number(text: &str) -> Option<f64> {
    if text.len() > NUMBER_BYTES_MAX {
        return None;
    }
    match text.split_once('/') {
        None => decimal(text),
        Some((above, below)) => {
            let (above, below) = (above.trim(), below.trim());
            let (sign, above) = match above.strip_prefix('-') {
                Some(above) => (-1.0, above),
                None => (1.0, above),
            };
            let (above, below) = (whole(above)?, whole(below)?);
            (below > 0.0).then(|| sign * above / below)
        }
    }
}

fn whole(text: &str) -> Option<f64> {
    let is_whole = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value: u64 = is_whole.then(|| text.parse().ok())??;
    (value <= WHOLE_MAX).then_some(value as f64)
}

/// Digits with at most one point and a sign; none of the other spellings that doubles have.
fn decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_decimal = digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.ends_with(|last: char| last.is_ascii_digit())
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value: f64 = is_decimal.then(|| text.parse().ok())??;
    Some(value + 0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(red: &str, green: &str) -> Result<Thresholds, String> {
        Thresholds::of(Bound::parse(red)?, Bound::parse(green)?)
    }

    #[test]
    fn texts_of_bounds() {
        let check = |text: &str, shown: &str| {
            assert_eq!(Bound::parse(text).expect(text).to_string(), shown);
        };
        check("<30", "< 30");
        check("  >=  70.50 ", ">= 70.5");
        check("<= 2/7", "<= 0.2857142857142857");
        check("> -10 / 4", "> -2.5");
        check(">= +3", ">= 3");
        check("< -0", "< 0");
        assert_eq!(
            Bound::parse(">= 5/7").map(|bound| bound.value),
            Ok(5.0 / 7.0)
        );
        for text in [
            "", "30", "= 30", "== 30", "=> 30", "<> 3", "< ", "< inf", "< nan", "< 1e3", "< .5",
            "< 5.", "< 1.2.3", "< 1/0", "< 1/-2", "< 0.5/2", "< 1/2/3", "< --1", "< 1_000",
            "< 30%",
        ] {
            let fault = Bound::parse(text).expect_err(text);
            assert!(fault.contains("is no threshold"), "{fault}");
        }
        let long = format!("< {}", "1".repeat(NUMBER_BYTES_MAX + 1));
        assert!(Bound::parse(&long).is_err());
        let fault = Bound::parse("< 1000000000000000").expect_err("too large");
        assert!(fault.contains("below 1e15"), "{fault}");
    }

    #[test]
    fn what_does_not_go_together() {
        let fault = of("< 30", "< 70").expect_err("one direction");
        assert!(fault.contains("same direction"), "{fault}");
        for (red, green) in [("<= 70", ">= 70"), ("< 80", "> 70"), ("> 3", "< 5")] {
            let fault = of(red, green).expect_err("overlap");
            let named = format!("red \"{red}\" and green \"{green}\" overlap");
            assert!(fault.contains(&named), "{fault}");
        }
        for (red, green) in [("< 70", ">= 70"), ("<= 70", "> 70"), ("< 70", "> 70")] {
            assert!(of(red, green).is_ok(), "{red} {green}");
        }
    }

    proptest! {
        #[test]
        fn thresholds_come_back_to_the_bit(
            low in -1e14..1e14_f64, width in 0.0..1e14_f64,
            red_inclusive: bool, green_inclusive: bool, lower_is_better: bool,
        ) {
            let (red, green) = if lower_is_better { (low + width, low) } else { (low, low + width) };
            prop_assume!(red != green || !(red_inclusive && green_inclusive));
            let thresholds = Thresholds { red, red_inclusive, green, green_inclusive, lower_is_better };
            let texts = (thresholds.red_bound().to_string(), thresholds.green_bound().to_string());
            prop_assert_eq!(of(&texts.0, &texts.1), Ok(thresholds));
        }
    }
}
