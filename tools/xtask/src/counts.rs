//! How many tests passed, failed and were skipped, read from what the runners print.
//!
//! Invariant: a run that ended badly never counts as free of failures.

use std::fmt;
use std::ops::AddAssign;

use crate::process::Finished;

/// The outcome of one or several runs. Printed, it is the closing line of `cargo xtask test`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(
            formatter,
            "{passed} passed, {failed} failed, {skipped} skipped"
        )
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl Counts {
    /// The counts of a `cargo nextest run`.
    pub fn of_nextest(finished: &Finished) -> Self {
        let summary = finished.stderr.lines().rev().find_map(nextest_summary);
        Self::checked(summary, finished.success)
    }

    /// The counts of a `cargo test`, whose binaries each print a summary.
    pub fn of_cargo_test(finished: &Finished) -> Self {
        let mut total = None;
        for counts in finished.stdout.lines().filter_map(cargo_test_summary) {
            *total.get_or_insert_with(Self::default) += counts;
        }
        // A workspace without a single doctest prints no summary and succeeds.
        Self::checked(
            total.or(finished.success.then(Self::default)),
            finished.success,
        )
    }

    /// Moves tests that found something missing, and therefore checked nothing, from passed to
    /// skipped.
    pub fn skip_passed(&mut self, count: u64) {
        let moved = count.min(self.passed);
        self.passed -= moved;
        self.skipped += moved;
    }

    /// A run that ended badly without a failed test, or without a summary, is itself one failure:
    /// it did not build, or a test binary died.
    fn checked(summary: Option<Self>, success: bool) -> Self {
        let mut counts = summary.unwrap_or_default();
        if counts.failed == 0 && (summary.is_none() || !success) {
            counts.failed = 1;
        }
        counts
    }
}

/// `     Summary [   2.030s] 3/5 tests run: 1 passed (1 slow), 1 failed, 1 timed out, 2 skipped`
///
/// Tests that never started because the run was interrupted count as skipped.
fn nextest_summary(line: &str) -> Option<Counts> {
    let (_, rest) = line
        .trim_start()
        .strip_prefix("Summary [")?
        .split_once(']')?;
    let (run, outcomes) = rest.split_once(" run: ")?;
    let mut counts = Counts {
        skipped: not_started(run),
        ..Counts::default()
    };
    for part in without_parentheses(outcomes).split(',') {
        match number_and_words(part) {
            Some((number, "passed")) => counts.passed += number,
            Some((number, "skipped")) => counts.skipped += number,
            // failed, timed out, exec failed, setup script failed.
            Some((number, _)) => counts.failed += number,
            None => {}
        }
    }
    Some(counts)
}

/// Of ` 3/5 tests`, the two that did not start; of ` 5 tests`, none.
fn not_started(run: &str) -> u64 {
    let numbers = run
        .split_whitespace()
        .next()
        .and_then(|fraction| fraction.split_once('/'));
    let Some((started, all)) = numbers else {
        return 0;
    };
    match (started.parse::<u64>(), all.parse::<u64>()) {
        (Ok(started), Ok(all)) => all.saturating_sub(started),
        _ => 0,
    }
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s`
fn cargo_test_summary(line: &str) -> Option<Counts> {
    let (_, outcomes) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = Counts::default();
    for part in outcomes.split(';') {
        match number_and_words(part) {
            Some((number, "passed")) => counts.passed += number,
            Some((number, "failed")) => counts.failed += number,
            Some((number, "ignored" | "filtered out")) => counts.skipped += number,
            _ => {}
        }
    }
    Some(counts)
}

fn number_and_words(part: &str) -> Option<(u64, &str)> {
    let (number, words) = part.trim().split_once(' ')?;
    Some((number.parse().ok()?, words.trim()))
}

/// Remarks such as `(1 slow, 2 flaky)` repeat tests that are counted already.
fn without_parentheses(text: &str) -> String {
    let mut depth = 0_u32;
    text.chars()
        .filter(|character| {
            match character {
                '(' => depth += 1,
                ')' => {
                    depth = depth.saturating_sub(1);
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64, skipped: u64) -> Counts {
        Counts {
            passed,
            failed,
            skipped,
        }
    }

    fn finished(success: bool, stdout: &str, stderr: &str) -> Finished {
        Finished {
            success,
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        }
    }

    #[test]
    fn nextest_summaries_of_every_form() {
        let check = |line: &str, expected| assert_eq!(nextest_summary(line), Some(expected));
        check(
            "     Summary [   0.009s] 1 test run: 1 passed, 4 skipped",
            counts(1, 0, 4),
        );
        check(
            "     Summary [   2.030s] 4 tests run: 1 passed, 2 failed, 1 timed out, 1 skipped",
            counts(1, 3, 1),
        );
        check(
            "Summary [ 1.0s] 3/5 tests run: 2 passed (1 slow, 1 leaky), 1 exec failed, 7 skipped",
            counts(2, 1, 9),
        );
        check(
            "     Summary [   0.000s] 0 tests run: 0 passed, 5 skipped",
            counts(0, 0, 5),
        );
    }

    #[test]
    fn other_lines_are_no_summary() {
        for line in [
            "",
            "        PASS [   0.009s] (1/1) a Summary",
            "Summary of it: 3 passed",
        ] {
            assert_eq!(nextest_summary(line), None, "{line}");
            assert_eq!(cargo_test_summary(line), None, "{line}");
        }
    }

    #[test]
    fn cargo_test_adds_up_its_binaries() {
        let stdout = "\
running 4 tests
test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.1s
";
        assert_eq!(
            Counts::of_cargo_test(&finished(false, stdout, "")),
            counts(4, 2, 6)
        );
    }

    #[test]
    fn a_run_that_ended_badly_is_a_failure() {
        let broken_build = finished(false, "", "error: could not compile");
        assert_eq!(Counts::of_nextest(&broken_build), counts(0, 1, 0));
        assert_eq!(Counts::of_cargo_test(&broken_build), counts(0, 1, 0));
        let died = "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(
            Counts::of_cargo_test(&finished(false, died, "")),
            counts(3, 1, 0)
        );
        let silent = finished(true, "", "");
        assert_eq!(
            Counts::of_nextest(&silent),
            counts(0, 1, 0),
            "no summary was understood"
        );
        assert_eq!(
            Counts::of_cargo_test(&silent),
            counts(0, 0, 0),
            "there was no doctest"
        );
    }

    #[test]
    fn a_skip_is_no_pass() {
        let mut total = counts(5, 1, 2);
        total.skip_passed(3);
        assert_eq!(total, counts(2, 1, 5));
        assert_eq!(total.to_string(), "2 passed, 1 failed, 5 skipped");
    }
}
