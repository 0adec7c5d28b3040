//! What is known of statements, as messages.

use std::time::Duration;

use prost::Message;
use vitalog_wire::vitalog::v1::{
    ListQueriesRequest, ListQueriesResponse, QueryDescription, QueryState, QueryStatistics,
};

use crate::fault::Fault;
use crate::instant::timestamp;
use crate::limits::{PAGE_BYTES, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::listing::rows_of;
use crate::statements::{RunningStatement, State, Statistics};
use crate::token::{self, TokenKind};

/// A place in the list: after the statement that arrived then.
#[derive(Clone, PartialEq, Eq, Message)]
struct Place {
    #[prost(int64, tag = "1")]
    started_at_us: i64,
    #[prost(string, tag = "2")]
    id: String,
}

/// The page of `known`, which is in order of arrival, that `wanted` asks for.
///
/// # Errors
/// A page that is too large, or a token of another list.
pub(super) fn page_of(
    known: Vec<RunningStatement>,
    wanted: &ListQueriesRequest,
) -> Result<ListQueriesResponse, Fault> {
    let rows_max = rows_of(
        wanted.page_size,
        "page_size",
        PAGE_ROWS_DEFAULT,
        PAGE_ROWS_MAX,
    )?;
    let after: Option<Place> = match wanted.page_token.as_str() {
        "" => None,
        text => Some(token::open(TokenKind::Queries, "page_token", text)?),
    };
    let is_wanted = |one: &RunningStatement| {
        let is_further = after.as_ref().is_none_or(|after| {
            (one.started_at_us, one.id.as_str()) < (after.started_at_us, after.id.as_str())
        });
        is_further && !(wanted.running_only && one.state.is_end())
    };
    let (mut queries, mut bytes, mut last) = (Vec::new(), 0, None);
    for one in known.into_iter().rev().filter(is_wanted) {
        let place = Place {
            started_at_us: one.started_at_us,
            id: one.id.clone(),
        };
        let message = description_of(one);
        bytes += message.encoded_len();
        let is_full = queries.len() == rows_max || bytes > PAGE_BYTES && !queries.is_empty();
        if let (true, Some(last)) = (is_full, &last) {
            let next_page_token = token::seal(TokenKind::Queries, last);
            return Ok(ListQueriesResponse {
                queries,
                next_page_token,
            });
        }
        queries.push(message);
        last = Some(place);
    }
    Ok(ListQueriesResponse {
        queries,
        next_page_token: String::new(),
    })
}

/// Whether `token` names a place in the list.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn is_place(token: &str) -> bool {
    token::open::<Place>(TokenKind::Queries, "page_token", token).is_ok()
}

fn description_of(one: RunningStatement) -> QueryDescription {
    let statistics = Statistics {
        rows: one.rows,
        bytes: one.bytes,
        elapsed: one.elapsed,
        queued: one.queued,
        seq: one.seq.unwrap_or_default(),
        usage: one.usage,
    };
    QueryDescription {
        query_id: one.id,
        surface: one.surface.to_string(),
        name: one.name,
        peer: one.peer.map(|peer| peer.to_string()),
        sql: one.sql,
        state: state_of(one.state).into(),
        start_time: Some(timestamp(one.started_at_us)),
        statistics: Some(statistics_of(&statistics)),
        reason: one.reason.map(|reason| reason.as_str().to_owned()),
    }
}

fn state_of(state: State) -> QueryState {
    match state {
        State::Queued => QueryState::Queued,
        State::Planning => QueryState::Planning,
        State::Running => QueryState::Running,
        State::Finished => QueryState::Finished,
        State::Failed => QueryState::Failed,
        State::Cancelled => QueryState::Cancelled,
        State::Abandoned => QueryState::Abandoned,
    }
}

/// What a statement took, as a message.
pub(super) fn statistics_of(statistics: &Statistics) -> QueryStatistics {
    let Statistics {
        rows,
        bytes,
        elapsed,
        queued,
        seq,
        usage,
    } = *statistics;
    QueryStatistics {
        rows,
        elapsed_us: microseconds(elapsed),
        seq,
        bytes,
        queued_us: microseconds(queued),
        planning_us: microseconds(usage.planning),
        memory_peak_bytes: usage.memory_peak_bytes,
        rows_scanned: usage.rows_scanned,
        spilled_bytes: usage.spilled_bytes,
    }
}

pub(super) fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use vitalog_query::StatementUsage;

    use super::*;
    use crate::statements::Surface;

    fn statement(n: i64) -> RunningStatement {
        RunningStatement {
            id: format!("q{n}"),
            surface: Surface::FlightSql,
            name: None,
            peer: None,
            sql: "SELECT 1".to_owned(),
            state: match n % 2 {
                0 => State::Running,
                _ => State::Failed,
            },
            started_at_us: n / 3,
            elapsed: Duration::from_micros(7),
            queued: Duration::ZERO,
            rows: 5,
            bytes: 40,
            usage: StatementUsage::default(),
            seq: Some(9),
            reason: None,
        }
    }

    #[test]
    fn pages_hold_everything_once_the_newest_first() {
        let all: Vec<_> = (0..10).map(statement).collect();
        for (page_size, running_only, expected) in [(3, false, 10), (1, true, 5), (0, false, 10)] {
            let mut request = ListQueriesRequest {
                running_only,
                page_size,
                page_token: String::new(),
            };
            let mut found = Vec::new();
            loop {
                let page = page_of(all.clone(), &request).expect("a page");
                found.extend(page.queries);
                request.page_token = page.next_page_token;
                if request.page_token.is_empty() {
                    break;
                }
            }
            assert_eq!(found.len(), expected, "{page_size}");
            let ids: Vec<_> = found.iter().map(|one| one.query_id.as_str()).collect();
            assert!(ids.is_sorted_by(|left, right| left > right), "{ids:?}");
            assert_eq!(found[0].surface, "flight_sql");
            assert_eq!(
                found[0].statistics.as_ref().map(|found| found.elapsed_us),
                Some(7)
            );
        }
    }
}
