//! The limits of the wire, in one place: what a message may hold, and what keeps a connection.
//!
//! They are constants because clients are written against them; what a deployment may tune stands
//! in [`ServerConfig`](crate::ServerConfig).

use std::time::Duration;

/// Most bytes of one encoded `AppendRequest`.
pub const APPEND_BYTES_MAX: usize = 10 << 20;

/// Most bytes of a message that the event service reads off the wire. Above
/// [`APPEND_BYTES_MAX`], so that a batch slightly too large is answered with its own size; a
/// message past this is refused by its length prefix, before it is read.
pub const EVENT_RECEIVE_BYTES_MAX: usize = 12 << 20;

/// Most bytes of a statement.
pub const SQL_BYTES_MAX: usize = 1 << 20;

/// Most values of placeholders of one statement.
pub const PARAMETERS_MAX: usize = 1_000;

/// Most bytes of the text of a health model.
pub const MODEL_BYTES_MAX: usize = 1 << 20;

/// Most bytes of a message that the other services read off the wire.
pub const RECEIVE_BYTES_MAX: usize = 2 << 20;

/// Most bytes of one message of a stream, so that clients with gRPC's default limit of 4 MiB can
/// read every answer.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// Bytes at which a message of `Read` is closed. One more event, at most 70 KiB, still fits
/// [`MESSAGE_BYTES_MAX`].
pub const READ_MESSAGE_BYTES: usize = 1 << 20;

/// Bytes of Arrow that a message of `Query` aims at.
pub const QUERY_PIECE_BYTES: usize = 2 << 20;

/// Longest `request_id`, in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// Longest message of an error, in bytes: errors travel in HTTP/2 headers, which clients limit.
pub const ERROR_MESSAGE_BYTES_MAX: usize = 1 << 10;

/// Most bytes of the sentences of one error's violations, together.
pub const VIOLATION_BYTES_MAX: usize = 3 << 10;

/// Most rows of a page, of scores or of a list; a request that names none gets
/// [`PAGE_ROWS_DEFAULT`].
pub const PAGE_ROWS_MAX: usize = 1_000;

/// See [`PAGE_ROWS_MAX`].
pub const PAGE_ROWS_DEFAULT: usize = 100;

/// Bytes at which a page is closed before it has its rows.
pub const PAGE_BYTES: usize = 2 << 20;

/// Most rows of each list of a check or of an explanation; a request that names none gets
/// [`LIST_ROWS_DEFAULT`].
pub const LIST_ROWS_MAX: usize = 5_000;

/// See [`LIST_ROWS_MAX`].
pub const LIST_ROWS_DEFAULT: usize = 1_000;

/// Most values of one filter of scores.
pub const FILTER_VALUES_MAX: usize = 100;

/// How old scores may be for a request that does not say.
pub const STALENESS_DEFAULT: Duration = Duration::from_secs(60);

/// Most entities of one picture.
pub const PICTURE_ROWS_MAX: usize = 1_000_000;

/// Most bytes of one picture.
pub const PICTURE_BYTES_MAX: usize = 256 << 20;

/// Most pictures kept.
pub const PICTURES_MAX: usize = 16;

/// Most bytes of all the pictures kept.
pub const PICTURES_BYTES_MAX: usize = 512 << 20;

/// How long a picture is kept that nobody asks for.
pub const PICTURE_IDLE_MAX: Duration = Duration::from_secs(15 * 60);

/// Pictures computed at once; more wait.
pub const PICTURES_COMPUTED_MAX: usize = 4;

/// Between two pings on a connection.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// How long a ping may stay unanswered before the connection is closed.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes that a client may send ahead on one stream, and on one connection, before they are read.
pub const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// See [`STREAM_WINDOW_BYTES`].
pub const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// Bytes of a file that HTTP reads and sends at once.
pub const HTTP_PIECE_BYTES: usize = 256 << 10;

/// Most bytes of a file in one message of `Fetch`.
pub const FETCH_PIECE_BYTES: usize = 1 << 20;
