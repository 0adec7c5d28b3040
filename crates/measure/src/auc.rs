//! How well a score tells two classes apart: the area under the ROC curve.
//!
//! It is the chance that a member of the class has a higher score than one outside of it, where a
//! tie counts one half: the Mann–Whitney statistic U over all pairs. Invariant: pairs are counted in
//! integers and divided once, so the answer depends on neither order nor partitions.

/// The area under the ROC curve of the scores of the class (`positives`) and of the others
/// (`negatives`), or `None` when one of them is empty.
///
/// Scores must not be NaN; ±∞ rank as the greatest and the least. Both slices are sorted. Cost:
/// O(n log n). Source: Hanley and McNeil (1982).
pub fn roc_auc(positives: &mut [f64], negatives: &mut [f64]) -> Option<f64> {
    if positives.is_empty() || negatives.is_empty() {
        return None;
    }
    positives.sort_unstable_by(order);
    negatives.sort_unstable_by(order);
    // Twice the pairs won, so that ties stay whole.
    let mut won = 0u128;
    let (mut below, mut not_above) = (0, 0);
    for &score in positives.iter() {
        while below < negatives.len() && negatives[below] < score {
            below += 1;
        }
        not_above = not_above.max(below);
        while not_above < negatives.len() && negatives[not_above] <= score {
            not_above += 1;
        }
        won += (below + not_above) as u128;
    }
    let pairs = 2 * positives.len() as u128 * negatives.len() as u128;
    Some(won as f64 / pairs as f64)
}

/// By value: the two zeros are equal.
fn order(left: &f64, right: &f64) -> std::cmp::Ordering {
    (left + 0.0).total_cmp(&(right + 0.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn auc(positives: &[f64], negatives: &[f64]) -> Option<f64> {
        roc_auc(&mut positives.to_vec(), &mut negatives.to_vec())
    }

    #[test]
    fn known_answers() {
        // The example of scikit-learn's roc_auc_score: y = 0 0 1 1, score = .1 .4 .35 .8.
        assert_eq!(auc(&[0.35, 0.8], &[0.1, 0.4]), Some(0.75));
        assert_eq!(auc(&[2.0, 3.0], &[0.0, 1.0]), Some(1.0));
        assert_eq!(auc(&[0.0, 1.0], &[2.0, 3.0]), Some(0.0));
        assert_eq!(auc(&[5.0; 3], &[5.0; 4]), Some(0.5));
    }

    #[test]
    fn edges() {
        let infinity = f64::INFINITY;
        assert_eq!(auc(&[], &[1.0]), None);
        assert_eq!(auc(&[1.0], &[]), None);
        assert_eq!(auc(&[infinity], &[f64::MAX]), Some(1.0));
        assert_eq!(auc(&[-infinity], &[f64::MIN]), Some(0.0));
        assert_eq!(auc(&[infinity], &[infinity]), Some(0.5));
        assert_eq!(auc(&[0.0], &[-0.0]), Some(0.5));
        assert_eq!(auc(&[-0.0], &[0.0]), Some(0.5));
    }

    proptest! {
        #[test]
        fn counts_every_pair(
            positives in prop::collection::vec(-5..5i32, 1..40),
            negatives in prop::collection::vec(-5..5i32, 1..40),
        ) {
            let doubles = |scores: &[i32]| scores.iter().copied().map(f64::from).collect::<Vec<_>>();
            let mut won = 0;
            for one in &positives {
                for other in &negatives {
                    won += match one.cmp(other) {
                        std::cmp::Ordering::Greater => 2,
                        std::cmp::Ordering::Equal => 1,
                        std::cmp::Ordering::Less => 0,
                    };
                }
            }
            let expected = f64::from(won) / (2 * positives.len() * negatives.len()) as f64;
            prop_assert_eq!(auc(&doubles(&positives), &doubles(&negatives)), Some(expected));
        }
    }
}
