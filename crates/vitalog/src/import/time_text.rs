//! Times as files give them: text in the known forms, or numbers of a unit that was named.

use vitalog_event::{RejectionCode, TimeUnit, parse_timestamp_us, timestamp_us_from_number};

/// Code and sentence of what is wrong with a cell.
pub(super) type CellFault = (RejectionCode, String);

/// Microseconds of a time given as text; with a `unit` a bare number counts as so many of it.
pub(super) fn time_from_text(text: &str, unit: Option<TimeUnit>) -> Result<i64, CellFault> {
    let text = text.trim();
    let numeric = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
        && text.parse::<f64>().is_ok();
    if !numeric {
        return parse_timestamp_us(text)
            .map_err(|error| (RejectionCode::NotANumber, error.to_string()));
    }
    let Some(unit) = unit else {
        return Err((RejectionCode::WrongType, number_without_unit(text)));
    };
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(number), _) => Ok(time_from_integer(number, unit)),
        (Err(_), Ok(number)) => time_from_float(number, unit),
        (Err(_), Err(error)) => Err((RejectionCode::NotANumber, error.to_string())),
    }
}

/// The sentence for a time that is a number where no unit was named.
pub(super) fn number_without_unit(text: &str) -> String {
    format!("{text} is a number: name its unit with --time-unit s, ms, us or ns")
}

/// Microseconds of a whole number of units; what does not fit 64 bits becomes the least or the
/// greatest time, which no store takes.
pub(super) fn time_from_integer(number: i64, unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => number.saturating_mul(1_000_000),
        TimeUnit::Millisecond => number.saturating_mul(1_000),
        TimeUnit::Microsecond => number,
        TimeUnit::Nanosecond => number.div_euclid(1_000),
    }
}

/// Microseconds of a number of units; NaN and infinities are no times.
pub(super) fn time_from_float(number: f64, unit: TimeUnit) -> Result<i64, CellFault> {
    timestamp_us_from_number(number, unit)
        .map_err(|error| (RejectionCode::NotANumber, error.to_string()))
}

/// A number given as text, such as a cell of a CSV file. `NaN` and `inf` are read and left to the
/// validation, which names them.
pub(super) fn value_from_text(text: &str) -> Result<f64, CellFault> {
    let short = || text.chars().take(64).collect::<String>();
    text.trim().parse().map_err(|_| {
        (
            RejectionCode::WrongType,
            format!("{:?} is no number", short()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_need_a_unit() {
        let noon = 1_740_830_400_000_000;
        assert_eq!(time_from_text("2025-03-01T12:00:00Z", None), Ok(noon));
        assert_eq!(
            time_from_text(" 2025-03-01 12:00 ", Some(TimeUnit::Second)),
            Ok(noon)
        );
        assert_eq!(
            time_from_text("1740830400", Some(TimeUnit::Second)),
            Ok(noon)
        );
        assert_eq!(
            time_from_text("1740830400.5", Some(TimeUnit::Second)),
            Ok(noon + 500_000)
        );
        assert_eq!(
            time_from_text("1740830400000000999", Some(TimeUnit::Nanosecond)),
            Ok(noon)
        );
        let (code, message) = time_from_text("1740830400", None).expect_err("no unit");
        assert_eq!(code, RejectionCode::WrongType);
        assert!(message.contains("--time-unit"), "{message}");
        for text in ["", "NaN", "inf", "soon", "1e999"] {
            let (code, _) = time_from_text(text, Some(TimeUnit::Second)).expect_err(text);
            assert_eq!(code, RejectionCode::NotANumber, "{text}");
        }
    }

    #[test]
    fn whole_numbers_saturate_and_floor() {
        assert_eq!(time_from_integer(i64::MAX, TimeUnit::Second), i64::MAX);
        assert_eq!(time_from_integer(i64::MIN, TimeUnit::Millisecond), i64::MIN);
        assert_eq!(time_from_integer(-1, TimeUnit::Nanosecond), -1);
    }

    #[test]
    fn values_are_read_or_explained() {
        assert_eq!(value_from_text(" 2.5e1 "), Ok(25.0));
        assert!(value_from_text("NaN").expect("read").is_nan());
        assert_eq!(
            value_from_text("2,5").expect_err("a comma").0,
            RejectionCode::WrongType
        );
    }
}
