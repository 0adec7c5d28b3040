//! Which scores a request wants.
//!
//! Ids are looked up, everything else is looked at row by row: a picture of a million entities is
//! read through in milliseconds.

use vitalog_wire::vitalog::v1::{Band, Entity, GetScoresRequest, Status};

use super::picture::Picture;
use crate::fault::{Fault, Reason};
use crate::limits::FILTER_VALUES_MAX;

/// A checked filter. An empty part lets all rows through.
#[derive(Debug)]
pub(super) struct Filter {
    /// Ascending, each once.
    account_ids: Vec<String>,
    /// Ascending, each once.
    user_ids: Vec<String>,
    bands: Vec<Band>,
    statuses: Vec<Status>,
    stages: Vec<String>,
    segments: Vec<String>,
    score_min: Option<f64>,
    score_max: Option<f64>,
}

impl Filter {
    /// The filter of `request` over rows of `entity`.
    ///
    /// # Errors
    /// Too many values, one that no row can have, or NaN.
    pub fn new(request: &GetScoresRequest, entity: Entity) -> Result<Self, Fault> {
        let refused = |field, why: &str| Fault::of_field(Reason::InvalidRequest, field, why);
        if entity == Entity::User && !request.account_ids.is_empty() {
            return Err(refused("account_ids", "rows of users have no account"));
        }
        if entity == Entity::Account && !request.user_ids.is_empty() {
            return Err(refused("user_ids", "rows of accounts have no user"));
        }
        for (field, score) in [
            ("min_score", request.min_score),
            ("max_score", request.max_score),
        ] {
            if score.is_some_and(f64::is_nan) {
                return Err(refused(field, "is not a number"));
            }
        }
        Ok(Self {
            account_ids: ids("account_ids", &request.account_ids)?,
            user_ids: ids("user_ids", &request.user_ids)?,
            bands: named("bands", &request.bands, Band::Unspecified)?,
            statuses: named("statuses", &request.statuses, Status::Unspecified)?,
            stages: ids("stages", &request.stages)?,
            segments: ids("segments", &request.segments)?,
            score_min: request.min_score,
            score_max: request.max_score,
        })
    }

    /// The rows of `picture` that pass, ascending. With ids it costs their number, without the
    /// number of entities.
    pub fn passing(&self, picture: &Picture) -> Vec<usize> {
        let mut rows: Vec<usize> = if !self.account_ids.is_empty() {
            let accounts = self.account_ids.iter();
            accounts
                .flat_map(|account| picture.rows_of_account(account))
                .collect()
        } else if self.user_ids.is_empty() {
            (0..picture.len()).collect()
        } else {
            let users = self.user_ids.iter();
            let mut rows: Vec<usize> = users.flat_map(|user| picture.rows_of_user(user)).collect();
            rows.sort_unstable();
            rows
        };
        rows.retain(|&row| self.passes(picture, row));
        rows
    }

    fn passes(&self, picture: &Picture, row: usize) -> bool {
        // Accounts were looked up; users were not where both are given.
        let has_user = || {
            picture.key(row).user_id.is_some_and(|user| {
                let found = self.user_ids.binary_search_by(|id| id.as_str().cmp(user));
                found.is_ok()
            })
        };
        let has_stage = || {
            let stage = picture.stage(row);
            stage.is_some_and(|stage| self.stages.iter().any(|wanted| wanted == stage))
        };
        let has_segment = || {
            let segments = picture.segments(row);
            segments
                .iter()
                .any(|segment| self.segments.contains(segment))
        };
        let has_score = || {
            picture.score(row).is_some_and(|score| {
                self.score_min.is_none_or(|least| score >= least)
                    && self.score_max.is_none_or(|most| score <= most)
            })
        };
        (self.bands.is_empty() || self.bands.contains(&picture.band(row)))
            && (self.statuses.is_empty() || self.statuses.contains(&picture.status(row)))
            && (self.score_min.is_none() && self.score_max.is_none() || has_score())
            && (self.stages.is_empty() || has_stage())
            && (self.segments.is_empty() || has_segment())
            && (self.user_ids.is_empty() || has_user())
    }
}

/// Values of a field, ascending, each once.
fn ids(field: &str, values: &[String]) -> Result<Vec<String>, Fault> {
    check_count(field, values.len())?;
    let mut values = values.to_vec();
    values.sort_unstable();
    values.dedup();
    Ok(values)
}

/// The enum values of a field, none of which may be `unspecified` or unknown.
fn named<T: TryFrom<i32> + PartialEq + Copy>(
    field: &str,
    numbers: &[i32],
    unspecified: T,
) -> Result<Vec<T>, Fault> {
    check_count(field, numbers.len())?;
    let value_of = |&number: &i32| {
        let value = T::try_from(number).ok();
        value.filter(|value| *value != unspecified).ok_or_else(|| {
            let message = format!("{number} is no value to look for");
            Fault::of_field(Reason::InvalidRequest, field, message)
        })
    };
    numbers.iter().map(value_of).collect()
}

fn check_count(field: &str, count: usize) -> Result<(), Fault> {
    if count <= FILTER_VALUES_MAX {
        return Ok(());
    }
    let message = format!("there are {count}, at most {FILTER_VALUES_MAX} are taken");
    Err(Fault::of_field(Reason::InvalidRequest, field, message))
}
