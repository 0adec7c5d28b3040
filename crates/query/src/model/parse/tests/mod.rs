//! What the parser takes and what it refuses.

mod accepted;
mod faults;

use super::*;
use crate::model::definition::{Metric, Signal};
use crate::model::threshold::{Bound, Thresholds};

fn thresholds(red: &str, green: &str) -> Option<Thresholds> {
    let bounds = (Bound::parse(red), Bound::parse(green));
    let (Ok(red), Ok(green)) = bounds else {
        panic!("{bounds:?}");
    };
    Some(Thresholds::of(red, green).expect("valid"))
}

fn signal_of<'m>(model: &'m Model, name: &str) -> &'m Signal {
    let mut signals = model
        .dimensions
        .iter()
        .flat_map(|dimension| &dimension.signals);
    signals.find(|signal| signal.name == name).expect(name)
}
