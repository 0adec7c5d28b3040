//! The answer of a statement on its way to a surface.
//!
//! Invariants: it ends without an error only after the last row; what it holds (the turn, the
//! work, the place on the list) is free as soon as it has ended, read to its end or dropped, and
//! at its deadline also where its reader has stopped reading.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use futures::Stream;
use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::AbortOnDropHandle;
use vitalog_query::{Gauge, QueryStream, StatementUsage};

use super::ask::Limits;
use super::past_time;
use super::record::State;
use super::register::Listed;
use crate::fault::{Fault, Reason};

/// What a started statement is made of.
pub(super) struct Parts {
    pub stream: QueryStream,
    pub turn: OwnedSemaphorePermit,
    pub limits: Limits,
    pub received: Instant,
    pub queued: Duration,
}

/// What a statement took, and what it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statistics {
    /// Rows of the answer so far.
    pub rows: u64,
    /// Bytes of the columns of those, before they are encoded.
    pub bytes: u64,
    /// From the arrival of the statement to its end, or to now.
    pub elapsed: Duration,
    /// From the arrival to the turn.
    pub queued: Duration,
    /// The seq up to which the store was seen.
    pub seq: u64,
    pub usage: StatementUsage,
}

/// The rows of a statement, batch by batch. Dropping it ends the statement.
#[must_use = "an answer does nothing unless it is read"]
pub(crate) struct Answer {
    id: String,
    schema: SchemaRef,
    seq: u64,
    limits: Limits,
    received: Instant,
    queued: Duration,
    rows: u64,
    bytes: u64,
    /// From the arrival to the end.
    ended: Option<Duration>,
    held: Arc<Mutex<Held>>,
    /// Ends the work at its deadline; `None` where there is none, and after the end.
    watch: Option<AbortOnDropHandle<()>>,
}

/// What an answer shares with the watch over its deadline.
struct Held {
    /// `None` once it has ended.
    work: Option<Work>,
    /// What it took in all, once it has ended.
    usage: StatementUsage,
    /// Why the watch ended it, until its reader is told.
    late: Option<Fault>,
    /// The reader that waits for rows.
    waker: Option<Waker>,
}

struct Work {
    stream: QueryStream,
    gauge: Gauge,
    cancelled: BoxFuture<'static, ()>,
    listed: Listed,
    _turn: OwnedSemaphorePermit,
}

impl Held {
    /// Frees everything; whether there was anything.
    fn end(&mut self, fault: Option<&Fault>) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        self.usage = work.gauge.read();
        drop(work.stream);
        let state = fault.map_or(State::Finished, State::of);
        work.listed.end(state, fault);
        true
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<RecordBatch, Fault>>> {
        let Some(work) = &mut self.work else {
            return Poll::Ready(self.late.take().map(Err));
        };
        if work.cancelled.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(Fault::cancelled())));
        }
        match Pin::new(&mut work.stream).poll_next(context) {
            Poll::Pending => {
                self.waker = Some(context.waker().clone());
                Poll::Pending
            }
            // A call that came after the look above stopped the work.
            Poll::Ready(Some(Err(_))) if work.listed.is_cancelled() => {
                Poll::Ready(Some(Err(Fault::cancelled())))
            }
            Poll::Ready(item) => Poll::Ready(item.map(|item| item.map_err(Fault::from))),
        }
    }
}

/// Ends what is `held` when `left` is over, whether anybody reads or not: a stream looks at its
/// deadline only when it is asked for rows. `time` is what the statement was allowed.
fn watch(held: &Arc<Mutex<Held>>, left: Duration, time: Duration) -> AbortOnDropHandle<()> {
    let held = Arc::downgrade(held);
    AbortOnDropHandle::new(tokio::spawn(async move {
        tokio::time::sleep(left).await;
        let Some(held) = held.upgrade() else {
            return;
        };
        let mut held = lock(&held);
        let fault = past_time(time);
        if held.end(Some(&fault)) {
            held.late = Some(fault);
        }
        if let Some(waker) = held.waker.take() {
            waker.wake();
        }
    }))
}

impl Answer {
    pub(super) fn new(parts: Parts, listed: Listed) -> Self {
        let Parts {
            stream,
            turn,
            limits,
            received,
            queued,
        } = parts;
        let seq = u64::try_from(stream.seq()).unwrap_or_default();
        let (id, schema) = (listed.id().to_owned(), stream.schema());
        let held = Arc::new(Mutex::new(Held {
            work: Some(Work {
                gauge: stream.gauge(),
                stream,
                cancelled: Box::pin(listed.cancelled()),
                listed,
                _turn: turn,
            }),
            usage: StatementUsage::default(),
            late: None,
            waker: None,
        }));
        let watch = limits.time.map(|time| {
            let left = time.saturating_sub(received.elapsed());
            watch(&held, left, time)
        });
        Self {
            id,
            schema,
            seq,
            limits,
            received,
            queued,
            rows: 0,
            bytes: 0,
            ended: None,
            held,
            watch,
        }
    }

    /// The schema of every batch, with plain types only.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The seq up to which the statement sees the store.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The id under which it is listed and can be cancelled.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it took so far; after the end, in all.
    pub fn statistics(&self) -> Statistics {
        let held = lock(&self.held);
        let running = held.work.as_ref().map(|work| work.gauge.read());
        Statistics {
            rows: self.rows,
            bytes: self.bytes,
            elapsed: self.ended.unwrap_or_else(|| self.received.elapsed()),
            queued: self.queued,
            seq: self.seq,
            usage: running.unwrap_or(held.usage),
        }
    }

    /// Ends the statement because its rows cannot be sent; one that has ended stays as it is.
    pub fn fail(&mut self, fault: &Fault) {
        let _ = self.end(Some(fault.clone()));
    }

    /// Counts a batch, and checks the limits of the answer.
    fn count(&mut self, batch: &RecordBatch) -> Result<(), Fault> {
        let (rows, bytes) = (batch.num_rows() as u64, bytes_of(batch) as u64);
        let within = |count: u64, limit: Option<u64>| limit.is_none_or(|limit| count <= limit);
        if !within(self.rows + rows, self.limits.rows) {
            return Err(too_large("max_rows", "rows", self.limits.rows));
        }
        if !within(self.bytes + bytes, self.limits.bytes) {
            return Err(too_large("max_bytes", "bytes", self.limits.bytes));
        }
        self.rows += rows;
        self.bytes += bytes;
        if let Some(work) = &lock(&self.held).work {
            work.listed.took(rows, bytes);
        }
        Ok(())
    }

    /// Frees everything and gives the last item.
    fn end(&mut self, fault: Option<Fault>) -> Poll<Option<Result<RecordBatch, Fault>>> {
        let received = self.received;
        self.ended.get_or_insert_with(|| received.elapsed());
        self.watch = None;
        lock(&self.held).end(fault.as_ref());
        Poll::Ready(fault.map(Err))
    }
}

impl Stream for Answer {
    type Item = Result<RecordBatch, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = lock(&self.held).poll(context);
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => self.end(None),
            Poll::Ready(Some(Err(fault))) => self.end(Some(fault)),
            Poll::Ready(Some(Ok(batch))) => match self.count(&batch) {
                Ok(()) => Poll::Ready(Some(Ok(batch))),
                Err(fault) => self.end(Some(fault)),
            },
        }
    }
}

fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn too_large(field: &'static str, what: &str, limit: Option<u64>) -> Fault {
    let limit = limit.unwrap_or_default();
    let message = format!(
        "the answer has more than {limit} {what}, the limit of this statement; ask for less, or \
         raise {field} as far as the server allows"
    );
    Fault::new(Reason::ResultTooLarge, message).with_fact(field, &limit)
}

/// Bytes of the columns of `batch`, which are of plain types, and of its own rows only. A column
/// that cannot say counts as nothing.
pub(crate) fn bytes_of(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(bytes_of_column).sum()
}

fn bytes_of_column(column: &ArrayRef) -> usize {
    let validity = column.nulls().map_or(0, |_| column.len().div_ceil(8));
    match column.data_type() {
        DataType::List(_) => validity + bytes_of_lists(column.as_list()),
        DataType::Struct(_) => {
            let fields = column.as_struct().columns().iter();
            validity + fields.map(bytes_of_column).sum::<usize>()
        }
        _ => column.to_data().get_slice_memory_size().unwrap_or(0),
    }
}

/// Bytes of the offsets and the elements of `lists`, which may share the elements with others.
fn bytes_of_lists(lists: &ListArray) -> usize {
    let offsets = lists.value_offsets();
    let (first, last) = (offsets[0] as usize, offsets[lists.len()] as usize);
    let elements = lists.values().slice(first, last - first);
    size_of_val(offsets) + bytes_of_column(&elements)
}

/// How many rows of `batch` have about `bytes` bytes; at least one.
pub(crate) fn rows_within(batch: &RecordBatch, bytes: usize) -> usize {
    let total = bytes_of(batch);
    let rows = batch.num_rows();
    if total <= bytes {
        rows.max(1)
    } else {
        (rows * bytes / total).max(1)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ListBuilder, StringBuilder};

    use super::*;

    #[test]
    fn a_part_of_a_batch_weighs_its_own_rows() {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for _ in 0..100 {
            lists.append_value([Some("0123456789"), Some("")]);
        }
        let lists: ArrayRef = Arc::new(lists.finish());
        let batch = RecordBatch::try_from_iter([("lists", lists)]).expect("one column");
        // Of each list its offset, those of two texts, and ten characters.
        let (each, end) = (4 + 2 * 4 + 10, 4 + 4);
        assert_eq!(bytes_of(&batch), 100 * each + end);
        assert_eq!(bytes_of(&batch.slice(90, 10)), 10 * each + end);
        assert_eq!(bytes_of(&batch.slice(50, 0)), end);
        assert_eq!(rows_within(&batch.slice(50, 50), 10 * each + end), 10);
    }
}
