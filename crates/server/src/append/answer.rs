//! What the caller of an append is told.
//!
//! Invariant: an answer counts every event of its batch, and is small enough for every client: what
//! its lists leave out, it says.

use prost::{Message, length_delimiter_len};
use vitalog_event::Rejection;
use vitalog_store::AppendReceipt;
use vitalog_wire::vitalog::v1::{AppendResponse, AssignedId, Rejected};

use super::intake::Remarks;
use super::made::MadeIds;
use crate::limits::{ASSIGNED_BYTES_MAX, REJECTED_BYTES_MAX};

/// Everything that was refused, whether here or by the log, and every id that was made, in order;
/// as many of them as an answer may hold.
pub(super) fn report(remarks: Remarks, receipt: AppendReceipt) -> AppendResponse {
    let Remarks {
        mut rejections,
        refused,
        made,
        is_random,
    } = remarks;
    let (assigned_ids, assigned_ids_omitted) = assigned(made, &receipt.rejected);
    let refused = refused + receipt.rejected.len();
    if !receipt.rejected.is_empty() {
        // Where `rejections` leaves some out, those that it has fill an answer: what the log
        // refused behind them is counted too.
        rejections.extend(receipt.rejected);
        rejections.sort_by_key(|rejection| rejection.index);
    }
    let rejections = rejections.into_iter().map(message_of);
    let (rejected, rejected_omitted) = within(rejections, refused, REJECTED_BYTES_MAX);
    let retry_unsafe = is_random && !assigned_ids.is_empty();
    AppendResponse {
        last_seq: receipt.last_seq as u64,
        accepted: receipt.accepted as u64,
        duplicates: receipt.duplicates as u64,
        rejected,
        assigned_ids,
        retry_unsafe,
        first_seq: receipt.seqs.map(|(first, _)| first as u64),
        rejected_omitted,
        assigned_ids_omitted,
    }
}

fn message_of(rejection: Rejection) -> Rejected {
    Rejected {
        index: rejection.index as u64,
        field: rejection.field.to_owned(),
        code: rejection.code.as_str().to_owned(),
        message: rejection.message,
    }
}

/// The first of the ids that were `made` for events that the log did not refuse, and the number of
/// the others.
fn assigned(made: Option<MadeIds>, refused: &[Rejection]) -> (Vec<AssignedId>, u64) {
    let Some(mut made) = made else {
        return (Vec::new(), 0);
    };
    if !refused.is_empty() {
        made = made.without(refused);
    }
    within(made.iter(), made.count(), ASSIGNED_BYTES_MAX)
}

/// The first of `items` that take at most `bytes_max` bytes as a field of a message, and the number
/// of the others of `total`.
fn within<T: Message>(
    items: impl Iterator<Item = T>,
    total: usize,
    bytes_max: usize,
) -> (Vec<T>, u64) {
    let mut bytes = 0;
    let fits = |item: &T| {
        let length = item.encoded_len();
        // The key of a field is one byte here.
        bytes += 1 + length_delimiter_len(length) + length;
        bytes <= bytes_max
    };
    let kept: Vec<T> = items.take_while(fits).collect();
    let omitted = (total - kept.len()) as u64;
    (kept, omitted)
}

#[cfg(test)]
mod tests {
    use vitalog_event::{RejectionCode, schema};

    use super::super::intake::{Intake, RawEvent};
    use super::*;
    use crate::limits::{MESSAGE_BYTES_MAX, REQUEST_ID_BYTES_MAX, STREAM_EVENTS_MAX};

    fn rejection(index: usize, message: &str) -> Rejection {
        Rejection {
            index,
            field: schema::EVENT_ID,
            code: RejectionCode::Conflict,
            message: message.to_owned(),
        }
    }

    /// `count` more events without ids.
    fn take(intake: &mut Intake<'_>, event: &str, count: usize) {
        let raw = RawEvent {
            event: Some(event.as_bytes()),
            ..RawEvent::default()
        };
        for _ in 0..count {
            intake.take(&raw).expect("room");
        }
    }

    /// `count` more events that cannot be read, for a reason of 500 bytes.
    fn refuse(intake: &mut Intake<'_>, count: usize) {
        for _ in 0..count {
            let message = "x".repeat(500);
            intake.reject(schema::EVENT_ID, RejectionCode::WrongType, message);
        }
    }

    #[test]
    fn a_report_merges_both_kinds_of_refusals_in_order() {
        let mut intake = Intake::new(0, "r", 3);
        for event in ["a", "$b", "c"] {
            take(&mut intake, event, 1);
        }
        let receipt = AppendReceipt {
            last_seq: 7,
            accepted: 1,
            duplicates: 0,
            rejected: vec![rejection(0, "taken")],
            seqs: Some((7, 7)),
        };
        let answer = report(intake.finish().remarks, receipt);
        let refused: Vec<_> = answer
            .rejected
            .iter()
            .map(|one| (one.index, one.code.as_str()))
            .collect();
        assert_eq!(refused, [(0, "conflict"), (1, "reserved_name")]);
        assert_eq!(answer.assigned_ids.len(), 1);
        assert_eq!((answer.assigned_ids[0].index, answer.last_seq), (2, 7));
        assert_eq!(answer.first_seq, Some(7));
        assert!(!answer.retry_unsafe);
        assert_eq!(
            (answer.rejected_omitted, answer.assigned_ids_omitted),
            (0, 0)
        );
    }

    #[test]
    fn an_answer_stays_small_and_counts_what_it_leaves_out() {
        let events = STREAM_EVENTS_MAX;
        let request_id = "r".repeat(REQUEST_ID_BYTES_MAX);
        let mut intake = Intake::new(0, &request_id, 2 * events);
        refuse(&mut intake, events);
        take(&mut intake, "a", events);
        let mut remarks = intake.finish().remarks;
        assert!(remarks.rejections.len() < 2_000);
        remarks.is_random = true;
        let answer = report(remarks, AppendReceipt::default());
        assert!(answer.encoded_len() < MESSAGE_BYTES_MAX);
        let refused = answer.rejected.len() as u64 + answer.rejected_omitted;
        assert_eq!(refused, events as u64);
        let named = answer.assigned_ids.len() as u64 + answer.assigned_ids_omitted;
        assert_eq!(named, events as u64);
        assert!(answer.retry_unsafe);
        // The first of each, without a gap.
        assert!(answer.rejected_omitted > 0 && answer.assigned_ids_omitted > 0);
        let indexes = answer.rejected.iter().map(|one| one.index);
        assert!(indexes.eq(0..answer.rejected.len() as u64));
        let indexes = answer.assigned_ids.iter().map(|id| id.index as usize);
        assert!(indexes.eq(events..events + answer.assigned_ids.len()));
        let alone = AppendResponse {
            assigned_ids: Vec::new(),
            ..answer
        };
        let bytes = alone.encoded_len();
        assert!((900 << 10..1 << 20).contains(&bytes), "{bytes}");
    }

    /// What was refused is named without a gap, and an id only where its event went in, also past
    /// what the lists hold.
    #[test]
    fn what_the_log_refuses_behind_full_lists_is_counted() {
        let events = STREAM_EVENTS_MAX;
        let request_id = "r".repeat(REQUEST_ID_BYTES_MAX);
        let mut intake = Intake::new(0, &request_id, 2 * events);
        refuse(&mut intake, events);
        take(&mut intake, "a", events);
        let remarks = intake.finish().remarks;
        // The first and the last of those whose ids were made.
        let conflicts = [events, 2 * events - 1].map(|index| rejection(index, "taken"));
        let receipt = AppendReceipt {
            accepted: events - 2,
            rejected: conflicts.into(),
            ..AppendReceipt::default()
        };
        let answer = report(remarks, receipt);
        let indexes = answer.rejected.iter().map(|one| one.index);
        assert!(indexes.eq(0..answer.rejected.len() as u64));
        let refused = answer.rejected.len() as u64 + answer.rejected_omitted;
        assert_eq!(refused, events as u64 + 2);
        assert_eq!(answer.assigned_ids[0].index, events as u64 + 1);
        let made = answer.assigned_ids.len() as u64 + answer.assigned_ids_omitted;
        assert!(answer.assigned_ids_omitted > 0);
        assert_eq!(made, answer.accepted);
    }

    #[test]
    fn the_random_ids_of_a_streams_batch_are_all_named() {
        let mut intake = Intake::new(0, "", STREAM_EVENTS_MAX);
        take(&mut intake, "a", STREAM_EVENTS_MAX);
        let answer = report(intake.finish().remarks, AppendReceipt::default());
        assert_eq!(answer.assigned_ids.len(), STREAM_EVENTS_MAX);
        assert_eq!(answer.assigned_ids_omitted, 0);
        assert!(answer.encoded_len() < MESSAGE_BYTES_MAX);
    }
}
