//! The limits of the wire, in one place: what a message may hold, and what keeps a connection.
//!
//! They are constants because clients are written against them, or because nobody needs to tune
//! them; what a deployment may tune stands in [`ServerConfig`](crate::ServerConfig).

use std::time::Duration;

/// Most bytes of one encoded `AppendRequest`.
pub const APPEND_BYTES_MAX: usize = 10 << 20;

/// Most bytes of a message that the event service reads off the wire. Above
/// [`APPEND_BYTES_MAX`], so that a batch slightly too large is answered with its own size; a
/// message past this is refused by its length prefix, before it is read.
pub const EVENT_RECEIVE_BYTES_MAX: usize = 12 << 20;

/// Bytes of encoded `AppendStreamRequest` messages that one stream may have under way, and so the
/// most bytes of one of them.
pub const STREAM_CREDIT_BYTES: usize = 4 << 20;

/// Most bytes of a message that an append stream reads off the wire: a message slightly past the
/// credit is answered with its own size.
pub const STREAM_RECEIVE_BYTES_MAX: usize = STREAM_CREDIT_BYTES + (64 << 10);

/// Most events of one batch of an append stream: the random ids of so many fit
/// [`ASSIGNED_BYTES_MAX`].
pub const STREAM_EVENTS_MAX: usize = 64 << 10;

/// Batches of one append stream that are taken and not yet answered; more stay with the client.
pub const STREAM_BATCHES_MAX: usize = 64;

/// Bytes that are kept of what is to be said of batches that are taken and not yet answered, on one
/// append stream; past them no further batch is taken.
pub const STREAM_REMARKS_BYTES: usize = 2 << 20;

/// Encoded bytes at which an answer to an append closes its list of refused events; it counts the
/// others. With [`ASSIGNED_BYTES_MAX`] this keeps every answer below [`MESSAGE_BYTES_MAX`].
pub const REJECTED_BYTES_MAX: usize = 960 << 10;

/// Encoded bytes at which an answer to an append closes its list of ids that were made; it counts
/// the others.
pub const ASSIGNED_BYTES_MAX: usize = 3 << 20;

/// Most bytes of a statement.
pub const SQL_BYTES_MAX: usize = 1 << 20;

/// Most values of placeholders of one statement.
pub const PARAMETERS_MAX: usize = 1_000;

/// Longest id of a statement, in bytes.
pub const QUERY_ID_BYTES_MAX: usize = 128;

/// How long a statement computes without a word before it gives a sign of life.
pub const QUERY_HEARTBEAT: Duration = Duration::from_secs(5);

/// Most bytes of one plan that is explained.
pub const PLAN_BYTES_MAX: usize = 1 << 20;

/// Most statements that are under way or wait for their turn.
pub const STATEMENTS_LISTED_MAX: usize = 1_024;

/// Statements that are remembered after their end.
pub const STATEMENTS_ENDED_MAX: usize = 1_000;

/// Bytes of a statement's text that are kept to be looked at.
pub const STATEMENT_TEXT_BYTES_MAX: usize = 10_000;

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

/// Threads that make what is read, and more where there are more cores; see [`READ_LOOKS_MAX`].
pub const READ_THREADS_MIN: usize = 8;

/// Readers that look at the log at once. Each look takes a thread while it waits for pages, and
/// some of the [`READ_THREADS_MIN`] are left for answers.
pub const READ_LOOKS_MAX: usize = 6;

const _: () = assert!(READ_LOOKS_MAX < READ_THREADS_MIN);

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

/// Most entries of the metadata of a call.
pub const METADATA_ENTRIES_MAX: usize = 128;

/// Most bytes of the metadata of a call, each entry counted with 32 more, as HTTP/2 does. Above
/// what [`METADATA_ENTRIES_MAX`] usual entries need, so that too many are answered with words;
/// past this the answer is HTTP's 431.
pub const METADATA_BYTES_MAX: u32 = 512 << 10;

/// Streams that a client opened and gave up before they were taken, on one connection; more
/// close it.
pub const PENDING_RESETS_MAX: usize = 20;

/// Streams that the server gave up because of a client's faults, on one connection; more close
/// it.
pub const FAULTY_STREAMS_MAX: usize = 256;

/// Bytes of a file that HTTP reads and sends at once.
pub const HTTP_PIECE_BYTES: usize = 256 << 10;

/// Most bytes of a file in one message of `Fetch`.
pub const FETCH_PIECE_BYTES: usize = 1 << 20;

/// Most bytes of a message of Flight SQL that holds a command, a ticket or an action.
pub const FLIGHT_RECEIVE_BYTES_MAX: usize = 4 << 20;

/// Most bytes of one message of an upload over Flight SQL.
pub const FLIGHT_PUT_BYTES_MAX: usize = 64 << 20;

/// Most rows of one batch of an upload over Flight SQL. Keys of a dictionary may have one byte each
/// and become views of 16, so that a batch takes up to 80 bytes a row beside its message.
pub const FLIGHT_BATCH_ROWS_MAX: usize = 1 << 20;

/// Most dictionaries of one upload over Flight SQL.
pub const FLIGHT_DICTIONARIES_MAX: usize = 64;

/// Most bytes of all the dictionaries of one upload over Flight SQL, which are kept to its end.
pub const FLIGHT_DICTIONARIES_BYTES_MAX: usize = 64 << 20;

/// Uploads over Flight SQL at once that are no ingests, or not yet known to be; more wait. With
/// [`FLIGHT_PUT_BYTES_MAX`], [`FLIGHT_BATCH_ROWS_MAX`] and [`FLIGHT_DICTIONARIES_BYTES_MAX`] this
/// and [`FLIGHT_INGESTS_MAX`] bound their memory.
pub const FLIGHT_PUTS_MAX: usize = 16;

/// Ingests over Flight SQL at once; more wait.
pub const FLIGHT_INGESTS_MAX: usize = 16;

/// How long the first message of an upload over Flight SQL may take, and all of one that binds
/// values.
pub const FLIGHT_VALUES_WAIT_MAX: Duration = Duration::from_secs(10);

/// Longest pause between two messages of an ingest over Flight SQL.
pub const FLIGHT_PUT_PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// Most bytes of the values of one prepared statement, as Arrow.
pub const FLIGHT_VALUES_BYTES_MAX: usize = 2 << 20;

/// Most prepared statements whose values are kept for clients that do not carry them.
pub const FLIGHT_BINDINGS_MAX: usize = 4_096;

/// Most bytes of all the values kept.
pub const FLIGHT_BINDINGS_BYTES_MAX: usize = 64 << 20;

/// How long values are kept that nobody asks for.
pub const FLIGHT_BINDING_IDLE_MAX: Duration = Duration::from_secs(15 * 60);
