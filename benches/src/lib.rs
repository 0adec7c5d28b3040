//! What the benches share: medians of several rounds, aligned tables, and the machine they ran on.
//!
//! Speeds are read as ratios within one run; a run measures its own yardstick beside.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// How long calls took, in order.
#[derive(Clone, Debug)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Those of at least one call.
    ///
    /// # Panics
    /// Where `times` is empty.
    #[must_use]
    pub fn of(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "nothing was measured");
        times.sort_unstable();
        Self(times)
    }

    /// The time that `percent` of the calls stayed below, 0 to 100.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let Self(times) = self;
        times[(times.len() * percent / 100).min(times.len() - 1)]
    }
}

/// The median time of `rounds` calls, and what the last one returned.
///
/// # Errors
/// The first error of a call.
///
/// # Panics
/// Where `rounds` is 0.
pub fn median<T>(
    rounds: usize,
    mut call: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<(Duration, T)> {
    let mut times = Vec::with_capacity(rounds);
    let mut last = None;
    for _ in 0..rounds {
        let begun = Instant::now();
        last = Some(call()?);
        times.push(begun.elapsed());
    }
    let median = Times::of(times).percentile(50);
    Ok((median, last.expect("at least one round")))
}

/// Milliseconds with two digits.
#[must_use]
pub fn milliseconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

/// `number` a second, with separators.
#[must_use]
pub fn rate(number: u64, time: Duration) -> String {
    let mut digits = format!("{:.0}", number as f64 / time.as_secs_f64());
    let mut at = digits.len();
    while at > 3 {
        at -= 3;
        digits.insert(at, ',');
    }
    digits
}

/// Prints `rows` below `header` as a Markdown table with aligned columns.
pub fn print_table(header: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells
            .chain([header[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let cells: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(at, (cell, &width))| {
                if at == 0 {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            })
            .collect();
        println!("| {} |", cells.join(" | "));
    };
    line(header.to_vec());
    line(widths.iter().map(|_| "---").collect());
    for row in rows {
        line(row.iter().map(String::as_str).collect());
    }
}

/// One line about the machine: cores and processor.
#[must_use]
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim());
    format!("{cores} cores, {model}")
}
