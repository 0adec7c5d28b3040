//! A page of scores: what passes the filters, or what has changed, cut to size.

use std::cmp::Ordering;

use prost::Message;
use vitalog_wire::vitalog::v1::GetScoresResponse;

use super::filter::Filter;
use super::picture::{Key, Picture};
use super::pin::PageToken;
use crate::limits::PAGE_BYTES;
use crate::token::{TokenKind, seal};

/// What pages are cut from.
pub(super) struct Pages<'a> {
    pub picture: &'a Picture,
    /// Compared with, where only changes are wanted.
    pub earlier: Option<&'a Picture>,
    pub filter: &'a Filter,
    /// The hash of the request.
    pub fingerprint: u64,
}

/// One row of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    /// A row of the picture.
    Score(usize),
    /// A row of the earlier picture.
    Removed(usize),
}

impl Pages<'_> {
    /// The page of at most `rows_max` rows that follows `after`; the first one for `None`.
    pub fn page(&self, after: Option<Key<'_>>, rows_max: usize) -> GetScoresResponse {
        let items = self.items();
        let removed = items.iter().filter(|item| matches!(item, Item::Removed(_)));
        let total_removed = removed.count() as u64;
        let mut page = GetScoresResponse {
            total: items.len() as u64 - total_removed,
            total_removed,
            picture: Some(self.picture.described()),
            earlier: self.earlier.map(Picture::described),
            ..GetScoresResponse::default()
        };
        let start = after.map_or(0, |after| {
            items.partition_point(|&item| self.key(item) <= after)
        });
        let (mut bytes, mut last) = (0, None);
        for (rows, &item) in items[start..].iter().enumerate() {
            if let Some(last) = last
                && (rows == rows_max || bytes > PAGE_BYTES)
            {
                page.next_page_token = self.token_after(last);
                break;
            }
            bytes += self.add(&mut page, item);
            last = Some(item);
        }
        page
    }

    /// Adds a row to the page; returns its bytes.
    fn add(&self, page: &mut GetScoresResponse, item: Item) -> usize {
        match (item, self.earlier) {
            (Item::Removed(row), Some(earlier)) => {
                let id = earlier.id(row);
                let bytes = id.encoded_len();
                page.removed.push(id);
                bytes
            }
            (Item::Score(row) | Item::Removed(row), _) => {
                let score = self.picture.message(row);
                let bytes = score.encoded_len();
                page.scores.push(score);
                bytes
            }
        }
    }

    /// All rows of all pages, ascending.
    fn items(&self) -> Vec<Item> {
        let now = self.filter.passing(self.picture);
        let Some(earlier) = self.earlier else {
            return now.into_iter().map(Item::Score).collect();
        };
        let before = self.filter.passing(earlier);
        let (mut items, mut at) = (Vec::new(), 0);
        for row in now {
            let key = self.picture.key(row);
            let mut is_same = false;
            while let Some(&old) = before.get(at) {
                match earlier.key(old).cmp(&key) {
                    Ordering::Less => items.push(Item::Removed(old)),
                    Ordering::Equal => is_same = !differs(self.picture, row, earlier, old),
                    Ordering::Greater => break,
                }
                at += 1;
            }
            if !is_same {
                items.push(Item::Score(row));
            }
        }
        items.extend(before[at..].iter().map(|&old| Item::Removed(old)));
        items
    }

    fn key(&self, item: Item) -> Key<'_> {
        match (item, self.earlier) {
            (Item::Removed(row), Some(earlier)) => earlier.key(row),
            (Item::Score(row) | Item::Removed(row), _) => self.picture.key(row),
        }
    }

    fn token_after(&self, item: Item) -> String {
        let key = self.key(item);
        let token = PageToken {
            pin: self.picture.pin.clone(),
            earlier: self.earlier.map(|earlier| earlier.pin.clone()),
            account_id: key.account_id.map(str::to_owned),
            user_id: key.user_id.map(str::to_owned),
            fingerprint: self.fingerprint,
        };
        seal(TokenKind::Scores, &token)
    }
}

/// Whether a change is worth telling.
fn differs(picture: &Picture, row: usize, earlier: &Picture, old: usize) -> bool {
    let bits = |score: Option<f64>| score.map(f64::to_bits);
    bits(picture.score(row)) != bits(earlier.score(old))
        || picture.band(row) != earlier.band(old)
        || picture.status(row) != earlier.status(old)
        || picture.stage(row) != earlier.stage(old)
}
