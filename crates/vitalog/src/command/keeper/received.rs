//! What a server sends of models and views, as the engine of this process gives it.

use anyhow::anyhow;
use vitalog_query::{ModelDescription, ModelFault, ViewDescription};
use vitalog_wire::vitalog::v1 as wire;

use super::{Checked, Refusal};
use crate::command::instant::microseconds;
use crate::command::model::difference::Difference;

pub(super) fn nothing_in(call: &str) -> anyhow::Error {
    anyhow!("the server's answer to {call} is empty")
}

pub(super) fn described(model: wire::Model) -> ModelDescription {
    let entity = match model.entity() {
        wire::Entity::User => "user",
        wire::Entity::Member => "member",
        wire::Entity::Account | wire::Entity::Unspecified => "account",
    };
    ModelDescription {
        entity: entity.to_owned(),
        name: model.name,
        version: model.version,
        priority: model.priority,
        period_days: model.period_days,
        description: model.description,
        valid_from_us: model
            .valid_from
            .map(|time| microseconds(time.seconds, time.nanos)),
        content_hash: model.content_hash,
        is_current: model.is_current,
        text: model.toml,
    }
}

pub(super) fn described_view(view: wire::View) -> ViewDescription {
    let valid_from = view.valid_from;
    ViewDescription {
        name: view.name,
        version: view.version,
        valid_from_us: valid_from.map_or(0, |time| microseconds(time.seconds, time.nanos)),
        is_current: view.is_current,
        sql: (!view.is_dropped).then_some(view.sql),
    }
}

pub(super) fn checked(answer: wire::ModelServiceCheckResponse) -> Result<Checked, Refusal> {
    if !answer.faults.is_empty() {
        let faults = answer.faults.into_iter().map(|fault| ModelFault {
            line: fault.line as usize,
            message: fault.message,
        });
        return Err(Refusal::Faults(faults.collect()));
    }
    Ok(Checked {
        total: answer.total,
        changed: answer.total_changed,
        differences: answer.differences.into_iter().map(Into::into).collect(),
    })
}

impl From<wire::ScoreDifference> for Difference {
    fn from(one: wire::ScoreDifference) -> Self {
        let band = |band| {
            let word = match band {
                wire::Band::Green => "green",
                wire::Band::Yellow => "yellow",
                wire::Band::Red => "red",
                wire::Band::Unspecified => return None,
            };
            Some(word.to_owned())
        };
        let status = |status| {
            let word = match status {
                wire::Status::Green => "green",
                wire::Status::Yellow => "yellow",
                wire::Status::Red => "red",
                wire::Status::Unspecified => return None,
            };
            Some(word.to_owned())
        };
        Self {
            score: (one.old_score, one.new_score),
            band: (band(one.old_band()), band(one.new_band())),
            status: (status(one.old_status()), status(one.new_status())),
            account_id: one.account_id,
            user_id: one.user_id,
        }
    }
}
