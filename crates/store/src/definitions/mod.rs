//! Definitions: models and named views as versioned data, append-only, in the same log as events.
//!
//! Owns what a definition is, its limits and the list of all versions; what a text says is for
//! those who use it. Versions of a (kind, name) are dense from 1 unless a repair had to set some
//! aside, and neither `seq` nor
//! `received_at` ever goes down along the list, so a reader at any point in time takes a prefix.

mod file;

use std::collections::HashMap;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

pub(crate) use file::{
    DefinitionEntry, count_in, decode_record, encode_file, encode_record, read_file,
};

use crate::error::{Result, StoreError};
use crate::wal::FrameKind;

/// The folder of definition files.
pub(crate) const FOLDER: &str = "definitions";

/// Bytes of a name, at most.
pub(crate) const NAME_BYTES_MAX: u64 = 128;
/// Bytes of a text, at most.
pub(crate) const TEXT_BYTES_MAX: u64 = 1 << 20;
/// Versions of all definitions of a store, at most: a snapshot lists them all.
pub(crate) const DEFINITIONS_MAX: u64 = 10_000;
/// Bytes of all versions' texts together, at most: they stay in memory.
pub(crate) const TEXT_BYTES_TOTAL_MAX: u64 = 64 << 20;

/// What is defined.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum DefinitionKind {
    /// A health model, in TOML. It can be changed, never dropped.
    Model,
    /// A named view, in SQL.
    View,
}

impl DefinitionKind {
    /// The kind of the frame that carries it in the log; its number stands in definition files.
    pub(crate) fn frame_kind(self) -> FrameKind {
        match self {
            Self::Model => FrameKind::Model,
            Self::View => FrameKind::View,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::View => "view",
        }
    }
}

/// One version of a model or a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// What is defined.
    pub kind: DefinitionKind,
    /// Its name; 1 to 128 bytes.
    pub name: String,
    /// 1, 2, 3 … for each (kind, name), dense: every stored change counts.
    pub version: u32,
    /// XXH3-128 of the text's bytes as 32 lower-case hexadecimal digits; empty where there is no
    /// text.
    pub content_hash: String,
    /// When it was stored, microseconds; never decreases over events and definitions together.
    pub received_at_us: i64,
    /// The last `seq` that was durable when it was stored: a read at this `seq` or later sees it.
    pub seq: i64,
    /// TOML or SQL, at most 1 MiB; `None` where this version drops the view.
    pub text: Option<Arc<str>>,
}

/// What became of a definition. Returned once it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionReceipt {
    /// The version in force now.
    pub definition: Arc<Definition>,
    /// Whether it was stored by this call; false where the one in force has the same text.
    pub is_new: bool,
}

/// A definition that wants to be stored.
#[derive(Debug)]
pub(crate) struct DefinitionDraft {
    kind: DefinitionKind,
    name: String,
    text: Option<Arc<str>>,
}

impl DefinitionDraft {
    /// # Errors
    /// An empty name, a model without a text, a name or text that is too long.
    pub fn new(kind: DefinitionKind, name: &str, text: Option<&str>) -> Result<Self> {
        if name.is_empty() {
            let noun = kind.noun();
            return Err(StoreError::Invalid(format!("a {noun} needs a name")));
        }
        if text.is_none() && kind == DefinitionKind::Model {
            let reason = format!("the model {name:?} has no text; a model cannot be dropped");
            return Err(StoreError::Invalid(reason));
        }
        // Invalid, not a limit of the store: sending it again later is of no use.
        let text_bytes = text.map_or(0, str::len);
        for (part, found, at_most) in [
            ("name", name.len(), NAME_BYTES_MAX),
            ("text", text_bytes, TEXT_BYTES_MAX),
        ] {
            if found as u64 > at_most {
                let noun = kind.noun();
                return Err(StoreError::Invalid(format!(
                    "the {part} of a {noun} has {found} bytes, at most {at_most}"
                )));
            }
        }
        Ok(Self {
            kind,
            name: name.to_owned(),
            text: text.map(Arc::from),
        })
    }
}

fn limit(what: &'static str, found: u64, limit: u64) -> Result<()> {
    if found > limit {
        return Err(StoreError::Limit { what, found, limit });
    }
    Ok(())
}

/// Every version of every definition of a store, in the order of storing.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    all: Arc<Vec<Arc<Definition>>>,
    /// Where in `all` the newest version of a name stands.
    in_force: HashMap<(DefinitionKind, String), usize>,
    text_bytes: u64,
}

impl Definitions {
    /// All versions, as a snapshot holds them.
    pub fn all(&self) -> &Arc<Vec<Arc<Definition>>> {
        &self.all
    }

    fn newest(&self, kind: DefinitionKind, name: &str) -> Option<&Arc<Definition>> {
        let at = self.in_force.get(&(kind, name.to_owned()))?;
        Some(&self.all[*at])
    }

    /// The version in force, where it says what `draft` says.
    pub fn unchanged(&self, draft: &DefinitionDraft) -> Option<Arc<Definition>> {
        let newest = self.newest(draft.kind, &draft.name)?;
        (newest.text == draft.text).then(|| Arc::clone(newest))
    }

    /// The version that `draft` becomes where it is stored now.
    ///
    /// # Errors
    /// A view is dropped that was never stored, or the store holds too many definitions.
    pub fn next(
        &self,
        draft: DefinitionDraft,
        seq: i64,
        received_at_us: i64,
    ) -> Result<Definition> {
        let DefinitionDraft { kind, name, text } = draft;
        let newest = self.newest(kind, &name);
        if newest.is_none() && text.is_none() {
            let noun = kind.noun();
            return Err(StoreError::Invalid(format!("there is no {noun} {name:?}")));
        }
        let count = self.all.len() as u64 + 1;
        limit("definitions of a store", count, DEFINITIONS_MAX)?;
        let bytes = self.text_bytes + text.as_ref().map_or(0, |text| text.len()) as u64;
        limit(
            "bytes of all definitions' texts",
            bytes,
            TEXT_BYTES_TOTAL_MAX,
        )?;
        let version = newest.map_or(1, |newest| newest.version + 1);
        Ok(Definition {
            kind,
            name,
            version,
            content_hash: content_hash(text.as_deref()),
            received_at_us,
            seq,
            text,
        })
    }

    /// Whether this version, or a later one, is in the list.
    pub fn holds(&self, definition: &Definition) -> bool {
        self.newest(definition.kind, &definition.name)
            .is_some_and(|newest| newest.version >= definition.version)
    }

    /// Adds the next definition.
    ///
    /// # Errors
    /// Why it does not follow those in the list.
    pub fn push(&mut self, definition: Definition) -> std::result::Result<Arc<Definition>, String> {
        let newest = self.newest(definition.kind, &definition.name);
        let expected = newest.map_or(1, |newest| newest.version + 1);
        // A gap is what a repair leaves that had to set a file aside.
        if definition.version < expected {
            let (noun, name) = (definition.kind.noun(), &definition.name);
            let found = definition.version;
            return Err(format!(
                "version {found} of the {noun} {name:?}, expected {expected} or later"
            ));
        }
        let is_older = |last: &Arc<Definition>| {
            definition.seq < last.seq || definition.received_at_us < last.received_at_us
        };
        if self.all.last().is_some_and(is_older) {
            let name = &definition.name;
            return Err(format!("{name:?} is older than the definition before it"));
        }
        let definition = Arc::new(definition);
        self.text_bytes += definition.text.as_ref().map_or(0, |text| text.len()) as u64;
        let key = (definition.kind, definition.name.clone());
        self.in_force.insert(key, self.all.len());
        // Copies the list where a snapshot holds it, not the definitions.
        Arc::make_mut(&mut self.all).push(Arc::clone(&definition));
        Ok(definition)
    }
}

/// See [`Definition::content_hash`].
fn content_hash(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| {
        format!("{:032x}", xxh3_128(text.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(name: &str, text: Option<&str>) -> DefinitionDraft {
        DefinitionDraft::new(DefinitionKind::View, name, text).expect("valid")
    }

    fn store(definitions: &mut Definitions, name: &str, text: Option<&str>) -> Arc<Definition> {
        let seq = definitions.all().len() as i64;
        let next = definitions.next(draft(name, text), seq, seq).expect("next");
        definitions.push(next).expect("follows")
    }

    #[test]
    fn versions_are_dense_by_kind_and_name() {
        let mut definitions = Definitions::default();
        let versions: Vec<u32> = [("a", "1"), ("b", "1"), ("a", "2"), ("a", "1")]
            .into_iter()
            .map(|(name, text)| store(&mut definitions, name, Some(text)).version)
            .collect();
        assert_eq!(versions, [1, 1, 2, 3]);
        assert_eq!(store(&mut definitions, "a", None).version, 4);
        assert_eq!(definitions.all().len(), 5);
        let other = DefinitionDraft::new(DefinitionKind::Model, "a", Some("1")).expect("valid");
        assert_eq!(definitions.next(other, 9, 9).expect("next").version, 1);
    }

    #[test]
    fn only_the_version_in_force_is_compared() {
        let mut definitions = Definitions::default();
        store(&mut definitions, "a", Some("1"));
        let second = store(&mut definitions, "a", Some("2"));
        assert_eq!(definitions.unchanged(&draft("a", Some("1"))), None);
        let unchanged = definitions.unchanged(&draft("a", Some("2")));
        assert_eq!(unchanged, Some(second));
        let dropped = store(&mut definitions, "a", None);
        assert_eq!(definitions.unchanged(&draft("a", None)), Some(dropped));
        assert_eq!(definitions.unchanged(&draft("a", Some("2"))), None);
    }

    #[test]
    fn hashes_are_xxh3_128() {
        // The empty input's value as the xxHash project gives it.
        let empty = "99aa06d3014798d86001c324468d497f";
        assert_eq!(content_hash(Some("")), empty);
        assert_eq!(content_hash(None), "");
        assert_ne!(content_hash(Some("a")), content_hash(Some("b")));
    }

    #[test]
    fn a_request_that_is_wrong_is_refused() {
        let refused = |kind, name: &str, text: Option<&str>| {
            let error = DefinitionDraft::new(kind, name, text).expect_err("refused");
            assert_eq!(error.kind(), crate::StoreErrorKind::Invalid);
            error.to_string()
        };
        let (model, view) = (DefinitionKind::Model, DefinitionKind::View);
        assert_eq!(refused(view, "", Some("x")), "a view needs a name");
        assert!(refused(model, "m", None).contains("cannot be dropped"));
        let text = refused(view, &"n".repeat(129), Some("x"));
        assert_eq!(text, "the name of a view has 129 bytes, at most 128");
        let long = "t".repeat((1 << 20) + 1);
        let text = refused(model, "m", Some(&long));
        assert_eq!(
            text,
            "the text of a model has 1048577 bytes, at most 1048576"
        );
        assert!(DefinitionDraft::new(view, &"n".repeat(128), Some(&long[1..])).is_ok());
    }

    #[test]
    fn a_store_holds_so_many_definitions_and_so_much_text() {
        let mut definitions = Definitions::default();
        for at in 0..DEFINITIONS_MAX {
            store(&mut definitions, "a", Some(&at.to_string()));
        }
        let error = definitions.next(draft("a", None), 20_000, 20_000);
        let error = error.expect_err("full");
        assert_eq!(error.kind(), crate::StoreErrorKind::Limit);
        let text = error.to_string();
        assert_eq!(text, "definitions of a store: 10001, at most 10000");

        let mut definitions = Definitions::default();
        for at in 0..64 {
            let text = format!("{at:02}").repeat(1 << 19);
            store(&mut definitions, "a", Some(&text));
        }
        let error = definitions.next(draft("b", Some("x")), 99, 99);
        let text = error.expect_err("full").to_string();
        assert_eq!(
            text,
            "bytes of all definitions' texts: 67108865, at most 67108864"
        );
        // A drop has no text.
        assert_eq!(store(&mut definitions, "a", None).version, 65);
    }

    #[test]
    fn what_does_not_follow_is_refused() {
        let mut definitions = Definitions::default();
        let first = store(&mut definitions, "a", Some("1"));
        let next = |version, seq, received_at_us| Definition {
            version,
            received_at_us,
            seq,
            ..first.as_ref().clone()
        };
        assert!(definitions.holds(&next(1, 5, 5)));
        assert!(!definitions.holds(&next(2, 5, 5)));
        assert!(definitions.push(next(1, 5, 5)).is_err(), "known");
        assert!(definitions.push(next(2, -1, 5)).is_err(), "an older seq");
        assert!(definitions.push(next(2, 5, -1)).is_err(), "an older time");
        assert_eq!(definitions.all().len(), 1);
        assert!(definitions.push(next(2, 5, 5)).is_ok());
    }
}
