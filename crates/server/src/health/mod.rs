//! `HealthService`: scores and explanations as messages, from pictures.
//!
//! It owns which picture answers a request; how pictures are kept and made is `gallery`'s, what
//! of them is sent `page`'s and `explain`'s. Invariant: every number of an answer is of the picture
//! that the answer names.

mod explain;
mod filter;
mod gallery;
mod page;
mod picture;
mod pin;
mod question;
mod relation;
mod shelf;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};
use vitalog_query::QueryEngine;
use vitalog_store::Store;
use vitalog_wire::vitalog::v1;
use vitalog_wire::vitalog::v1::get_scores_request::ChangedSince;
use vitalog_wire::vitalog::v1::health_service_server::HealthService;

use self::filter::Filter;
use self::gallery::Gallery;
use self::page::Pages;
use self::picture::{Key, Picture};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::pin::is_place;
use self::pin::{PageToken, Pin};
use self::question::{Question, Wanted};
use self::source::EngineSource;
use crate::admission::turn;
use crate::fault::{Fault, Reason};
use crate::gate::Gate;
use crate::limits::{
    LIST_ROWS_DEFAULT, LIST_ROWS_MAX, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, PICTURES_COMPUTED_MAX,
};
use crate::listing::rows_of;
use crate::token::{self, TokenKind};

/// Answers how healthy entities are.
#[derive(Debug)]
pub(crate) struct Health {
    store: Arc<Store>,
    engine: QueryEngine,
    gallery: Gallery,
    turns: Arc<Semaphore>,
    queue_wait: Duration,
}

#[tonic::async_trait]
impl HealthService for Health {
    async fn get_scores(
        &self,
        request: Request<v1::GetScoresRequest>,
    ) -> Result<Response<v1::GetScoresResponse>, Status> {
        let request = request.into_inner();
        let rows_max = rows_of(
            request.page_size,
            "page_size",
            PAGE_ROWS_DEFAULT,
            PAGE_ROWS_MAX,
        )?;
        let fingerprint = fingerprint_of(&request);
        let after = match request.page_token.as_str() {
            "" => None,
            text => Some(self.continued(text, fingerprint)?),
        };
        let (picture, earlier) = match &after {
            Some(token) => self.pictures_of(token).await?,
            None => self.pictures_for(&request).await?,
        };
        let filter = Filter::new(&request, picture.pin.entity())?;
        // A large picture is read through for milliseconds: not on the reactor.
        let cutting = tokio::task::spawn_blocking(move || {
            let pages = Pages {
                picture: &picture,
                earlier: earlier.as_deref(),
                filter: &filter,
                fingerprint,
            };
            let after = after.as_ref().map(|token| Key {
                account_id: token.account_id.as_deref(),
                user_id: token.user_id.as_deref(),
            });
            pages.page(after, rows_max)
        });
        let page = cutting.await.map_err(|error| Fault::of_task(&error))?;
        Ok(Response::new(page))
    }

    async fn explain(
        &self,
        request: Request<v1::HealthServiceExplainRequest>,
    ) -> Result<Response<v1::HealthServiceExplainResponse>, Status> {
        let request = request.into_inner();
        let rows_max = rows_of(
            request.max_rows,
            "max_rows",
            LIST_ROWS_DEFAULT,
            LIST_ROWS_MAX,
        )?;
        let wanted = self.question()?.of_explain(&request)?;
        question::check_ids(wanted.entity(), &request)?;
        let picture = self.picture(&wanted).await?;
        let key = Key {
            account_id: request.account_id.as_deref(),
            user_id: request.user_id.as_deref(),
        };
        let row = picture
            .find(key)
            .ok_or_else(|| not_in_picture(key, &picture))?;
        let (entity, pin) = (picture.id(row), &picture.pin);
        let _turn = turn(&self.turns, self.queue_wait, "statements").await?;
        let contributions = explain::contributions(&self.engine, pin, &entity, rows_max).await?;
        let signals = explain::signals(&self.engine, pin, &entity, rows_max).await?;
        Ok(Response::new(v1::HealthServiceExplainResponse {
            score: Some(picture.message(row)),
            contributions: contributions.rows,
            total_contributions: contributions.total,
            signals: signals.rows,
            total_signals: signals.total,
            picture: Some(picture.described()),
        }))
    }
}

impl Health {
    /// The service; `turns` are those of running statements.
    pub fn new(
        (store, engine): (Arc<Store>, QueryEngine),
        gate: Gate,
        turns: Arc<Semaphore>,
        queue_wait: Duration,
    ) -> Self {
        let source = EngineSource {
            store: Arc::clone(&store),
            engine: engine.clone(),
            pictures: Arc::new(Semaphore::new(PICTURES_COMPUTED_MAX)),
            turns: Arc::clone(&turns),
            queue_wait,
        };
        Self {
            gallery: Gallery::new(Box::new(source), gate),
            store,
            engine,
            turns,
            queue_wait,
        }
    }

    /// What questions are held against: the models, and the present.
    fn question(&self) -> Result<Question, Fault> {
        // The seq first: an event that it shows has happened by the clock read after it.
        let seq = self.store.snapshot().seq();
        Ok(Question {
            models: self.engine.models()?,
            seq,
            now_us: self.store.clock().now_us(),
        })
    }

    async fn picture(&self, wanted: &Wanted) -> Result<Arc<Picture>, Fault> {
        match wanted {
            Wanted::Standing(subject, max_staleness) => {
                self.gallery.standing(subject, *max_staleness).await
            }
            Wanted::Pinned(pin) => self.gallery.pinned(pin).await,
        }
    }

    /// The pictures of a first page.
    async fn pictures_for(
        &self,
        request: &v1::GetScoresRequest,
    ) -> Result<(Arc<Picture>, Option<Arc<Picture>>), Fault> {
        let question = self.question()?;
        let wanted = question.of_scores(request)?;
        // What is wrong is said before anything is computed.
        Filter::new(request, wanted.entity())?;
        let earlier = match &request.changed_since {
            Some(ChangedSince::ChangedSinceToken(text)) => {
                let pin: Pin = token::open(TokenKind::Picture, "changed_since_token", text)?;
                question.check_earlier(&pin, &wanted)?;
                Some(pin)
            }
            _ => None,
        };
        let picture = self.picture(&wanted).await?;
        let earlier = match &request.changed_since {
            Some(ChangedSince::ChangedSinceTime(time)) => {
                Some(question.pin_at(*time, &picture.pin)?)
            }
            _ => earlier,
        };
        let earlier = match earlier {
            Some(pin) => Some(self.repeated(&pin, "changed_since_token").await?),
            None => None,
        };
        Ok((picture, earlier))
    }

    /// The pictures of a page that follows another.
    async fn pictures_of(
        &self,
        token: &PageToken,
    ) -> Result<(Arc<Picture>, Option<Arc<Picture>>), Fault> {
        let picture = self.repeated(&token.pin, "page_token").await?;
        let earlier = match &token.earlier {
            Some(pin) => Some(self.repeated(pin, "page_token").await?),
            None => None,
        };
        Ok((picture, earlier))
    }

    /// The picture of a pin that an earlier answer named in a token of `field`.
    async fn repeated(&self, pin: &Pin, field: &str) -> Result<Arc<Picture>, Fault> {
        let picture = self.gallery.pinned(pin).await?;
        if picture.pin == *pin {
            return Ok(picture);
        }
        // A built-in model that was replaced cannot be asked by number.
        let message = format!(
            "version {} of the model {:?} is no longer to be had; begin anew without the token",
            pin.version, pin.model
        );
        Err(Fault::of_field(Reason::InvalidToken, field, message))
    }

    fn continued(&self, text: &str, fingerprint: u64) -> Result<PageToken, Fault> {
        let token: PageToken = token::open(TokenKind::Scores, "page_token", text)?;
        if token.fingerprint != fingerprint {
            let message = "belongs to a request with other fields; only page_size and \
                           max_staleness may change between pages";
            return Err(Fault::of_field(Reason::InvalidToken, "page_token", message));
        }
        let question = self.question()?;
        question.check_seq(&token.pin, "page_token")?;
        if let Some(earlier) = &token.earlier {
            question.check_seq(earlier, "page_token")?;
        }
        Ok(token)
    }
}

/// The hash of everything in a request that must stay the same from page to page.
fn fingerprint_of(request: &v1::GetScoresRequest) -> u64 {
    let lasting = v1::GetScoresRequest {
        page_size: 0,
        page_token: String::new(),
        max_staleness: None,
        ..request.clone()
    };
    token::hash(&lasting.encode_to_vec())
}

fn not_in_picture(key: Key<'_>, picture: &Picture) -> Fault {
    let (field, id) = match (key.account_id, key.user_id) {
        (Some(account), None) => ("account_id", format!("account {account:?}")),
        (None, Some(user)) => ("user_id", format!("user {user:?}")),
        (account, user) => (
            "user_id",
            format!(
                "member {:?} of {:?}",
                user.unwrap_or_default(),
                account.unwrap_or_default()
            ),
        ),
    };
    let message = format!(
        "the model {:?} has no score of {id}: it was not seen, has churned, or is of another model",
        picture.pin.model
    );
    Fault::of_field(Reason::EntityNotFound, field, message)
}
