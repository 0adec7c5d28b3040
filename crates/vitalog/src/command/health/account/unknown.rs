//! What is said where nobody of an id is scored: why, or whom one may have meant.

use anyhow::{Error, anyhow};

use crate::command::grid::shown_date;
use crate::command::health::Question;
use crate::command::keeper::near;
use crate::command::progress::count;
use crate::command::source::{Source, quoted};

/// Why nobody of that id is scored.
pub(super) fn unknown(source: &Source, question: &Question, id: &str) -> anyhow::Result<Error> {
    let model = &question.model;
    let known = source.ask(&format!(
        "SELECT account_id, name, churned_at FROM accounts WHERE account_id = {}",
        quoted(id)
    ))?;
    if known.len() > 0 {
        let churned = known.times("churned_at")?.into_iter().next().flatten();
        return Ok(match churned {
            Some(churned_us) => anyhow!(
                "account {id} is not scored: it churned on {}; --as-of asks for a time before",
                shown_date(churned_us)
            ),
            None => anyhow!(
                "account {id} is not scored by model {model} at that time: the model does not take \
                 it, or it was not there"
            ),
        });
    }
    let others = source.ask(&format!(
        "SELECT h.account_id, h.user_id, a.name FROM {} AS h \
         LEFT JOIN accounts AS a ON a.account_id = h.account_id",
        question.call("health_scores", &[])
    ))?;
    let ids = others
        .texts("account_id")?
        .into_iter()
        .zip(others.texts("user_id")?);
    let ids: Vec<String> = ids.filter_map(|(account, user)| account.or(user)).collect();
    // Whoever knows the name and not the id is told the id.
    let names = others.texts("name")?;
    let by_name = names.iter().flatten().map(String::as_str);
    let near_id = near(id, ids.iter().map(String::as_str)).map(str::to_owned);
    let near_name = near(id, by_name).and_then(|found| {
        let row = names
            .iter()
            .position(|name| name.as_deref() == Some(found))?;
        Some(ids[row].clone())
    });
    let hint = match near_id.or(near_name) {
        Some(near) => format!("did you mean {near}?"),
        None => format!(
            "`vitalog health` lists the {} there are",
            count(ids.len() as u64)
        ),
    };
    Ok(anyhow!("there is no account {id}; {hint}"))
}
