//! Green, yellow, red: the band of a value and the status of many bands.
//!
//! Bands are taken on unrounded values. Source: Accoil's thresholds for the band, the
//! CustomerSuccessBox rule for the status.

/// A traffic light. Ordered from worst to best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    /// Needs help now.
    Red,
    /// Neither.
    Yellow,
    /// Healthy.
    Green,
}

impl Band {
    /// The band's name in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Band::Red => "red",
            Band::Yellow => "yellow",
            Band::Green => "green",
        }
    }

    /// The band of a name, exactly as [`Band::as_str`] writes it.
    pub fn parse(name: &str) -> Option<Self> {
        [Band::Red, Band::Yellow, Band::Green]
            .into_iter()
            .find(|band| band.as_str() == name)
    }
}

/// Where a value turns red and where green.
///
/// `red ≤ green` means that higher is better, `red > green` that lower is better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// On the bad side of this a value is red.
    pub red: f64,
    /// At this and on its good side a value is green.
    pub green: f64,
    /// Whether a value exactly at `red` is red already.
    pub red_inclusive: bool,
}

impl Thresholds {
    /// The band of a value, or `None` when the value or a threshold is NaN.
    ///
    /// Red is asked first: where `red` equals `green` and red is inclusive, that value is red.
    pub fn band(&self, value: f64) -> Option<Band> {
        if value.is_nan() || self.red.is_nan() || self.green.is_nan() {
            return None;
        }
        let lower_is_better = self.red > self.green;
        let beyond_red = if lower_is_better {
            value > self.red
        } else {
            value < self.red
        };
        let reaches_green = if lower_is_better {
            value <= self.green
        } else {
            value >= self.green
        };
        Some(if beyond_red || (self.red_inclusive && value == self.red) {
            Band::Red
        } else if reaches_green {
            Band::Green
        } else {
            Band::Yellow
        })
    }
}

/// The status of several dimensions: any red is red, all green is green, else yellow.
///
/// `None` stands for NULL and is skipped; all NULL, or none at all, has no status.
pub fn status(bands: impl IntoIterator<Item = Option<Band>>) -> Option<Band> {
    // Any red is red and all green is green: the status is the worst band there is.
    bands.into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::Band::{Green, Red, Yellow};
    use super::*;

    fn check(red: f64, green: f64, red_inclusive: bool, expected: &[(f64, Band)]) {
        let thresholds = Thresholds {
            red,
            green,
            red_inclusive,
        };
        for &(value, band) in expected {
            assert_eq!(
                thresholds.band(value),
                Some(band),
                "{value} of {thresholds:?}"
            );
        }
    }

    #[test]
    fn higher_is_better() {
        check(
            30.0,
            70.0,
            false,
            &[(29.9, Red), (30.0, Yellow), (69.9, Yellow), (70.0, Green)],
        );
        check(
            20.0,
            85.0,
            true,
            &[(20.0, Red), (20.1, Yellow), (84.999, Yellow), (85.0, Green)],
        );
        let infinite = f64::INFINITY;
        check(20.0, 85.0, true, &[(infinite, Green), (-infinite, Red)]);
    }

    #[test]
    fn lower_is_better() {
        check(
            30.0,
            7.0,
            false,
            &[(7.0, Green), (7.1, Yellow), (30.0, Yellow), (30.1, Red)],
        );
        check(
            30.0,
            7.0,
            true,
            &[(0.0, Green), (29.0, Yellow), (30.0, Red)],
        );
    }

    #[test]
    fn a_step() {
        check(50.0, 50.0, false, &[(49.9, Red), (50.0, Green)]);
        check(50.0, 50.0, true, &[(49.9, Red), (50.0, Red), (50.1, Green)]);
    }

    #[test]
    fn nan_has_no_band() {
        for (value, red, green) in [
            (f64::NAN, 1.0, 2.0),
            (1.0, f64::NAN, 2.0),
            (1.0, 2.0, f64::NAN),
        ] {
            assert_eq!(
                Thresholds {
                    red,
                    green,
                    red_inclusive: false
                }
                .band(value),
                None
            );
        }
    }

    #[test]
    fn statuses() {
        assert_eq!(status([Some(Green), Some(Red), None]), Some(Red));
        assert_eq!(status([Some(Green), Some(Green), None]), Some(Green));
        assert_eq!(status([Some(Green), Some(Yellow)]), Some(Yellow));
        assert_eq!(status([None, None]), None);
        assert_eq!(status([]), None);
    }

    #[test]
    fn names_come_back() {
        for band in [Red, Yellow, Green] {
            assert_eq!(Band::parse(band.as_str()), Some(band));
        }
        assert_eq!(Band::parse("Red"), None);
    }
}
