//! `repair`: makes a damaged store open again; what is damaged is set aside, never deleted.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use vitalog_event::day_start_us;
use vitalog_store::{Clock, Loss, RepairReport, Store, SystemClock, repair_directory};

use super::grid::{Cell, Grid, Heading, shown_date};
use super::local::{Missing, open_directory};
use super::progress::{bar, count};
use crate::config::Config;
use crate::sql::screen;

pub(super) fn run(data: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    let directory = open_directory(data, Missing::Refuse)?;
    let bar = bar("repairing", None, true);
    let report = repair_directory(&directory, |file| {
        bar.inc(directory.len(file).unwrap_or(0));
        bar.set_message(file.to_owned());
    });
    bar.finish_and_clear();
    let report = report?;
    let mut out = io::stdout().lock();
    write_report(&mut out, &report)?;
    // The proof: it opens.
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (store, _) = Store::open(directory, config.store(), clock)
        .with_context(|| format!("{} does not open yet", data.display()))?;
    let seq = store.snapshot().seq();
    store.close()?;
    writeln!(out, "the store opens, up to seq {seq}")?;
    Ok(ExitCode::SUCCESS)
}

fn write_report(out: &mut dyn Write, report: &RepairReport) -> io::Result<()> {
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    if report.findings.is_empty() {
        return writeln!(out, "nothing is damaged");
    }
    for finding in &report.findings {
        writeln!(out, "found: {}: {}", finding.file, finding.problem)?;
    }
    let mut grid = Grid::new(&[
        Heading::left("file", 0),
        Heading::left("kept in", 1),
        Heading::left("lost", 0),
    ]);
    for finding in &report.findings {
        grid.push(vec![
            Cell::new(&finding.file),
            Cell::new(finding.kept_in.as_deref().unwrap_or("it is missing")),
            Cell::new(
                finding
                    .lost
                    .as_ref()
                    .map_or("nothing known".to_owned(), lost),
            ),
        ]);
    }
    grid.write(out, screen())?;
    Ok(())
}

/// "60 events, seq 61 to 120, 5 days from 2025-03-01 to 2025-03-05"
fn lost(loss: &Loss) -> String {
    let mut text = format!("{} events", count(loss.rows));
    if let Some((from, to)) = loss.seqs {
        text.push_str(&format!(", seq {from} to {to}"));
    }
    if let (Some(&first), Some(&last)) = (loss.days.first(), loss.days.last()) {
        let date = |day| shown_date(day_start_us(day));
        let days = loss.days.len();
        text.push_str(&format!(
            ", {days} days from {} to {}",
            date(first),
            date(last)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use vitalog_store::Finding;

    use super::*;

    #[test]
    fn a_report_names_what_was_found_kept_and_lost() {
        let written = |report: &RepairReport| {
            let mut out = Vec::new();
            write_report(&mut out, report).expect("a vector takes it");
            String::from_utf8(out).expect("text")
        };
        assert_eq!(written(&RepairReport::default()), "nothing is damaged\n");
        let finding = Finding {
            file: "segments/7.arrow".to_owned(),
            problem: "damaged at byte 5: no".to_owned(),
            kept_in: Some("quarantine/segments-7.arrow".to_owned()),
            lost: Some(Loss {
                rows: 1_200,
                days: [20_148, 20_150].into(),
                seqs: Some((61, 1_260)),
            }),
        };
        let text = written(&RepairReport {
            findings: vec![finding],
            notes: vec!["a note".to_owned()],
            seq: 1_300,
        });
        for part in [
            "note: a note",
            "found: segments/7.arrow: damaged at byte 5: no",
            "quarantine/segments-7.arrow",
            "1,200 events, seq 61 to 1260, 2 days from 2025-03-01 to 2025-03-03",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }
}
