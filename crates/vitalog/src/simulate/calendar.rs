//! How many events each day gets: weekdays many, weekends few, in all exactly as many as asked.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Monday to Sunday.
const WEEKDAY_SHARES: [f64; 7] = [1.0, 1.05, 1.05, 1.0, 0.9, 0.2, 0.15];

/// 0 for Monday of a day counted since 1970-01-01, which was a Thursday.
pub(super) fn weekday(day: i32) -> usize {
    (day + 3).rem_euclid(7) as usize
}

/// The share of a usual working day that falls on `day`.
pub(super) fn weekday_share(day: i32) -> f64 {
    WEEKDAY_SHARES[weekday(day)]
}

/// Deals `rows` over days: by weekday, by the whole activity of each day, and by chance (±5 %).
/// The sum is exactly `rows`.
pub(super) fn deal_rows(
    rng: &mut ChaCha8Rng,
    rows: u64,
    first_day: i32,
    activities: &[f64],
) -> Vec<u64> {
    let weights: Vec<f64> = (first_day..)
        .zip(activities)
        .map(|(day, activity)| {
            weekday_share(day) * activity.max(f64::MIN_POSITIVE) * rng.random_range(0.95..1.05)
        })
        .collect();
    let total: f64 = weights.iter().sum();
    let (mut running, mut dealt) = (0.0, 0);
    let last = weights.len() - 1;
    let deal = |(index, weight)| {
        running += weight;
        let share = (running / total * rows as f64) as u64;
        let until = if index == last { rows } else { share.min(rows) };
        let day_rows = until - dealt;
        dealt = until;
        day_rows
    };
    weights.into_iter().enumerate().map(deal).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn weekdays_are_known() {
        // 1970-01-01 was a Thursday, 2025-03-01 (day 20,148) a Saturday.
        assert_eq!((weekday(0), weekday(20_148), weekday(-1)), (3, 5, 2));
    }

    #[test]
    fn every_row_is_dealt_and_weekends_are_thin() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for rows in [0, 1, 99, 1_000_003] {
            let dealt = deal_rows(&mut rng, rows, 20_000, &[1.0; 28]);
            assert_eq!(dealt.iter().sum::<u64>(), rows);
        }
        let dealt = deal_rows(&mut rng, 1_000_000, 20_000, &[1.0; 28]);
        for (day, rows) in (20_000..).zip(dealt) {
            assert_eq!(weekday(day) >= 5, rows < 20_000, "day {day}: {rows}");
        }
    }
}
