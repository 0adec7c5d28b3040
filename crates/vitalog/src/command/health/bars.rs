//! Horizontal bars of signed numbers around one axis.

use std::io::{self, Write};

use crate::command::grid::{Paint, decimal, signed};
use crate::sql::{Screen, cut, text_width};

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bar {
    pub label: String,
    /// Its length and the number beside it.
    pub points: f64,
    /// What stands behind the number.
    pub note: String,
}

/// Columns of an output that is no terminal.
const WIDTH_DEFAULT: usize = 100;
/// Longer labels are cut.
const LABEL_WIDTH_MAX: usize = 28;
/// Columns of all bars, at least and at most.
const BARS_WIDTH: (usize, usize) = (10, 60);

/// Writes the bars, all on one scale: blocks on a terminal, `#` and `-` elsewhere.
pub(super) fn write_bars(out: &mut dyn Write, bars: &[Bar], screen: Screen) -> io::Result<()> {
    let widest = |of: fn(&Bar) -> usize| bars.iter().map(of).max().unwrap_or(0);
    let label_width = widest(|bar| text_width(&bar.label)).min(LABEL_WIDTH_MAX);
    let note_width = widest(|bar| text_width(&bar.note));
    let number_width = widest(|bar| shown_points(bar.points).len());
    let beside = 2 + label_width + 2 + 2 + number_width + 2 + note_width;
    let room = screen.width.unwrap_or(WIDTH_DEFAULT).saturating_sub(beside);
    let scale = Scale::of(bars, room.clamp(BARS_WIDTH.0, BARS_WIDTH.1));
    for bar in bars {
        let label = cut(&bar.label, label_width);
        let padding = " ".repeat(label_width - text_width(&label));
        let drawn = scale.draw(bar.points, screen);
        let points = shown_points(bar.points);
        let line = format!(
            "  {label}{padding}  {drawn}  {points:>number_width$}  {}",
            bar.note
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn shown_points(points: f64) -> String {
    decimal(Some(points), 1).map_or_else(|| "-".to_owned(), |text| signed(&text))
}

/// How many columns a point is, and where the axis stands.
#[derive(Clone, Copy, Debug)]
struct Scale {
    columns_a_point: f64,
    /// Columns on the left and on the right of the axis.
    left: usize,
    right: usize,
}

impl Scale {
    fn of(bars: &[Bar], width: usize) -> Self {
        let finite = || {
            bars.iter()
                .map(|bar| bar.points)
                .filter(|points| points.is_finite())
        };
        let most = finite().fold(0.0, f64::max);
        let least = finite().fold(0.0, f64::min);
        let range = most - least;
        if range <= 0.0 {
            return Self {
                columns_a_point: 0.0,
                left: 0,
                right: width,
            };
        }
        // A negative bar is seen, however short.
        let least_left = usize::from(least < 0.0);
        let left = ((-least / range * width as f64).round() as usize).clamp(least_left, width - 1);
        let right = width - left;
        let fits = |columns: usize, points: f64| match points > 0.0 {
            true => columns as f64 / points,
            false => f64::INFINITY,
        };
        Self {
            columns_a_point: fits(left, -least).min(fits(right, most)),
            left,
            right,
        }
    }

    /// The bar of `points`, padded to the whole width.
    fn draw(self, points: f64, screen: Screen) -> String {
        let length = if points.is_finite() {
            points.abs() * self.columns_a_point
        } else {
            0.0
        };
        let is_terminal = screen.width.is_some();
        let room = if points < 0.0 { self.left } else { self.right };
        let drawn = match (points < 0.0, is_terminal) {
            (false, true) => eighths(length, room),
            (true, true) => halves(length, room),
            (false, false) => "#".repeat(whole(length, room)),
            (true, false) => "-".repeat(whole(length, room)),
        };
        let padding = " ".repeat(room - text_width(&drawn));
        let paint = if points < 0.0 {
            Paint::Red
        } else {
            Paint::Green
        };
        let painted = if drawn.is_empty() {
            drawn
        } else {
            paint.on(&drawn, screen)
        };
        if points < 0.0 {
            format!("{padding}{painted}{}", " ".repeat(self.right))
        } else {
            format!("{}{painted}{padding}", " ".repeat(self.left))
        }
    }
}

/// To the nearest column; what is not nothing is one at least.
fn whole(length: f64, room: usize) -> usize {
    let least = usize::from(length > 0.0).min(room);
    (length.round() as usize).clamp(least, room)
}

/// A bar that begins at the left, to an eighth of a column.
fn eighths(length: f64, room: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let least = usize::from(length > 0.0);
    let eighths = ((length * 8.0).round() as usize).clamp(least, room * 8);
    format!("{}{}", "█".repeat(eighths / 8), PARTS[eighths % 8])
}

/// A bar that ends at the right, to a half of a column: there are no finer blocks on that side.
fn halves(length: f64, room: usize) -> String {
    let least = usize::from(length > 0.0);
    let halves = ((length * 2.0).round() as usize).clamp(least, room * 2);
    let part = if halves % 2 == 1 { "▐" } else { "" };
    format!("{part}{}", "█".repeat(halves / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str, points: f64) -> Bar {
        Bar {
            label: label.to_owned(),
            points,
            note: "3 × 9".to_owned(),
        }
    }

    fn written(bars: &[Bar], width: Option<usize>) -> String {
        let mut out = Vec::new();
        let screen = Screen {
            width,
            is_coloured: false,
        };
        write_bars(&mut out, bars, screen).expect("a vector takes it");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn bars_share_a_scale_and_an_axis() {
        let bars = [
            bar("login", 30.0),
            bar("report", 15.0),
            bar("ticket", -10.0),
        ];
        let width = 2 + 6 + 2 + 40 + 2 + 5 + 2 + 5;
        let expected = format!(
            "  login             {}  +30.0  3 × 9
  report            {}                 +15.0  3 × 9
  ticket  {}                                -10.0  3 × 9
",
            "█".repeat(30),
            "█".repeat(15),
            "█".repeat(10)
        );
        assert_eq!(written(&bars, Some(width)), expected);
    }

    #[test]
    fn elsewhere_bars_are_plain() {
        let text = written(&[bar("login", 30.0), bar("ticket", -10.0)], None);
        assert!(text.contains("###") && text.contains("---"), "{text}");
        assert!(text.replace('×', "x").is_ascii(), "{text}");
    }

    #[test]
    fn short_bars_are_seen_and_none_leaves_its_room() {
        let bars = [
            bar("a", 1e6),
            bar("b", 0.001),
            bar("c", -0.001),
            bar("d", 0.0),
        ];
        let text = written(&bars, Some(60));
        assert!(text.lines().all(|line| text_width(line) <= 60), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains('▏') && lines[2].contains('▐'), "{text}");
        assert!(!lines[3].contains(['▏', '█']), "{text}");
        assert_eq!(written(&[bar("none", 0.0)], Some(40)).lines().count(), 1);
        assert_eq!(written(&[], None), "");
    }

    #[test]
    fn parts_of_a_column() {
        assert_eq!(eighths(2.5, 9), "██▌");
        assert_eq!(halves(2.5, 9), "▐██");
        assert_eq!(
            (eighths(0.0, 9), halves(0.0, 9)),
            (String::new(), String::new())
        );
        assert_eq!((whole(0.2, 9), whole(99.0, 9)), (1, 9));
    }
}
