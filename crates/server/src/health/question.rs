//! From a request to the picture that answers it: model, version, entity, time.

use std::time::Duration;

use prost_types::Timestamp;
use vitalog_query::ModelDescription;
use vitalog_wire::vitalog::v1::get_scores_request::ChangedSince;
use vitalog_wire::vitalog::v1::{Entity, GetScoresRequest, HealthServiceExplainRequest};

use super::pin::Pin;
use super::shelf::Subject;
use crate::fault::{Fault, Reason};
use crate::instant::{duration_of, instant_of};
use crate::limits::STALENESS_DEFAULT;
use crate::models::{DEFAULT_MODEL, find};
use crate::words::entity_of;

/// What requests are held against.
#[derive(Debug)]
pub(super) struct Question {
    pub models: Vec<ModelDescription>,
    /// The last durable seq.
    pub seq: i64,
    /// The server's clock.
    pub now_us: i64,
}

/// The picture that a request wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted {
    /// The present, not older than this.
    Standing(Subject, Duration),
    /// One moment.
    Pinned(Pin),
}

/// The fields that choose a picture, which several requests share.
struct Choice<'a> {
    model: &'a str,
    entity: Entity,
    max_staleness: Duration,
    as_of_us: Option<i64>,
    known_at_us: Option<i64>,
    version: Option<u32>,
}

impl Wanted {
    pub fn entity(&self) -> Entity {
        let number = match self {
            Self::Standing(subject, _) => subject.entity,
            Self::Pinned(pin) => pin.entity,
        };
        Entity::try_from(number).unwrap_or_default()
    }

    fn model(&self) -> &str {
        match self {
            Self::Standing(subject, _) => &subject.model,
            Self::Pinned(pin) => &pin.model,
        }
    }
}

impl Question {
    /// The picture that a request of scores wants.
    pub fn of_scores(&self, request: &GetScoresRequest) -> Result<Wanted, Fault> {
        let mut choice = Choice {
            model: &request.model,
            entity: known(request.entity)?,
            max_staleness: staleness_of(request.max_staleness)?,
            as_of_us: instant_of("as_of", request.as_of)?,
            known_at_us: instant_of("known_at", request.known_at)?,
            version: request.version,
        };
        if let Some(ChangedSince::ChangedSinceTime(time)) = &request.changed_since {
            let since_us = self.since(*time, choice.as_of_us)?;
            // A picture from before that time has nothing to tell.
            let age_us = (self.now_us - since_us).max(0) as u64;
            choice.max_staleness = choice.max_staleness.min(Duration::from_micros(age_us));
        }
        self.wanted(&choice)
    }

    /// The picture that a request of an explanation wants.
    pub fn of_explain(&self, request: &HealthServiceExplainRequest) -> Result<Wanted, Fault> {
        self.wanted(&Choice {
            model: &request.model,
            entity: known(request.entity)?,
            max_staleness: staleness_of(request.max_staleness)?,
            as_of_us: instant_of("as_of", request.as_of)?,
            known_at_us: instant_of("known_at", request.known_at)?,
            version: request.version,
        })
    }

    fn wanted(&self, choice: &Choice<'_>) -> Result<Wanted, Fault> {
        let (model, version, own_entity) = match (choice.version, choice.known_at_us) {
            (None, Some(known_at_us)) => self.in_force_at(choice.model, known_at_us)?,
            (version, _) => {
                let found = find(&self.models, ("model", choice.model), version)?;
                (found.name.clone(), found.version, entity_of(&found.entity)?)
            }
        };
        let entity = match choice.entity {
            Entity::Unspecified => own_entity,
            named => named,
        };
        let is_standing =
            choice.as_of_us.is_none() && choice.known_at_us.is_none() && choice.version.is_none();
        if is_standing {
            let subject = Subject {
                model,
                version,
                entity: entity.into(),
            };
            return Ok(Wanted::Standing(subject, choice.max_staleness));
        }
        Ok(Wanted::Pinned(Pin {
            model,
            version,
            entity: entity.into(),
            seq: self.seq,
            as_of_us: choice.as_of_us.unwrap_or(self.now_us),
            known_at_us: choice.known_at_us,
        }))
    }

    /// Name, version and entity of a model as it was in force at a time.
    fn in_force_at(&self, name: &str, time_us: i64) -> Result<(String, u32, Entity), Fault> {
        let name = if name.is_empty() { DEFAULT_MODEL } else { name };
        let then = self
            .models
            .iter()
            .filter(|model| model.name == name)
            .filter(|model| model.valid_from_us.is_none_or(|from_us| from_us <= time_us))
            .max_by_key(|model| model.version);
        match then {
            Some(model) => Ok((name.to_owned(), model.version, entity_of(&model.entity)?)),
            // Before one of that name was applied there was the built-in one.
            None if name == DEFAULT_MODEL => Ok((name.to_owned(), 0, Entity::Account)),
            None => {
                find(&self.models, ("model", name), None)?;
                let message = format!("the model {name:?} was not there at that time");
                Err(Fault::of_field(Reason::ModelNotFound, "model", message))
            }
        }
    }

    /// The pin of the picture as of `time`, of what was known then, to compare `present` with.
    pub fn pin_at(&self, time: Timestamp, present: &Pin) -> Result<Pin, Fault> {
        let time_us = self.since(time, Some(present.as_of_us))?;
        let (model, version, _) = self.in_force_at(&present.model, time_us)?;
        Ok(Pin {
            model,
            version,
            as_of_us: time_us,
            known_at_us: Some(time_us),
            ..present.clone()
        })
    }

    fn since(&self, time: Timestamp, as_of_us: Option<i64>) -> Result<i64, Fault> {
        let field = "changed_since_time";
        let since_us = instant_of(field, Some(time))?.unwrap_or(self.now_us);
        if since_us > as_of_us.unwrap_or(self.now_us) {
            let message = "lies after the instant of the scores";
            return Err(Fault::of_field(Reason::InvalidRequest, field, message));
        }
        Ok(since_us)
    }

    /// Whether `earlier` can be compared with what is wanted.
    pub fn check_earlier(&self, earlier: &Pin, wanted: &Wanted) -> Result<(), Fault> {
        let field = "changed_since_token";
        self.check_seq(earlier, field)?;
        if earlier.model == wanted.model() && earlier.entity() == wanted.entity() {
            return Ok(());
        }
        let message = "names a picture of another model or entity";
        Err(Fault::of_field(Reason::InvalidToken, field, message))
    }

    /// Whether the store has what `pin` saw.
    pub fn check_seq(&self, pin: &Pin, field: &str) -> Result<(), Fault> {
        if (0..=self.seq).contains(&pin.seq) {
            return Ok(());
        }
        let message = format!(
            "is of another store: it has seen seq {}, the last durable one is {}",
            pin.seq, self.seq
        );
        Err(Fault::of_field(Reason::InvalidToken, field, message))
    }
}

/// Whether a request names what an entity is named by.
pub(super) fn check_ids(
    entity: Entity,
    request: &HealthServiceExplainRequest,
) -> Result<(), Fault> {
    let refused = |field, why: &str| Fault::of_field(Reason::InvalidRequest, field, why);
    let is_given = |id: &Option<String>| id.as_ref().is_some_and(|id| !id.is_empty());
    let (wants_account, wants_user) = (entity != Entity::User, entity != Entity::Account);
    for (field, id, is_wanted) in [
        ("account_id", &request.account_id, wants_account),
        ("user_id", &request.user_id, wants_user),
    ] {
        if is_wanted && !is_given(id) {
            return Err(refused(field, "is required for this entity"));
        }
        if !is_wanted && id.is_some() {
            return Err(refused(field, "is not part of this entity's name"));
        }
    }
    Ok(())
}

fn known(entity: i32) -> Result<Entity, Fault> {
    Entity::try_from(entity).map_err(|_| {
        let message = format!("{entity} is no entity");
        Fault::of_field(Reason::InvalidRequest, "entity", message)
    })
}

fn staleness_of(duration: Option<prost_types::Duration>) -> Result<Duration, Fault> {
    let given = duration_of("max_staleness", duration)?;
    Ok(given.unwrap_or(STALENESS_DEFAULT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instant::timestamp;

    fn model(
        name: &str,
        version: u32,
        valid_from_us: Option<i64>,
        is_current: bool,
    ) -> ModelDescription {
        ModelDescription {
            name: name.to_owned(),
            version,
            entity: if name == "people" { "user" } else { "account" }.to_owned(),
            priority: None,
            period_days: 30,
            description: None,
            valid_from_us,
            content_hash: String::new(),
            is_current,
            text: String::new(),
        }
    }

    fn question() -> Question {
        Question {
            models: vec![
                model("default", 1, Some(100), true),
                model("people", 1, Some(200), false),
                model("people", 2, Some(300), true),
            ],
            seq: 7,
            now_us: 1_000,
        }
    }

    fn asked(request: &GetScoresRequest) -> Result<Wanted, Reason> {
        question().of_scores(request).map_err(|fault| fault.reason)
    }

    #[test]
    fn a_plain_request_is_answered_by_a_standing_picture() {
        let subject = |model: &str, version, entity: Entity| Subject {
            model: model.to_owned(),
            version,
            entity: entity.into(),
        };
        assert_eq!(
            asked(&GetScoresRequest::default()),
            Ok(Wanted::Standing(
                subject("default", 1, Entity::Account),
                STALENESS_DEFAULT
            ))
        );
        let people = GetScoresRequest {
            model: "people".to_owned(),
            changed_since: Some(ChangedSince::ChangedSinceTime(timestamp(900))),
            ..GetScoresRequest::default()
        };
        assert_eq!(
            asked(&people),
            Ok(Wanted::Standing(
                subject("people", 2, Entity::User),
                Duration::from_micros(100)
            )),
            "a picture from before the time it is compared with tells nothing"
        );
    }

    #[test]
    fn the_version_is_that_in_force_at_known_at() {
        let at = |model: &str, known_at_us| {
            let request = GetScoresRequest {
                model: model.to_owned(),
                known_at: Some(timestamp(known_at_us)),
                ..GetScoresRequest::default()
            };
            asked(&request).map(|wanted| match wanted {
                Wanted::Pinned(pin) => (pin.version, pin.as_of_us, pin.known_at_us),
                Wanted::Standing(..) => panic!("known_at pins"),
            })
        };
        assert_eq!(at("", 99), Ok((0, 1_000, Some(99))));
        assert_eq!(at("", 100), Ok((1, 1_000, Some(100))));
        assert_eq!(at("people", 299), Ok((1, 1_000, Some(299))));
        assert_eq!(at("people", 300), Ok((2, 1_000, Some(300))));
        assert_eq!(at("people", 199), Err(Reason::ModelNotFound));
        assert_eq!(at("peeple", 300), Err(Reason::ModelNotFound));
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let version = GetScoresRequest {
            version: Some(9),
            ..GetScoresRequest::default()
        };
        assert_eq!(asked(&version), Err(Reason::ModelNotFound));
        let entity = GetScoresRequest {
            entity: 9,
            ..GetScoresRequest::default()
        };
        assert_eq!(asked(&entity), Err(Reason::InvalidRequest));
        let future = GetScoresRequest {
            changed_since: Some(ChangedSince::ChangedSinceTime(timestamp(1_001))),
            ..GetScoresRequest::default()
        };
        assert_eq!(asked(&future), Err(Reason::InvalidRequest));
    }
}
