//! The words of SQL that are enums on the wire.

use vitalog_wire::vitalog::v1::{Band, Direction, Entity, Status};

use crate::fault::{Fault, Reason};

/// The word of an entity; `None` where none is named.
pub(crate) fn word_of(entity: Entity) -> Option<&'static str> {
    match entity {
        Entity::Unspecified => None,
        Entity::Account => Some("account"),
        Entity::User => Some("user"),
        Entity::Member => Some("member"),
    }
}

/// The entity of a word.
///
/// # Errors
/// A word that the wire has no name for, which is a bug.
pub(crate) fn entity_of(word: &str) -> Result<Entity, Fault> {
    match word {
        "account" => Ok(Entity::Account),
        "user" => Ok(Entity::User),
        "member" => Ok(Entity::Member),
        _ => Err(unknown("entity", word)),
    }
}

/// The band of a word; NULL is unspecified.
///
/// # Errors
/// A word that the wire has no name for, which is a bug.
pub(crate) fn band_of(word: Option<&str>) -> Result<Band, Fault> {
    match word {
        None => Ok(Band::Unspecified),
        Some("green") => Ok(Band::Green),
        Some("yellow") => Ok(Band::Yellow),
        Some("red") => Ok(Band::Red),
        Some(word) => Err(unknown("band", word)),
    }
}

/// The status of a word; NULL is unspecified.
///
/// # Errors
/// As [`band_of`].
pub(crate) fn status_of(word: Option<&str>) -> Result<Status, Fault> {
    Ok(match band_of(word)? {
        Band::Unspecified => Status::Unspecified,
        Band::Green => Status::Green,
        Band::Yellow => Status::Yellow,
        Band::Red => Status::Red,
    })
}

/// The direction of a word; NULL is unspecified.
///
/// # Errors
/// As [`band_of`].
pub(crate) fn direction_of(word: Option<&str>) -> Result<Direction, Fault> {
    match word {
        None => Ok(Direction::Unspecified),
        Some("up") => Ok(Direction::Up),
        Some("flat") => Ok(Direction::Flat),
        Some("down") => Ok(Direction::Down),
        Some(word) => Err(unknown("direction", word)),
    }
}

fn unknown(what: &str, word: &str) -> Fault {
    Fault::new(Reason::Internal, format!("{word:?} is no {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_its_number_and_others_are_bugs() {
        for entity in [Entity::Account, Entity::User, Entity::Member] {
            assert_eq!(entity_of(word_of(entity).expect("a word")), Ok(entity));
        }
        assert_eq!(word_of(Entity::Unspecified), None);
        assert_eq!(status_of(Some("red")), Ok(Status::Red));
        assert_eq!(status_of(None), Ok(Status::Unspecified));
        assert_eq!(direction_of(Some("down")), Ok(Direction::Down));
        assert!(band_of(Some("purple")).is_err() && direction_of(Some("")).is_err());
    }
}
