//! Collects the rows of a file into a batch, with what was left out and why.

use vitalog_event::{
    EventBatch, EventBatchBuilder, EventDraft, GROUP_EVENT, IDENTIFY_EVENT, RejectionCode,
    is_trait_event,
};

use super::content_ids::ContentIds;
use super::error::ImportError;
use super::memberships::Memberships;

/// Most bytes of rejected rows' text kept in one batch; a batch that reaches it ends.
const REJECTED_BYTES_MAX: usize = 8 << 20;

/// A row that was left out; the rest of its file goes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// Line or row in the file, from 1.
    pub row: u64,
    /// The field at fault; a name of the file's own where it is none of ours, empty where the row
    /// as a whole is.
    pub field: String,
    /// The stable reason.
    pub code: RejectionCode,
    /// What was found and what was expected, for a person.
    pub message: String,
    /// The row as text: the line itself (bytes that are no UTF-8 replaced, a line that is too long
    /// cut), of Parquet a JSON object.
    pub text: String,
}

impl std::fmt::Display for RejectedRow {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            row,
            field,
            code,
            message,
            ..
        } = self;
        let of = if field.is_empty() { "" } else { ", field " };
        write!(formatter, "row {row}{of}{field}: {message} ({code})")
    }
}

/// Some rows of a file, in its order.
#[derive(Clone, Debug)]
pub struct SourceBatch {
    /// The valid events.
    pub events: EventBatch,
    /// Every row that was left out, in order.
    pub rejected: Vec<RejectedRow>,
    /// Accepted events that name no account, `$identify` events aside.
    pub rows_without_account: u64,
    rows: Vec<u64>,
}

impl SourceBatch {
    /// Rows read from the file: taken ones and rejected ones. Never 0.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The line or row in the file from which event `index` of `events` came.
    ///
    /// # Panics
    /// Where `index` is not below `events.len()`.
    #[must_use]
    pub fn row_number(&self, index: usize) -> u64 {
        self.rows[self.events.input_index(index)]
    }

    /// The line or row in the file of each row of the batch, rejected ones included: what an index
    /// of a rejection stands for.
    #[must_use]
    pub fn row_numbers(&self) -> Vec<u64> {
        self.rows.clone()
    }

    /// The line or row of the first and of the last row of the batch.
    #[must_use]
    pub fn row_range(&self) -> (u64, u64) {
        let last = self.rows.last().copied().unwrap_or_default();
        (self.rows.first().copied().unwrap_or_default(), last)
    }
}

/// A draft and what is known about where its account may come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceRow<'a> {
    pub draft: EventDraft<'a>,
    /// The row says nothing about an account, as opposed to saying that there is none: it gets
    /// the one of the user's latest `$group`.
    pub account_is_absent: bool,
}

/// Builds one batch after the other.
#[derive(Debug)]
pub(super) struct Assembler {
    now_us: i64,
    rows_max: usize,
    builder: EventBatchBuilder,
    rows: Vec<u64>,
    /// What a builder's rejection does not hold: the field's name in the file, and the text.
    rejected: Vec<(Option<String>, String)>,
    rejected_bytes: usize,
    rows_without_account: u64,
    contents: ContentIds,
    contents_max: usize,
}

impl Assembler {
    pub(super) fn new(now_us: i64, rows_max: usize, contents_max: usize) -> Self {
        Self {
            now_us,
            rows_max: rows_max.max(1),
            builder: EventBatchBuilder::new(now_us),
            rows: Vec::new(),
            rejected: Vec::new(),
            rejected_bytes: 0,
            rows_without_account: 0,
            contents: ContentIds::default(),
            contents_max,
        }
    }

    /// Makes room for `rows` more rows of the batch just begun.
    pub(super) fn reserve(&mut self, rows: usize) {
        if self.rows.is_empty() {
            self.builder = EventBatchBuilder::with_capacity(self.now_us, rows.min(self.rows_max));
            self.rows.reserve(rows.min(self.rows_max));
        }
    }

    /// Whether the batch wants to be finished before the next row.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= self.rows_max
            || self.builder.is_full()
            || self.rejected_bytes >= REJECTED_BYTES_MAX
    }

    /// Takes a row, or notes why not; `text` is asked for in that case only. False where the row
    /// has no id and no further contents can be counted; then nothing is noted.
    #[must_use]
    pub(super) fn push(
        &mut self,
        row: u64,
        source: &SourceRow<'_>,
        memberships: &mut Memberships,
        text: impl FnOnce() -> String,
    ) -> bool {
        let mut draft = source.draft;
        if source.account_is_absent
            && !draft.event.is_some_and(is_trait_event)
            && let (Some(user), Some(time_us)) = (draft.user_id, draft.event_time_us)
        {
            draft.account_id = memberships.account_at(user, time_us);
        }
        let content_id;
        if draft.event_id.is_none() {
            match self.contents.next_id(&draft, self.contents_max) {
                Some(id) => content_id = id,
                None => return false,
            }
            draft.event_id = Some(&content_id);
        }
        self.rows.push(row);
        if !self.builder.push(&draft) {
            self.keep_rejected(None, text());
            return true;
        }
        if draft.account_id.is_none() && draft.event != Some(IDENTIFY_EVENT) {
            self.rows_without_account += 1;
        }
        let told = &source.draft;
        if told.event == Some(GROUP_EVENT)
            && let (Some(user), Some(account), Some(time_us)) =
                (told.user_id, told.account_id, told.event_time_us)
        {
            memberships.note(user, account, time_us);
        }
        true
    }

    /// Notes a row that could not become a draft. `field` may be a name of the file's own.
    pub(super) fn reject(
        &mut self,
        row: u64,
        field: &str,
        code: RejectionCode,
        message: String,
        text: String,
    ) {
        self.rows.push(row);
        self.builder.reject("", code, message);
        self.keep_rejected(Some(field.to_owned()), text);
    }

    /// The error for a row that [`Assembler::push`] could not give an id.
    pub(super) fn contents_exhausted(&self, path: &str, row: u64) -> ImportError {
        ImportError::TooManyContents {
            path: path.to_owned(),
            row,
            max: self.contents_max,
        }
    }

    fn keep_rejected(&mut self, field: Option<String>, text: String) {
        self.rejected_bytes += text.len();
        self.rejected.push((field, text));
    }

    /// The batch so far, or `None` where no row was read; the next one begins.
    pub(super) fn finish(&mut self) -> Option<SourceBatch> {
        if self.rows.is_empty() {
            return None;
        }
        let rows = std::mem::take(&mut self.rows);
        let builder = std::mem::replace(&mut self.builder, EventBatchBuilder::new(self.now_us));
        let kept = std::mem::take(&mut self.rejected);
        self.rejected_bytes = 0;
        let (events, rejections) = builder.finish();
        let rejected = rejections
            .into_iter()
            .zip(kept)
            .map(|(rejection, (field, text))| RejectedRow {
                row: rows[rejection.index],
                field: field.unwrap_or_else(|| rejection.field.to_owned()),
                code: rejection.code,
                message: rejection.message,
                text,
            })
            .collect();
        let rows_without_account = std::mem::take(&mut self.rows_without_account);
        Some(SourceBatch {
            events,
            rejected,
            rows_without_account,
            rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_740_830_400_000_000;

    fn row(id: &'static str) -> SourceRow<'static> {
        let draft = EventDraft {
            event_id: Some(id),
            event_time_us: Some(NOW_US),
            event: Some("login"),
            ..EventDraft::default()
        };
        SourceRow {
            draft,
            account_is_absent: false,
        }
    }

    #[test]
    fn rows_keep_their_numbers_around_rejected_ones() {
        let mut assembler = Assembler::new(NOW_US, 10, 10);
        let mut memberships = Memberships::new();
        assert!(assembler.finish().is_none());
        assert!(assembler.push(2, &row("a"), &mut memberships, || unreachable!("taken")));
        assert!(assembler.push(5, &row(""), &mut memberships, || "five".to_owned()));
        let code = RejectionCode::WrongType;
        assembler.reject(6, "colour", code, "is red".to_owned(), "six".to_owned());
        assert!(assembler.push(9, &row("b"), &mut memberships, || unreachable!("taken")));
        let batch = assembler.finish().expect("a batch");
        assert_eq!(
            (batch.rows(), batch.events.len(), batch.rows_without_account),
            (4, 2, 2)
        );
        assert_eq!((batch.row_number(0), batch.row_number(1)), (2, 9));
        assert_eq!(batch.row_range(), (2, 9));
        let texts: Vec<_> = batch.rejected.iter().map(ToString::to_string).collect();
        assert_eq!(texts[0], "row 5, field event_id: the text is empty (empty)");
        assert_eq!(texts[1], "row 6, field colour: is red (wrong_type)");
        assert_eq!(batch.rejected[0].text, "five");
        assert!(assembler.finish().is_none());
    }

    #[test]
    fn a_batch_ends_at_its_rows_or_at_the_text_of_rejected_ones() {
        let mut assembler = Assembler::new(NOW_US, 2, 10);
        let mut memberships = Memberships::new();
        assert!(assembler.push(1, &row("a"), &mut memberships, String::new));
        assert!(!assembler.is_full());
        assert!(assembler.push(2, &row("b"), &mut memberships, String::new));
        assert!(assembler.is_full());
        assert!(assembler.finish().is_some() && !assembler.is_full());
        let text = "x".repeat(REJECTED_BYTES_MAX);
        assembler.reject(3, "", RejectionCode::Malformed, String::new(), text);
        assert!(assembler.is_full());
    }

    #[test]
    fn ids_run_out_only_where_contents_are_counted() {
        let mut assembler = Assembler::new(NOW_US, 10, 0);
        let mut memberships = Memberships::new();
        let mut nameless = row("a");
        nameless.draft.event_id = None;
        assert!(!assembler.push(1, &nameless, &mut memberships, String::new));
        assert!(assembler.push(1, &row("a"), &mut memberships, String::new));
        assert_eq!(assembler.finish().expect("a batch").rows(), 1);
    }
}
