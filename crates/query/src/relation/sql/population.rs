//! Who is a row: the entities that match the model, were seen before the instant, and had not
//! churned by then. With their traits and first and last activity.

use arrow::datatypes::Field;

use super::{doubles, text};
use crate::model::{Entity, Model};
use crate::relation::moment::Moment;
use crate::relation::question::Question;
use crate::relation::scope::Scope;
use crate::tables::{Kind, TableName};

/// Columns that every population has beside its keys; NULL where the entity has no such trait.
const COLUMNS: [(&str, Kind); 16] = [
    ("name", Kind::Text),
    ("plan", Kind::Text),
    ("seats", Kind::Integer),
    ("mrr", Kind::Double),
    ("created_at", Kind::Time),
    ("renewal_at", Kind::Time),
    ("churned_at", Kind::Time),
    ("churn_type", Kind::Text),
    ("user_name", Kind::Text),
    ("email", Kind::Text),
    ("role", Kind::Text),
    ("traits", Kind::Text),
    ("user_traits", Kind::Text),
    ("first_seen_at", Kind::Time),
    ("last_seen_at", Kind::Time),
    ("events", Kind::Integer),
];

/// Whether the population of `entity` has the column beside its keys: the key that it has not got
/// is NULL.
pub(super) fn has_column(entity: Entity, name: &str) -> bool {
    let is_other_key = ["account_id", "user_id"].contains(&name) && !keys(entity).contains(&name);
    is_other_key || COLUMNS.iter().any(|(column, _)| *column == name)
}

/// Whether the column is a whole number, which SQL of a model sees as a DOUBLE.
pub(super) fn is_integer(name: &str) -> bool {
    COLUMNS.contains(&(name, Kind::Integer))
}

/// What SQL of a model sees of an entity's traits.
pub(in crate::relation) fn fields() -> Vec<Field> {
    let keys = [("account_id", Kind::Text), ("user_id", Kind::Text)];
    let seen = |kind: Kind| match kind {
        Kind::Integer => Kind::Double.data_type(),
        other => other.data_type(),
    };
    keys.iter()
        .chain(&COLUMNS)
        .map(|(name, kind)| Field::new(*name, seen(*kind), true))
        .collect()
}

/// The columns that say which entity a row is.
pub(super) fn keys(entity: Entity) -> &'static [&'static str] {
    match entity {
        Entity::Account => &["account_id"],
        Entity::User => &["user_id"],
        Entity::Member => &["account_id", "user_id"],
    }
}

/// The keys as a list, each after `prefix`.
pub(super) fn key_list(entity: Entity, prefix: &str) -> String {
    let keys: Vec<String> = keys(entity)
        .iter()
        .map(|key| format!("{prefix}{key}"))
        .collect();
    keys.join(", ")
}

/// The condition that the keys of two sides are equal.
pub(super) fn keys_equal(entity: Entity, left: &str, right: &str) -> String {
    let equal: Vec<String> = keys(entity)
        .iter()
        .map(|key| format!("{left}.{key} = {right}.{key}"))
        .collect();
    equal.join(" AND ")
}

/// The condition that no key is NULL.
pub(super) fn keys_known(entity: Entity) -> String {
    let known: Vec<String> = keys(entity)
        .iter()
        .map(|key| format!("{key} IS NOT NULL"))
        .collect();
    known.join(" AND ")
}

/// The entities of a question at a moment.
pub(super) fn population(question: &Question, moment: Moment, scope: &Scope) -> String {
    among(question, moment, scope, Churned::Left)
}

/// The same with those that churned: for questions that go back in time.
pub(super) fn with_churned(question: &Question, moment: Moment, scope: &Scope) -> String {
    among(question, moment, scope, Churned::Kept)
}

/// Whether entities that churned before the moment are rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Churned {
    Left,
    Kept,
}

fn among(question: &Question, moment: Moment, scope: &Scope, churned: Churned) -> String {
    let table = |table| scope.table(table, moment.instant_us);
    let accounts = accounts(&table(TableName::Accounts));
    let mut conditions = Vec::new();
    let rows = match question.entity {
        Entity::Account => accounts,
        Entity::User => {
            conditions.extend(users_of_accounts(question, moment, scope));
            users(&table(TableName::Users))
        }
        Entity::Member => members(
            &table(TableName::Memberships),
            &accounts,
            &table(TableName::Users),
            moment,
        ),
    };
    if churned == Churned::Left {
        let until = text::instant(moment.instant_us);
        conditions.push(format!("(churned_at IS NULL OR churned_at >= {until})"));
    }
    let is_about_accounts = question.model().entity != Entity::User;
    if question.entity != Entity::User || !is_about_accounts {
        conditions.extend(belongs(question));
    }
    if conditions.is_empty() {
        return rows;
    }
    format!("SELECT * FROM ({rows}) WHERE {}", conditions.join(" AND "))
}

/// The model's filter, and that no rival takes the entity.
fn belongs(question: &Question) -> Vec<String> {
    let filter = |model: &Model| {
        let filter = model.filter.as_ref();
        filter.map_or_else(|| "TRUE".to_owned(), doubles::expression)
    };
    let own = question.model().filter.as_ref().map(doubles::expression);
    let rivals = question.rivals.iter();
    let others = rivals.map(|rival| format!("NOT coalesce({}, FALSE)", filter(&rival.model)));
    own.into_iter().chain(others).collect()
}

/// The condition that a row of `memberships` is a member at the moment: a removal may lie ahead.
pub(super) fn is_member(prefix: &str, moment: Moment) -> String {
    let until = text::instant(moment.instant_us);
    format!("({prefix}removed_at IS NULL OR {prefix}removed_at >= {until})")
}

/// A model of accounts takes the users of whose accounts one belongs to it, where it leaves out any.
fn users_of_accounts(question: &Question, moment: Moment, scope: &Scope) -> Option<String> {
    let conditions = belongs(question);
    if question.model().entity == Entity::User || conditions.is_empty() {
        return None;
    }
    let table = |table| scope.table(table, moment.instant_us);
    let accounts = accounts(&table(TableName::Accounts));
    Some(format!(
        "user_id IN (SELECT user_id FROM {} WHERE account_id IN \
         (SELECT account_id FROM ({accounts}) WHERE {}))",
        table(TableName::Memberships),
        conditions.join(" AND ")
    ))
}

fn accounts(table: &str) -> String {
    format!(
        "SELECT account_id, CAST(NULL AS VARCHAR) AS user_id, name, plan, seats, mrr, created_at, renewal_at, churned_at, \
         churn_type, CAST(NULL AS VARCHAR) AS user_name, CAST(NULL AS VARCHAR) AS email, \
         CAST(NULL AS VARCHAR) AS role, traits, CAST(NULL AS VARCHAR) AS user_traits, \
         first_seen_at, last_seen_at, events FROM {table}"
    )
}

fn users(table: &str) -> String {
    format!(
        "SELECT CAST(NULL AS VARCHAR) AS account_id, user_id, name, CAST(NULL AS VARCHAR) AS plan, CAST(NULL AS BIGINT) AS seats, \
         CAST(NULL AS DOUBLE) AS mrr, created_at, instant(NULL) AS renewal_at, \
         instant(NULL) AS churned_at, CAST(NULL AS VARCHAR) AS churn_type, name AS user_name, \
         email, role, traits, traits AS user_traits, first_seen_at, last_seen_at, events \
         FROM {table}"
    )
}

fn members(memberships: &str, accounts: &str, users: &str, moment: Moment) -> String {
    let is_member = is_member("m.", moment);
    format!(
        "SELECT m.account_id, m.user_id, a.name, a.plan, a.seats, a.mrr, a.created_at, \
         a.renewal_at, a.churned_at, a.churn_type, u.name AS user_name, u.email, u.role, \
         a.traits, u.traits AS user_traits, m.first_seen_at, m.last_seen_at, m.events \
         FROM {memberships} m JOIN ({accounts}) a ON m.account_id = a.account_id \
         JOIN {users} u ON m.user_id = u.user_id WHERE {is_member}"
    )
}
