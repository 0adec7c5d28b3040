//! What is wrong with the text of a model, line by line.

use std::fmt;

/// Most faults that are told at once; the rest is counted.
const FAULTS_MAX: usize = 100;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelFault {
    /// Where, from 1; 0 where it is no one line's.
    pub line: usize,
    /// What, and what is expected instead.
    pub message: String,
}

impl fmt::Display for ModelFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => formatter.write_str(&self.message),
            line => write!(formatter, "line {line}: {}", self.message),
        }
    }
}

/// Everything that is wrong, in line order; one at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelFaults(pub Vec<ModelFault>);

impl ModelFaults {
    /// Puts faults in order; past the hundredth they are only counted.
    pub(super) fn of(mut faults: Vec<ModelFault>) -> Self {
        faults.sort();
        faults.dedup();
        let untold = faults.len().saturating_sub(FAULTS_MAX);
        if untold > 0 {
            faults.truncate(FAULTS_MAX);
            let line = faults.last().map_or(1, |fault| fault.line);
            let message = format!("from here on there are {untold} more faults");
            faults.push(ModelFault { line, message });
        }
        Self(faults)
    }
}

impl fmt::Display for ModelFaults {
    /// One fault a line.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ModelFaults {}
