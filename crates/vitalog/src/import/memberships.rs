//! Which account a user belonged to at a time, as the `$group` events of an import tell it.

use std::collections::HashMap;

/// Most users remembered, and most accounts, about 150 MB of memory each; what comes later is not
/// remembered.
pub const USERS_MAX: usize = 1 << 20;

/// Most memberships remembered of one user: the latest ones.
pub const MEMBERSHIPS_PER_USER_MAX: usize = 8;

/// The latest `$group` of each user before a time, over all files of one import.
///
/// Only what was read before counts: where a `$group` stands behind the events that it explains,
/// they have no account.
#[derive(Debug, Default)]
pub struct Memberships {
    /// Time and account (an index), the earliest first.
    of_user: HashMap<String, Vec<(i64, u32)>>,
    accounts: Vec<String>,
    account_indexes: HashMap<String, u32>,
}

impl Memberships {
    /// Nobody belongs anywhere.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that a `$group` event made `user` a member of `account` at `time_us`.
    pub fn note(&mut self, user: &str, account: &str, time_us: i64) {
        if !self.of_user.contains_key(user) && self.of_user.len() >= USERS_MAX {
            return;
        }
        let Some(account) = self.account_index(account) else {
            return;
        };
        let memberships = self.of_user.entry(user.to_owned()).or_default();
        let position = memberships.partition_point(|(since_us, _)| *since_us <= time_us);
        memberships.insert(position, (time_us, account));
        if memberships.len() > MEMBERSHIPS_PER_USER_MAX {
            memberships.remove(0);
        }
    }

    /// The account of the user's latest `$group` at or before `time_us`.
    #[must_use]
    pub fn account_at(&self, user: &str, time_us: i64) -> Option<&str> {
        let memberships = self.of_user.get(user)?;
        let position = memberships.partition_point(|(since_us, _)| *since_us <= time_us);
        let (_, account) = memberships.get(position.checked_sub(1)?)?;
        Some(&self.accounts[*account as usize])
    }

    fn account_index(&mut self, account: &str) -> Option<u32> {
        if let Some(index) = self.account_indexes.get(account) {
            return Some(*index);
        }
        if self.accounts.len() >= USERS_MAX {
            return None;
        }
        let index = self.accounts.len() as u32;
        self.accounts.push(account.to_owned());
        self.account_indexes.insert(account.to_owned(), index);
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_before_the_event_wins_whatever_the_order() {
        let mut memberships = Memberships::new();
        memberships.note("u", "second", 20);
        memberships.note("u", "first", 10);
        assert_eq!(memberships.account_at("u", 9), None);
        assert_eq!(memberships.account_at("u", 10), Some("first"));
        assert_eq!(memberships.account_at("u", 19), Some("first"));
        assert_eq!(memberships.account_at("u", 99), Some("second"));
        assert_eq!(memberships.account_at("v", 99), None);
        memberships.note("u", "third", 20);
        assert_eq!(memberships.account_at("u", 20), Some("third"));
    }

    #[test]
    fn of_one_user_only_the_latest_are_kept() {
        let mut memberships = Memberships::new();
        for time in 0..100 {
            memberships.note("u", &format!("a{time}"), time);
        }
        assert_eq!(memberships.account_at("u", 91), None);
        assert_eq!(memberships.account_at("u", 92), Some("a92"));
        assert_eq!(memberships.account_at("u", 500), Some("a99"));
    }
}
