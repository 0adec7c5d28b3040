//! Who acts: accounts of heavy-tailed size, their users, and the seats they act from.
//!
//! A seat is a user in an account. Most users have one; one in a hundred has a second one in
//! another account, and one in a hundred acts without any account.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::account::Trend;
use super::vocabulary::{country_pick, plan_pick};

/// A user in an account, or in none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub user: u32,
    pub account: Option<u32>,
    pub country: u8,
    weight: f64,
}

/// Everybody, and how active each account is today.
#[derive(Debug)]
pub(super) struct Population {
    pub seats: Vec<Seat>,
    pub plans: Vec<u8>,
    trends: Vec<Trend>,
    activities: Vec<f64>,
    cumulative: Vec<f64>,
}

/// One in this many users has a second seat, and one in this many no account.
const UNUSUAL_USER: u32 = 100;

impl Population {
    /// Draws `accounts` accounts and `users` users for a course of `days`; each at least 1.
    pub(super) fn draw(rng: &mut ChaCha8Rng, accounts: u32, users: u32, days: u32) -> Self {
        let (countries, plans) = (country_pick(), plan_pick());
        let homes: Vec<u8> = (0..accounts)
            .map(|_| countries.pick(rng.random()))
            .collect();
        let mut seats = Vec::with_capacity(users as usize + users as usize / 64);
        for (user, account) in owners(&sizes(rng, accounts, users)).enumerate() {
            let user = user as u32;
            let unusual = rng.random_range(0..UNUSUAL_USER);
            // Nine in ten work where their account sits.
            let abroad = rng.random_range(0..10) == 0;
            let country = if abroad {
                countries.pick(rng.random())
            } else {
                homes[account as usize]
            };
            let weight = draw_weight(rng);
            let account = (unusual != 0).then_some(account);
            seats.push(Seat {
                user,
                account,
                country,
                weight,
            });
            if unusual == 1 && accounts > 1 {
                let other = rng.random_range(0..accounts - 1);
                let other = other + u32::from(Some(other) >= account);
                seats.push(Seat {
                    user,
                    account: Some(other),
                    country,
                    weight: weight * 0.5,
                });
            }
        }
        Self {
            plans: (0..accounts).map(|_| plans.pick(rng.random())).collect(),
            trends: (0..accounts).map(|_| Trend::draw(rng, days)).collect(),
            activities: vec![1.0; accounts as usize],
            cumulative: vec![0.0; seats.len()],
            seats,
        }
    }

    /// Moves every account to `day` of `days` and returns the whole activity of that day.
    /// Days are taken in order, from 0.
    pub(super) fn advance(&mut self, day: u32, days: u32) -> f64 {
        for (activity, trend) in self.activities.iter_mut().zip(&self.trends) {
            *activity = trend.activity(day, days, *activity);
        }
        let mut total = 0.0;
        for (cumulative, seat) in self.cumulative.iter_mut().zip(&self.seats) {
            total += seat.weight * seat.account.map_or(1.0, |a| self.activities[a as usize]);
            *cumulative = total;
        }
        total
    }

    /// Back to the activity before day 0.
    pub(super) fn rewind(&mut self) {
        self.activities.fill(1.0);
    }

    /// A seat, drawn by its weight and today's activity of its account.
    pub(super) fn pick(&self, rng: &mut ChaCha8Rng) -> usize {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let point = rng.random::<f64>() * total;
        let seat = self
            .cumulative
            .partition_point(|cumulative| *cumulative <= point);
        seat.min(self.seats.len() - 1)
    }
}

/// Users of each account: one for everyone, the others dealt by a Pareto distribution with
/// exponent 4/3, whose largest of 5,000 holds some 3 % of all.
fn sizes(rng: &mut ChaCha8Rng, accounts: u32, users: u32) -> Vec<u32> {
    let least = 1.0 / (4.0 * f64::from(accounts));
    let weights: Vec<f64> = (0..accounts)
        .map(|_| {
            let root = rng.random::<f64>().max(least).sqrt();
            1.0 / (root * root.sqrt())
        })
        .collect();
    let total: f64 = weights.iter().sum();
    let each = u32::from(users >= accounts);
    let rest = f64::from(users - each * accounts);
    let (mut running, mut dealt) = (0.0, 0);
    weights
        .iter()
        .map(|weight| {
            running += weight;
            let until = ((running / total * rest).round() as u32).min(rest as u32);
            let size = each + until - dealt;
            dealt = until;
            size
        })
        .collect()
}

/// The account of each user, in order.
fn owners(sizes: &[u32]) -> impl Iterator<Item = u32> + '_ {
    (0..)
        .zip(sizes)
        .flat_map(|(account, size)| (0..*size).map(move |_| account))
}

/// Most users are about equally busy, a few up to ten times as much.
fn draw_weight(rng: &mut ChaCha8Rng) -> f64 {
    1.0 / rng.random::<f64>().max(0.01).sqrt()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rand::SeedableRng;

    use super::*;

    fn population(accounts: u32, users: u32) -> Population {
        Population::draw(&mut ChaCha8Rng::seed_from_u64(7), accounts, users, 180)
    }

    #[test]
    fn sizes_have_a_heavy_tail_and_sum_to_the_users() {
        let mut sizes = sizes(&mut ChaCha8Rng::seed_from_u64(7), 5_000, 70_000);
        assert_eq!(sizes.iter().sum::<u32>(), 70_000);
        sizes.sort_unstable();
        assert!(sizes[0] >= 1);
        let largest: u32 = sizes[4_950..].iter().sum();
        assert!(
            largest > 14_000,
            "the largest hundredth holds {largest} users"
        );
        assert!(
            sizes[2_500] < 10,
            "the median account has {} users",
            sizes[2_500]
        );
    }

    #[test]
    fn fewer_users_than_accounts_leave_some_empty() {
        let population = population(100, 10);
        let users: Vec<u32> = population.seats.iter().map(|seat| seat.user).collect();
        assert_eq!(users.iter().max(), Some(&9));
    }

    #[test]
    fn some_users_have_two_accounts_and_some_none() {
        let population = population(500, 7_000);
        let mut accounts: HashMap<u32, Vec<Option<u32>>> = HashMap::new();
        for seat in &population.seats {
            accounts.entry(seat.user).or_default().push(seat.account);
        }
        assert_eq!(accounts.len(), 7_000);
        let several = accounts.values().filter(|seats| seats.len() == 2).count();
        let none = accounts
            .values()
            .filter(|seats| seats.contains(&None))
            .count();
        assert!(
            (30..140).contains(&several) && (30..140).contains(&none),
            "{several}, {none}"
        );
        assert!(
            accounts
                .values()
                .all(|seats| seats.len() == 1 || seats[0] != seats[1])
        );
    }

    #[test]
    fn seats_without_activity_are_never_drawn() {
        let mut population = population(3, 30);
        population.trends = vec![Trend::Steady, Trend::Decaying { onset: 0 }, Trend::Steady];
        for day in 0..150 {
            population.advance(day, 180);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..5_000 {
            assert_ne!(population.seats[population.pick(&mut rng)].account, Some(1));
        }
    }
}
