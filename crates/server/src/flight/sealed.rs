//! What clients carry for the server: tickets, handles of prepared statements, session cookies.
//!
//! Each is a message with its kind before it and a checksum behind it. The checksum finds what was
//! cut or mixed up; it proves nothing, so whatever is read here is checked like a request. Because
//! clients carry them, a restart or another connection does not end them.

use bytes::Bytes;
use prost::Message;

use crate::fault::{Fault, Reason};
use crate::token::hash;

const CHECKSUM_BYTES: usize = 8;

/// What a sealed message is for; one kind is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ticket = b'T' as isize,
    Handle = b'H' as isize,
    Session = b'S' as isize,
}

/// One statement with its values, at one point of the log.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StatementTicket {
    #[prost(string, tag = "1")]
    pub sql: String,
    #[prost(message, optional, tag = "2")]
    pub values: Option<SealedValues>,
    /// The last seq that is seen.
    #[prost(int64, tag = "3")]
    pub seq: i64,
    /// Names what runs for the ticket, to cancel it.
    #[prost(string, tag = "4")]
    pub id: String,
}

/// A prepared statement.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Handle {
    #[prost(string, tag = "1")]
    pub sql: String,
    #[prost(message, optional, tag = "2")]
    pub values: Option<SealedValues>,
    /// Unlike that of any other handle.
    #[prost(string, tag = "3")]
    pub id: String,
}

/// The values of placeholders: the parts of one Arrow record batch of one row.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct SealedValues {
    #[prost(bytes = "bytes", tag = "1")]
    pub schema: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub header: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub body: Bytes,
}

/// What a session was told.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct SessionCookie {
    #[prost(int64, optional, tag = "1")]
    pub as_of_seq: Option<i64>,
}

/// `message` as bytes of `kind`.
pub(super) fn seal(kind: Kind, message: &impl Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + message.encoded_len() + CHECKSUM_BYTES);
    bytes.push(kind as u8);
    bytes.extend(message.encode_to_vec());
    with_checksum(bytes)
}

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = hash(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// Any bytes with their checksum: who knows it can make them.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn forged(bytes: &[u8]) -> Vec<u8> {
    with_checksum(bytes.to_vec())
}

/// The message of `bytes`, which came in `field`.
///
/// # Errors
/// It was not sealed as this kind.
pub(super) fn open<M: Message + Default>(
    kind: Kind,
    field: &str,
    bytes: &Bytes,
) -> Result<M, Fault> {
    message_of(kind, bytes).ok_or_else(|| {
        let message = "was not made by this server for this call; send it as it was received";
        Fault::of_field(Reason::InvalidToken, field, message)
    })
}

fn message_of<M: Message + Default>(kind: Kind, bytes: &Bytes) -> Option<M> {
    let end = bytes.len().checked_sub(CHECKSUM_BYTES)?;
    let content = bytes.slice(..end);
    if hash(&content).to_le_bytes() != bytes[end..] || content.first() != Some(&(kind as u8)) {
        return None;
    }
    M::decode(content.slice(1..)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticket() -> StatementTicket {
        StatementTicket {
            sql: "SELECT 1".to_owned(),
            values: Some(SealedValues {
                body: Bytes::from_static(b"body"),
                ..SealedValues::default()
            }),
            seq: 7,
            id: "id".to_owned(),
        }
    }

    #[test]
    fn a_ticket_comes_back_and_no_other_bytes_do() {
        let sealed = Bytes::from(seal(Kind::Ticket, &ticket()));
        let read = |kind, bytes: &Bytes| open::<StatementTicket>(kind, "ticket", bytes);
        assert_eq!(read(Kind::Ticket, &sealed), Ok(ticket()));
        assert!(read(Kind::Handle, &sealed).is_err(), "another kind");
        for cut in 0..sealed.len() {
            assert!(read(Kind::Ticket, &sealed.slice(..cut)).is_err(), "{cut}");
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.to_vec();
            changed[at] ^= 1;
            assert!(read(Kind::Ticket, &changed.into()).is_err(), "{at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            // With a right checksum, too: anyone can make one.
            let mut sealed = vec![Kind::Ticket as u8];
            sealed.extend(&bytes);
            let checksum = hash(&sealed);
            sealed.extend(checksum.to_le_bytes());
            let _ = open::<StatementTicket>(Kind::Ticket, "ticket", &sealed.into());
            let fault = open::<Handle>(Kind::Handle, "handle", &bytes.into());
            prop_assert!(fault.is_err_and(|fault| fault.reason == Reason::InvalidToken));
        }
    }
}
