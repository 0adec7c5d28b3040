//! Tables of text for people: aligned, coloured, and as wide as the terminal allows.
//!
//! Owns how cells become lines; not what they say. What events carry cannot steer the terminal:
//! control characters are shown, never sent.

use std::io::{self, Write};

use vitalog_event::format_timestamp_us;

use crate::sql::{Screen, cut, text_width, visible};

/// A colour, where the screen has some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Red,
    Yellow,
    Green,
    Dim,
    Bold,
}

impl Paint {
    /// The colour of a band or status.
    pub fn of_band(band: &str) -> Option<Self> {
        match band {
            "red" => Some(Self::Red),
            "yellow" => Some(Self::Yellow),
            "green" => Some(Self::Green),
            _ => None,
        }
    }

    /// `text` in this colour.
    pub fn on(self, text: &str, screen: Screen) -> String {
        if !screen.is_coloured {
            return text.to_owned();
        }
        let code = match self {
            Self::Red => "31",
            Self::Yellow => "33",
            Self::Green => "32",
            Self::Dim => "2",
            Self::Bold => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// `band` in its colour; `-` for none.
pub(super) fn painted_band(band: Option<&str>, screen: Screen) -> String {
    let Some(band) = band else {
        return "-".to_owned();
    };
    match Paint::of_band(band) {
        Some(paint) => paint.on(band, screen),
        None => visible(band),
    }
}

/// A column of a grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heading {
    pub name: &'static str,
    pub is_right: bool,
    /// Columns are left out from the highest rank on where the terminal is narrow; 0 never.
    pub rank: u8,
}

impl Heading {
    pub const fn left(name: &'static str, rank: u8) -> Self {
        Self {
            name,
            is_right: false,
            rank,
        }
    }

    pub const fn right(name: &'static str, rank: u8) -> Self {
        Self {
            name,
            is_right: true,
            rank,
        }
    }
}

/// A value as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    paint: Option<Paint>,
}

impl Cell {
    pub fn new(text: impl AsRef<str>) -> Self {
        Self {
            text: visible(text.as_ref()).replace('\n', "\\n"),
            paint: None,
        }
    }

    /// `-` where there is no value.
    pub fn of(text: Option<impl AsRef<str>>) -> Self {
        match text {
            Some(text) => Self::new(text),
            None => Self::new("-").with(Paint::Dim),
        }
    }

    /// A band or status, in its colour.
    pub fn band(band: Option<&str>) -> Self {
        let mut cell = Self::of(band);
        cell.paint = band.map_or(cell.paint, Paint::of_band);
        cell
    }

    pub fn with(mut self, paint: Paint) -> Self {
        self.paint = Some(paint);
        self
    }
}

/// Rows of cells under headings.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    headings: Vec<Heading>,
    rows: Vec<Vec<Cell>>,
}

/// Spaces between columns.
const GAP: &str = "  ";
/// To fewer columns than these no text is cut.
const TEXT_WIDTH_MIN: usize = 10;

impl Grid {
    pub fn new(headings: &[Heading]) -> Self {
        Self {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row of as many cells as there are headings.
    pub fn push(&mut self, row: Vec<Cell>) {
        debug_assert_eq!(row.len(), self.headings.len());
        self.rows.push(row);
    }

    /// Writes all rows; returns the names of columns that found no room.
    pub fn write(&self, out: &mut dyn Write, screen: Screen) -> io::Result<Vec<&'static str>> {
        let (shown, widths) = self.fit(screen.width);
        let heading = |column: usize| {
            let name = Cell::new(self.headings[column].name);
            name.with(Paint::Dim)
        };
        let names: Vec<Cell> = (0..self.headings.len()).map(heading).collect();
        self.write_line(out, screen, (&shown, &widths), &names)?;
        for row in &self.rows {
            self.write_line(out, screen, (&shown, &widths), row)?;
        }
        let is_left_out = |column: &usize| !shown.contains(column);
        let left_out = (0..self.headings.len()).filter(is_left_out);
        Ok(left_out.map(|column| self.headings[column].name).collect())
    }

    /// The columns that there is room for, and the width of every column.
    fn fit(&self, room: Option<usize>) -> (Vec<usize>, Vec<usize>) {
        let mut widths: Vec<usize> = self.headings.iter().map(|one| one.name.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = text_width(&cell.text).max(*width);
            }
        }
        let mut shown: Vec<usize> = (0..self.headings.len()).collect();
        let Some(room) = room else {
            return (shown, widths);
        };
        let needed = |shown: &[usize], widths: &[usize]| {
            let text: usize = shown.iter().map(|column| widths[*column]).sum();
            text + GAP.len() * shown.len().saturating_sub(1)
        };
        while needed(&shown, &widths) > room {
            let optional = shown.iter().copied();
            let last = optional.max_by_key(|column| self.headings[*column].rank);
            match last.filter(|column| self.headings[*column].rank > 0) {
                Some(last) => shown.retain(|column| *column != last),
                None => break,
            }
        }
        for column in &shown {
            let excess = needed(&shown, &widths).saturating_sub(room);
            if !self.headings[*column].is_right && widths[*column] > TEXT_WIDTH_MIN {
                widths[*column] =
                    (widths[*column] - excess.min(widths[*column])).max(TEXT_WIDTH_MIN);
            }
        }
        (shown, widths)
    }

    fn write_line(
        &self,
        out: &mut dyn Write,
        screen: Screen,
        (shown, widths): (&[usize], &[usize]),
        cells: &[Cell],
    ) -> io::Result<()> {
        let mut line = String::new();
        for (position, column) in shown.iter().enumerate() {
            let (cell, width) = (&cells[*column], widths[*column]);
            let text = cut(&cell.text, width);
            let room = " ".repeat(width - text_width(&text));
            let text = match cell.paint {
                Some(paint) => paint.on(&text, screen),
                None => text,
            };
            let gap = if position == 0 { "" } else { GAP };
            line.push_str(gap);
            if self.headings[*column].is_right {
                line.push_str(&room);
                line.push_str(&text);
            } else {
                line.push_str(&text);
                line.push_str(&room);
            }
        }
        writeln!(out, "{}", line.trim_end())
    }
}

/// A number with `decimals` digits behind the point; `None` for NaN, too.
pub(super) fn decimal(number: Option<f64>, decimals: usize) -> Option<String> {
    let number = number.filter(|number| !number.is_nan())?;
    let text = format!("{number:.decimals$}");
    // What rounds to nothing has no sign.
    let is_zero = text
        .trim_start_matches('-')
        .chars()
        .all(|char| matches!(char, '0' | '.'));
    Some(if is_zero {
        text.trim_start_matches('-').to_owned()
    } else {
        text
    })
}

/// With a plus where there is no minus.
pub(super) fn signed(number: &str) -> String {
    if number.starts_with('-') {
        number.to_owned()
    } else {
        format!("+{number}")
    }
}

/// `2025-03-01T09:30:00Z`, to the second.
pub(super) fn shown_time(time_us: i64) -> String {
    let whole_us = time_us.div_euclid(1_000_000) * 1_000_000;
    format_timestamp_us(whole_us).replace(".000000", "")
}

/// `2025-03-01`, the day in UTC.
pub(super) fn shown_date(time_us: i64) -> String {
    format_timestamp_us(time_us).chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid = Grid::new(&[
            Heading::left("account", 0),
            Heading::left("name", 2),
            Heading::right("score", 0),
            Heading::left("status", 0),
        ]);
        for (id, name, score, status) in [
            ("acme", "Acme & Sons", "9.2", Some("red")),
            ("a\u{1b}[31m", "Ünder", "100.0", None),
        ] {
            grid.push(vec![
                Cell::new(id),
                Cell::new(name),
                Cell::new(score),
                Cell::band(status),
            ]);
        }
        grid
    }

    fn written(width: Option<usize>, is_coloured: bool) -> (String, Vec<&'static str>) {
        let mut out = Vec::new();
        let screen = Screen { width, is_coloured };
        let left_out = grid().write(&mut out, screen).expect("a vector takes it");
        (String::from_utf8(out).expect("text"), left_out)
    }

    #[test]
    fn columns_align_and_control_characters_are_shown() {
        let expected = "\
account     name         score  status
acme        Acme & Sons    9.2  red
a\\u{1b}[31m  Ünder        100.0  -
";
        let expected = expected.replace("acme        ", "acme         ");
        let expected = expected.replace("account     ", "account      ");
        assert_eq!(written(None, false), (expected, Vec::new()));
    }

    #[test]
    fn bands_have_colours_only_where_they_are_wanted() {
        assert!(!written(None, false).0.contains('\u{1b}'));
        let coloured = written(None, true).0;
        assert!(coloured.contains("\u{1b}[31mred\u{1b}[0m"), "{coloured}");
        assert!(!coloured.contains("\u{1b}[31m\u{1b}"), "{coloured}");
    }

    #[test]
    fn a_narrow_terminal_loses_columns_by_rank() {
        let (text, left_out) = written(Some(30), false);
        assert_eq!(left_out, ["name"]);
        assert!(!text.contains("Acme &") && text.contains("acme"), "{text}");
        assert!(text.lines().all(|line| text_width(line) <= 30), "{text}");
    }

    #[test]
    fn times_are_as_long_as_people_need() {
        let time_us = 1_740_787_200_123_456;
        assert_eq!(shown_time(time_us), "2025-03-01T00:00:00Z");
        assert_eq!(shown_date(time_us), "2025-03-01");
        assert_eq!(shown_time(-1), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn numbers_lose_a_sign_that_says_nothing() {
        assert_eq!(decimal(Some(-0.04), 1).as_deref(), Some("0.0"));
        assert_eq!(decimal(Some(-0.06), 1).as_deref(), Some("-0.1"));
        assert_eq!(decimal(Some(f64::NAN), 1), None);
        assert_eq!(decimal(None, 1), None);
    }
}
