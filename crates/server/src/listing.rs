//! Lists of named versions, in pages: what models and views have in common.

use prost::Message;

use crate::fault::{Fault, Reason};
use crate::limits::{PAGE_BYTES, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::token::{self, TokenKind};

/// A name and a version: what lists are in order of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub(crate) struct Key {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint32, tag = "2")]
    pub version: u32,
}

/// What of a list is wanted.
pub(crate) struct Wanted {
    pub name: Option<String>,
    pub current_only: bool,
    pub page_size: u32,
    pub page_token: String,
}

/// Something that has versions.
pub(crate) trait Versioned {
    /// Its name and version.
    fn key(&self) -> Key;
    /// Whether it is in force.
    fn is_current(&self) -> bool;
}

/// The page of `all` that `wanted` asks for, and the token of the next one, empty on the last. The
/// rows of `message_of` may be long: a page ends before it passes [`PAGE_BYTES`].
pub(crate) fn page<T: Versioned, M: Message>(
    kind: TokenKind,
    mut all: Vec<T>,
    wanted: &Wanted,
    message_of: impl Fn(T) -> Result<M, Fault>,
) -> Result<(Vec<M>, String), Fault> {
    let rows_max = rows_of(
        wanted.page_size,
        "page_size",
        PAGE_ROWS_DEFAULT,
        PAGE_ROWS_MAX,
    )?;
    let after: Option<Key> = match wanted.page_token.as_str() {
        "" => None,
        text => Some(token::open(kind, "page_token", text)?),
    };
    all.retain(|one| {
        let key = one.key();
        wanted.name.as_ref().is_none_or(|name| *name == key.name)
            && (!wanted.current_only || one.is_current())
            && after.as_ref().is_none_or(|after| key > *after)
    });
    all.sort_by_key(Versioned::key);
    let (mut messages, mut bytes, mut last) = (Vec::new(), 0, None);
    for one in all {
        let key = one.key();
        let message = message_of(one)?;
        bytes += message.encoded_len();
        let is_full = messages.len() == rows_max || bytes > PAGE_BYTES && !messages.is_empty();
        if let (true, Some(last)) = (is_full, &last) {
            return Ok((messages, token::seal(kind, last)));
        }
        messages.push(message);
        last = Some(key);
    }
    Ok((messages, String::new()))
}

/// Whether `token` names a place in a list of this kind.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn is_place(kind: TokenKind, token: &str) -> bool {
    token::open::<Key>(kind, "page_token", token).is_ok()
}

/// The number of rows that a request wants, where 0 means `default`.
pub(crate) fn rows_of(
    wanted: u32,
    field: &str,
    default: usize,
    limit: usize,
) -> Result<usize, Fault> {
    match wanted as usize {
        0 => Ok(default),
        rows if rows <= limit => Ok(rows),
        rows => {
            let message = format!("is {rows}, at most {limit} are given");
            Err(Fault::of_field(Reason::InvalidRequest, field, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct One(&'static str, u32, bool);

    impl Versioned for One {
        fn key(&self) -> Key {
            Key {
                name: self.0.to_owned(),
                version: self.1,
            }
        }

        fn is_current(&self) -> bool {
            self.2
        }
    }

    const ALL: [One; 5] = [
        One("b", 2, true),
        One("a", 10, true),
        One("a", 9, false),
        One("b", 1, false),
        One("ab", 1, true),
    ];

    fn pages(mut wanted: Wanted) -> Vec<Vec<(String, u32)>> {
        let mut pages = Vec::new();
        loop {
            let (rows, next) = page(
                TokenKind::Models,
                ALL.to_vec(),
                &wanted,
                |one| Ok(one.key()),
            )
            .expect("a page");
            let rows = rows.into_iter().map(|key| (key.name, key.version));
            pages.push(rows.collect());
            if next.is_empty() {
                return pages;
            }
            wanted.page_token = next;
        }
    }

    fn wanted(page_size: u32) -> Wanted {
        Wanted {
            name: None,
            current_only: false,
            page_size,
            page_token: String::new(),
        }
    }

    #[test]
    fn pages_hold_everything_once_in_order() {
        let key = |name: &str, version| (name.to_owned(), version);
        let ordered = [
            key("a", 9),
            key("a", 10),
            key("ab", 1),
            key("b", 1),
            key("b", 2),
        ];
        for size in 1..7 {
            let pages = pages(wanted(size));
            assert_eq!(pages.concat(), ordered, "{size}");
            assert_eq!(pages.len(), ordered.len().div_ceil(size as usize), "{size}");
        }
        let of_name = Wanted {
            name: Some("b".to_owned()),
            ..wanted(0)
        };
        assert_eq!(pages(of_name).concat(), [key("b", 1), key("b", 2)]);
        let current = Wanted {
            current_only: true,
            ..wanted(1)
        };
        assert_eq!(
            pages(current).concat(),
            [key("a", 10), key("ab", 1), key("b", 2)]
        );
    }

    #[test]
    fn too_many_rows_are_refused() {
        let fault = rows_of(1_001, "page_size", 100, 1_000).expect_err("too many");
        assert_eq!(fault.reason, Reason::InvalidRequest);
        assert_eq!(rows_of(1_000, "page_size", 100, 1_000), Ok(1_000));
        assert_eq!(rows_of(0, "page_size", 100, 1_000), Ok(100));
    }
}
