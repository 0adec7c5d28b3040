//! Tokens: what the server wants to be told again, as text that clients carry.
//!
//! A token is a message of the server's own, with its kind before it and a checksum behind it, in
//! hexadecimal digits. It names places and holds no rights; the checksum finds tokens that were
//! cut, mixed up or made by hand.

use prost::Message;

use crate::fault::{Fault, Reason};

/// Longest token that is read, in bytes.
const TOKEN_BYTES_MAX: usize = 4 << 10;

const CHECKSUM_BYTES: usize = 8;

/// What a token is for; one kind is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A place in a list of models.
    Models = 1,
    /// A place in a list of views.
    Views = 2,
    /// A place in pages of scores.
    Scores = 3,
    /// A picture.
    Picture = 4,
    /// A place in a list of published snapshots.
    Snapshots = 5,
    /// A place among the files of a published snapshot.
    SnapshotFiles = 6,
    /// A place in a list of imports.
    Imports = 7,
    /// A place in a list of receipts.
    Receipts = 8,
    /// A place in the list of statements.
    Queries = 9,
}

/// `message` as a token.
pub(crate) fn seal(kind: TokenKind, message: &impl Message) -> String {
    let mut bytes = vec![kind as u8];
    bytes.extend(message.encode_to_vec());
    text_of(bytes)
}

/// The token of `bytes`, a kind and a message.
fn text_of(mut bytes: Vec<u8>) -> String {
    let checksum = hash(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A token of any bytes: who knows the checksum can make one.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn forged(bytes: &[u8]) -> String {
    text_of(bytes.to_vec())
}

/// The message of a token that came in `field`.
///
/// # Errors
/// It is no token of this kind.
pub(crate) fn open<M: Message + Default>(
    kind: TokenKind,
    field: &str,
    token: &str,
) -> Result<M, Fault> {
    message_of(kind, token).ok_or_else(|| {
        let message = "is not a token of this call; send it as it was received";
        Fault::of_field(Reason::InvalidToken, field, message)
    })
}

fn message_of<M: Message + Default>(kind: TokenKind, token: &str) -> Option<M> {
    if token.len() > TOKEN_BYTES_MAX || !token.len().is_multiple_of(2) {
        return None;
    }
    let digits: Option<Vec<u8>> = token.bytes().map(digit).collect();
    let bytes: Vec<u8> = digits?
        .chunks_exact(2)
        .map(|pair| (pair[0] << 4) | pair[1])
        .collect();
    let (content, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
    if hash(content).to_le_bytes() != *checksum {
        return None;
    }
    let (&first, message) = content.split_first()?;
    (first == kind as u8).then(|| M::decode(message).ok())?
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// FNV-1a of 64 bits: for telling apart what was not made to look alike.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    #[test]
    fn a_token_comes_back_and_no_other_text_does() {
        let message = Timestamp {
            seconds: 77,
            nanos: 5,
        };
        let token = seal(TokenKind::Scores, &message);
        let read = |kind, text: &str| open::<Timestamp>(kind, "page_token", text);
        assert_eq!(read(TokenKind::Scores, &token), Ok(message));
        assert!(read(TokenKind::Picture, &token).is_err(), "another kind");
        for cut in 0..token.len() {
            assert!(read(TokenKind::Scores, &token[..cut]).is_err(), "{cut}");
        }
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(read(TokenKind::Scores, &changed).is_err(), "{at}");
        }
        for text in ["", "x", "é", "00", &"0".repeat(10_000)] {
            let fault = read(TokenKind::Scores, text).expect_err("no token");
            assert_eq!(fault.reason, Reason::InvalidToken);
        }
    }

    /// The published test vectors of FNV-1a.
    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
