//! Accounts that use the product well and are red all the same: what a score alone does not show.

use std::io::Write;

use crate::command::grid::{Cell, Grid, Heading, decimal};
use crate::command::health::Question;
use crate::command::health::board::Board;
use crate::command::health::standing::Standing;
use crate::command::source::{Source, quoted};
use crate::sql::screen;

/// Writes those whose score is green and whose status is red, with the signals that make them so;
/// nothing where there is none.
///
/// # Errors
/// The statement or the output fails.
pub(super) fn write_red_in_spite(
    source: &Source,
    question: &Question,
    board: &Board,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let is_in_spite = |one: &&Standing| {
        one.band.as_deref() == Some("green") && one.status.as_deref() == Some("red")
    };
    let found: Vec<&Standing> = board.standings().filter(is_in_spite).collect();
    if found.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = found.iter().map(|one| quoted(&one.id())).collect();
    let signals = source.ask(&format!(
        "SELECT account_id, dimension, signal, \"value\" FROM {} \
         WHERE band = 'red' AND NOT is_info AND account_id IN ({}) ORDER BY dimension, signal",
        question.call("account_signals", &[]),
        ids.join(", ")
    ))?;
    let (dimensions, names) = (signals.texts("dimension")?, signals.texts("signal")?);
    let (accounts, values) = (signals.texts("account_id")?, signals.numbers("value")?);
    writeln!(out, "\nRed in spite of a green score\n")?;
    let mut grid = Grid::new(&[
        Heading::left("account", 0),
        Heading::right("score", 0),
        Heading::left("because of", 0),
    ]);
    for one in found {
        let of_account = (0..signals.len()).filter(|row| accounts[*row] == one.account_id);
        let reasons: Vec<String> = of_account
            .map(|row| {
                let part = |text: &Option<String>| text.clone().unwrap_or_default();
                let value = decimal(values[row], 0).unwrap_or_default();
                format!("{}: {} {value}", part(&dimensions[row]), part(&names[row]))
            })
            .collect();
        grid.push(vec![
            Cell::new(one.shown_name()),
            Cell::of(decimal(one.score, 1)),
            Cell::new(reasons.join(", ")),
        ]);
    }
    grid.write(out, screen())?;
    Ok(())
}
