//! How the sections of a scan are dealt to its partitions.

use std::sync::Arc;

use vitalog_store::StoredSection;

/// Sections in time order, one list a partition.
#[derive(Clone, Debug)]
pub(crate) struct SectionGroups {
    pub groups: Vec<Vec<Arc<StoredSection>>>,
    /// Whether the rows of each partition are in the order of the store's files.
    pub is_ordered: bool,
}

impl SectionGroups {
    /// Deals `sections` (in time order) to at most `partitions` groups. At least one group, which
    /// may be empty.
    ///
    /// Few sections get a partition each, which keeps the order that files have. More are cut into
    /// spans of time with about equally many rows.
    pub fn deal(sections: Vec<Arc<StoredSection>>, partitions: usize) -> Self {
        let partitions = partitions.max(1);
        if sections.len() <= partitions {
            let is_ordered = sections.iter().all(|section| section.is_in_file());
            let mut groups: Vec<_> = sections.into_iter().map(|section| vec![section]).collect();
            if groups.is_empty() {
                groups.push(Vec::new());
            }
            return Self { groups, is_ordered };
        }
        let rows: Vec<usize> = sections.iter().map(|section| section.rows()).collect();
        let mut sections = sections.into_iter();
        let groups = spans(&rows, partitions)
            .into_iter()
            .map(|length| sections.by_ref().take(length).collect())
            .collect();
        Self {
            groups,
            is_ordered: false,
        }
    }
}

/// Lengths of at most `count` spans over `weights`, none empty: each ends at the item that brings
/// the running sum closest to its share.
fn spans(weights: &[usize], count: usize) -> Vec<usize> {
    let total: usize = weights.iter().sum();
    let mut lengths = Vec::with_capacity(count);
    let (mut start, mut sum) = (0, 0);
    for span in 1..=count.min(weights.len()) {
        let is_last = span == count;
        let share = total * span / count;
        // One item at least for this span, and one for each after it.
        let last_end = weights.len() - (count - span).min(weights.len() - start - 1);
        let mut end = start;
        while end < last_end {
            let next = sum + weights[end];
            let is_nearer = next.abs_diff(share) <= sum.abs_diff(share);
            if end > start && !is_last && !is_nearer {
                break;
            }
            sum = next;
            end += 1;
        }
        lengths.push(end - start);
        start = end;
    }
    lengths
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_balanced() {
        assert_eq!(spans(&[10, 10, 10, 10], 2), [2, 2]);
        assert_eq!(spans(&[100, 1, 1, 1], 2), [1, 3]);
        assert_eq!(spans(&[1, 1, 1, 100], 2), [3, 1]);
        assert_eq!(spans(&[5, 5, 5], 3), [1, 1, 1]);
    }

    proptest! {
        #[test]
        fn spans_cover_everything_once(
            weights in proptest::collection::vec(1..1000usize, 1..40),
            count in 1..10usize,
        ) {
            let lengths = spans(&weights, count);
            prop_assert!(lengths.len() <= count);
            prop_assert!(lengths.iter().all(|&length| length > 0));
            prop_assert_eq!(lengths.iter().sum::<usize>(), weights.len());
        }
    }
}
