//! What a model would change: the old and the new score, band and status of each entity.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::command::grid::{Cell, Grid, Heading, Paint, decimal, signed};
use crate::command::keeper::Checked;
use crate::command::progress::count;
use crate::command::rows::Rows;
use crate::sql::Screen;

/// One entity before and after; `None` where that version does not score it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::command) struct Difference {
    pub account_id: Option<String>,
    pub user_id: Option<String>,
    pub score: (Option<f64>, Option<f64>),
    pub band: (Option<String>, Option<String>),
    pub status: (Option<String>, Option<String>),
}

impl Difference {
    /// The rows of a check, in their order.
    pub fn read(rows: &Rows) -> anyhow::Result<Vec<Self>> {
        let accounts = rows.texts("account_id")?.into_iter();
        let mut users = rows.texts("user_id")?.into_iter();
        let (mut old, mut new) = (
            rows.numbers("old_score")?.into_iter(),
            rows.numbers("new_score")?.into_iter(),
        );
        let (mut old_band, mut new_band) = (
            rows.texts("old_band")?.into_iter(),
            rows.texts("new_band")?.into_iter(),
        );
        let (mut old_status, mut new_status) = (
            rows.texts("old_status")?.into_iter(),
            rows.texts("new_status")?.into_iter(),
        );
        let differences = accounts.map(|account_id| Self {
            account_id,
            user_id: users.next().flatten(),
            score: (old.next().flatten(), new.next().flatten()),
            band: (old_band.next().flatten(), new_band.next().flatten()),
            status: (old_status.next().flatten(), new_status.next().flatten()),
        });
        Ok(differences.collect())
    }

    /// Whether score, band or status changes.
    pub fn is_change(&self) -> bool {
        self.score.0 != self.score.1 || self.band.0 != self.band.1 || self.status.0 != self.status.1
    }

    fn entity(&self) -> String {
        let ids = [&self.account_id, &self.user_id];
        let known: Vec<&str> = ids.into_iter().flatten().map(String::as_str).collect();
        known.join(" / ")
    }
}

const HEADINGS: [Heading; 6] = [
    Heading::left("entity", 0),
    Heading::right("old", 0),
    Heading::right("new", 0),
    Heading::right("change", 1),
    Heading::left("band", 2),
    Heading::left("status", 0),
];

/// Writes the table, those without a change only with `shows_all`, and what it comes to.
pub(super) fn write_differences(
    out: &mut dyn Write,
    checked: &Checked,
    shows_all: bool,
    screen: Screen,
) -> io::Result<()> {
    let all = checked.differences.iter();
    let shown: Vec<&Difference> = all.filter(|one| shows_all || one.is_change()).collect();
    if !shown.is_empty() {
        let mut grid = Grid::new(&HEADINGS);
        for one in &shown {
            grid.push(cells(one));
        }
        grid.write(out, screen)?;
        writeln!(out)?;
    }
    let wanted = if shows_all {
        checked.total
    } else {
        checked.changed
    };
    let untold = wanted.saturating_sub(shown.len() as u64);
    if untold > 0 {
        writeln!(out, "… and {} more", count(untold))?;
    }
    let (changed, total) = (count(checked.changed), count(checked.total));
    writeln!(out, "{changed} of {total} would change")?;
    for (what, moves) in [
        ("band", moves(&shown, |one| &one.band)),
        ("status", moves(&shown, |one| &one.status)),
    ] {
        if !moves.is_empty() {
            writeln!(out, "{what}: {}", moves.join(", "))?;
        }
    }
    Ok(())
}

fn cells(one: &Difference) -> Vec<Cell> {
    let (old, new) = one.score;
    let change = old.zip(new).map(|(old, new)| new - old);
    let mut change_cell = Cell::of(decimal(change, 1).map(|text| signed(&text)));
    if change.is_some_and(|change| change < 0.0) {
        change_cell = change_cell.with(Paint::Red);
    }
    vec![
        Cell::new(one.entity()),
        Cell::of(decimal(old, 1)),
        Cell::of(decimal(new, 1)),
        change_cell,
        move_cell(&one.band),
        move_cell(&one.status),
    ]
}

/// `green → red` in the colour of what it becomes, or the one word where nothing changes.
fn move_cell((old, new): &(Option<String>, Option<String>)) -> Cell {
    if old == new {
        return Cell::band(new.as_deref());
    }
    let cell = Cell::new(shown_move(old.as_deref(), new.as_deref()));
    match new.as_deref().and_then(Paint::of_band) {
        Some(paint) => cell.with(paint),
        None => cell,
    }
}

fn shown_move(old: Option<&str>, new: Option<&str>) -> String {
    format!("{} → {}", old.unwrap_or("none"), new.unwrap_or("none"))
}

/// How often each move occurs, the most frequent first.
fn moves(
    differences: &[&Difference],
    of: impl Fn(&Difference) -> &(Option<String>, Option<String>),
) -> Vec<String> {
    let mut counts: BTreeMap<(Option<&str>, Option<&str>), usize> = BTreeMap::new();
    for one in differences {
        let (old, new) = of(one);
        if old != new {
            *counts.entry((old.as_deref(), new.as_deref())).or_default() += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let shown = counts.into_iter();
    shown
        .map(|((old, new), count)| format!("{count} {}", shown_move(old, new)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(id: &str, score: (f64, f64), status: (&str, &str)) -> Difference {
        Difference {
            account_id: Some(id.to_owned()),
            user_id: None,
            score: (Some(score.0), Some(score.1)),
            band: (Some("green".to_owned()), Some("green".to_owned())),
            status: (Some(status.0.to_owned()), Some(status.1.to_owned())),
        }
    }

    fn written(shows_all: bool) -> String {
        let mut gone = difference("gone", (90.0, 0.0), ("green", "green"));
        (gone.score.1, gone.band.1, gone.status.1) = (None, None, None);
        let checked = Checked {
            differences: vec![
                difference("worse", (90.0, 85.26), ("green", "red")),
                gone,
                difference("same", (85.0, 85.0), ("green", "green")),
            ],
            total: 3,
            changed: 2,
        };
        let mut out = Vec::new();
        write_differences(&mut out, &checked, shows_all, Screen::default()).expect("a vector");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn only_changes_are_shown_and_counted() {
        let expected = "\
entity   old   new  change  band          status
worse   90.0  85.3    -4.7  green         green → red
gone    90.0     -       -  green → none  green → none

2 of 3 would change
band: 1 green → none
status: 1 green → none, 1 green → red
";
        assert_eq!(written(false), expected);
        assert!(
            written(true).contains("\nsame    85.0  85.0    +0.0"),
            "{}",
            written(true)
        );
    }
}
