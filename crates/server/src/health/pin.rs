//! What names a picture for good, and the tokens that carry it.
//!
//! Invariant: the same pin always gives the same scores, as long as nothing is erased and no
//! retention passes.

use vitalog_wire::vitalog::v1::Entity;

#[cfg(any(test, feature = "fuzzing"))]
use crate::token::{self, TokenKind};

/// A picture by what it shows.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub(super) struct Pin {
    #[prost(string, tag = "1")]
    pub model: String,
    /// 0 is the built-in model.
    #[prost(uint32, tag = "2")]
    pub version: u32,
    #[prost(enumeration = "Entity", tag = "3")]
    pub entity: i32,
    /// The last seq that is seen.
    #[prost(int64, tag = "4")]
    pub seq: i64,
    /// The instant of the question, exclusive.
    #[prost(int64, tag = "5")]
    pub as_of_us: i64,
    /// Rows received later are not seen.
    #[prost(int64, optional, tag = "6")]
    pub known_at_us: Option<i64>,
}

/// A place in the pages of a request.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PageToken {
    /// The picture of all pages.
    #[prost(message, required, tag = "1")]
    pub pin: Pin,
    /// The picture that is compared with.
    #[prost(message, optional, tag = "2")]
    pub earlier: Option<Pin>,
    /// The last entity of the page before: its account.
    #[prost(string, optional, tag = "3")]
    pub account_id: Option<String>,
    /// And its user.
    #[prost(string, optional, tag = "4")]
    pub user_id: Option<String>,
    /// The hash of the request that the pages answer.
    #[prost(fixed64, tag = "5")]
    pub fingerprint: u64,
}

/// Whether `token` names a picture, or a place in its pages.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn is_place(token: &str) -> bool {
    token::open::<Pin>(TokenKind::Picture, "token", token).is_ok()
        || token::open::<PageToken>(TokenKind::Scores, "page_token", token).is_ok()
}
