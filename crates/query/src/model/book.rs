//! Which models there are, and which version of each is in force, as one statement sees it.
//!
//! Versions come from the store's definitions, in the order of storing. A model that was never
//! applied under the name `default` has the built-in version 0.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use vitalog_store::{Definition, DefinitionKind};

use super::builtin::{BUILTIN_HASH, BUILTIN_TEXT};
use super::definition::Model;
use super::parse::{ModelFaults, parse};
use crate::error::{QueryError, QueryErrorKind};

/// Bytes of the texts whose models a cache keeps, at most; one is always kept.
const CACHED_TEXT_BYTES_MAX: usize = 32 << 20;

/// One version of a model.
#[derive(Clone, Debug)]
pub(crate) struct ModelVersion {
    pub model: Arc<Model>,
    /// From 1; 0 is built in.
    pub version: u32,
    /// When it was stored, microseconds; `None` for the built-in one and for a candidate.
    pub valid_from_us: Option<i64>,
    /// That of the definition; empty for a candidate.
    pub content_hash: String,
    /// As it was applied; empty for a candidate.
    pub text: Arc<str>,
}

/// Every version of every model that a statement sees.
#[derive(Clone, Debug)]
pub(crate) struct ModelBook {
    /// By name; versions ascend, and there is one at least.
    versions: BTreeMap<String, Vec<Arc<ModelVersion>>>,
}

impl ModelBook {
    /// The models among `definitions` that were stored at or before `seq_max` and, where it is
    /// given, `known_at_us`. Cost: one visit a definition; each text is parsed once a cache.
    ///
    /// # Errors
    /// [`QueryErrorKind::Data`] for a stored model that does not parse.
    pub fn of(
        definitions: &[Arc<Definition>],
        seq_max: i64,
        known_at_us: Option<i64>,
        cache: &ModelCache,
    ) -> Result<Self, QueryError> {
        let mut versions: BTreeMap<String, Vec<Arc<ModelVersion>>> = BTreeMap::new();
        let is_seen = |definition: &Definition| {
            let is_known = known_at_us.is_none_or(|known| definition.received_at_us <= known);
            is_known && definition.seq <= seq_max
        };
        for definition in definitions.iter().filter(|definition| is_seen(definition)) {
            let (DefinitionKind::Model, Some(text)) = (definition.kind, &definition.text) else {
                continue;
            };
            let model = read(definition, text, cache)?;
            let of_name = versions.entry(definition.name.clone()).or_default();
            of_name.push(Arc::new(ModelVersion {
                model,
                version: definition.version,
                valid_from_us: Some(definition.received_at_us),
                content_hash: definition.content_hash.clone(),
                text: Arc::clone(text),
            }));
        }
        let built_in = built_in();
        versions
            .entry(built_in.model.name.clone())
            .or_insert_with(|| vec![Arc::new(built_in)]);
        Ok(Self { versions })
    }

    /// The version in force: the latest.
    pub fn in_force(&self, name: &str) -> Option<&Arc<ModelVersion>> {
        self.versions(name).last()
    }

    /// A version by its number.
    pub fn version(&self, name: &str, version: u32) -> Option<&Arc<ModelVersion>> {
        let mut versions = self.versions(name).iter();
        versions.find(|known| known.version == version)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.versions.keys().map(String::as_str)
    }

    /// All versions of a name, ascending; none where there is no such model.
    pub fn versions(&self, name: &str) -> &[Arc<ModelVersion>] {
        self.versions.get(name).map_or(&[], Vec::as_slice)
    }

    /// The models in force that take an entity before `model` does: those with a priority, over
    /// the same entity, of a lower number or of the same number and a lower name; first come
    /// first. None where `model` has no priority itself.
    pub fn rivals(&self, model: &Model) -> Vec<Arc<ModelVersion>> {
        let rank = |model: &Model| Some((model.priority?, model.name.clone()));
        let Some(own) = rank(model) else {
            return Vec::new();
        };
        let in_force = self
            .versions
            .values()
            .filter_map(|versions| versions.last());
        let mut rivals: Vec<_> = in_force
            .filter(|other| other.model.entity == model.entity && other.model.name != model.name)
            .filter_map(|other| Some((rank(&other.model)?, other)))
            .filter(|(rank, _)| *rank < own)
            .collect();
        rivals.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        rivals
            .into_iter()
            .map(|(_, other)| Arc::clone(other))
            .collect()
    }

    /// The book as if `model` were applied now.
    pub fn candidate(mut self, model: Model) -> Self {
        let versions = self.versions.entry(model.name.clone()).or_default();
        let version = versions.last().map_or(1, |last| last.version + 1);
        versions.push(Arc::new(ModelVersion {
            model: Arc::new(model),
            version,
            valid_from_us: None,
            content_hash: String::new(),
            text: Arc::from(""),
        }));
        self
    }
}

fn built_in() -> ModelVersion {
    ModelVersion {
        model: Model::builtin(),
        version: 0,
        valid_from_us: None,
        content_hash: BUILTIN_HASH.to_owned(),
        text: Arc::from(BUILTIN_TEXT),
    }
}

fn read(definition: &Definition, text: &str, cache: &ModelCache) -> Result<Arc<Model>, QueryError> {
    let damaged = |problem: &str| {
        let (name, version) = (&definition.name, definition.version);
        let message = format!("version {version} of the model {name:?} cannot be read: {problem}");
        QueryError::new(QueryErrorKind::Data, message)
    };
    let parsed = cache.parse(&definition.content_hash, text);
    let model = parsed.map_err(|faults| damaged(&faults.to_string()))?;
    if model.name != definition.name {
        return Err(damaged(&format!("its text names it {:?}", model.name)));
    }
    Ok(model)
}

/// Parsed models by the hash of their text, shared by the statements of a session. Bounded by the
/// bytes of the texts; the oldest go first.
#[derive(Debug, Default)]
pub(crate) struct ModelCache(Mutex<Cached>);

#[derive(Debug, Default)]
struct Cached {
    models: HashMap<String, Arc<Model>>,
    /// Hashes and bytes of the texts, oldest first.
    order: VecDeque<(String, usize)>,
    text_bytes: usize,
}

impl ModelCache {
    /// The model of a text with this hash.
    ///
    /// # Errors
    /// What is wrong with the text; nothing is kept of it.
    pub fn parse(&self, content_hash: &str, text: &str) -> Result<Arc<Model>, ModelFaults> {
        if let Some(known) = self.locked(|cached| cached.models.get(content_hash).cloned()) {
            return Ok(known);
        }
        // Parsed outside the lock: at worst twice.
        let model = Arc::new(parse(text)?);
        self.locked(|cached| cached.keep(content_hash, text.len(), &model));
        Ok(model)
    }

    fn locked<T>(&self, use_it: impl FnOnce(&mut Cached) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Cached {
    fn keep(&mut self, content_hash: &str, bytes: usize, model: &Arc<Model>) {
        let hash = content_hash.to_owned();
        if self
            .models
            .insert(hash.clone(), Arc::clone(model))
            .is_some()
        {
            return;
        }
        self.order.push_back((hash, bytes));
        self.text_bytes += bytes;
        while self.text_bytes > CACHED_TEXT_BYTES_MAX && self.order.len() > 1 {
            if let Some((oldest, bytes)) = self.order.pop_front() {
                self.models.remove(&oldest);
                self.text_bytes -= bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Definitions, each stored a second after the one before, at seq 10, 20, …
    fn stored(texts: &[&str]) -> Vec<Arc<Definition>> {
        let mut versions: HashMap<String, u32> = HashMap::new();
        let store = |(at, text): (usize, &&str)| {
            let name = parse(text).expect(text).name;
            let version = versions.entry(name.clone()).or_default();
            *version += 1;
            let at = at as i64 + 1;
            Arc::new(Definition {
                kind: DefinitionKind::Model,
                name,
                version: *version,
                content_hash: format!("hash of {text}"),
                received_at_us: at * 1_000_000,
                seq: at * 10,
                text: Some(Arc::from(*text)),
            })
        };
        texts.iter().enumerate().map(store).collect()
    }

    fn book(definitions: &[Arc<Definition>], seq: i64, known_at_us: Option<i64>) -> ModelBook {
        ModelBook::of(definitions, seq, known_at_us, &ModelCache::default()).expect("a book")
    }

    #[test]
    fn an_empty_store_has_the_built_in_model() {
        let book = book(&[], 0, None);
        assert_eq!(book.names().collect::<Vec<_>>(), ["default"]);
        let default = book.in_force("default").expect("the default");
        assert_eq!((default.version, default.valid_from_us), (0, None));
        assert_eq!(*default.text, *BUILTIN_TEXT);
        assert!(book.version("default", 0).is_some());
        assert!(book.in_force("other").is_none() && book.versions("other").is_empty());
    }

    #[test]
    fn what_is_in_force_at_a_point_in_time() {
        let definitions = stored(&[
            "name = \"a\"\nperiod_days = 7",
            "name = \"default\"\nperiod_days = 8",
            "name = \"a\"\nperiod_days = 9",
        ]);
        let periods = |book: &ModelBook, name: &str| {
            let versions = book.versions(name).iter();
            versions
                .map(|version| (version.version, version.model.period_days))
                .collect::<Vec<_>>()
        };
        let check = |seq, known_at_us, a: &[(u32, u32)], default: &[(u32, u32)]| {
            let book = book(&definitions, seq, known_at_us);
            assert_eq!(periods(&book, "a"), a, "{seq} {known_at_us:?}");
            assert_eq!(periods(&book, "default"), default, "{seq} {known_at_us:?}");
        };
        check(9, None, &[], &[(0, 30)]);
        check(10, None, &[(1, 7)], &[(0, 30)]);
        check(20, None, &[(1, 7)], &[(1, 8)]);
        check(30, None, &[(1, 7), (2, 9)], &[(1, 8)]);
        check(99, Some(999_999), &[], &[(0, 30)]);
        check(99, Some(1_000_000), &[(1, 7)], &[(0, 30)]);
        check(99, Some(2_999_999), &[(1, 7)], &[(1, 8)]);
        check(99, Some(3_000_000), &[(1, 7), (2, 9)], &[(1, 8)]);
        check(10, Some(3_000_000), &[(1, 7)], &[(0, 30)]);

        let now = book(&definitions, 30, None);
        let a = now.in_force("a").expect("a");
        assert_eq!(a.version, 2);
        assert_eq!(a.valid_from_us, Some(3_000_000));
        assert!(now.version("a", 1).is_some() && now.version("a", 3).is_none());
    }

    #[test]
    fn views_are_no_models() {
        let view = Definition {
            kind: DefinitionKind::View,
            name: "v".to_owned(),
            version: 1,
            content_hash: String::new(),
            received_at_us: 1,
            seq: 1,
            text: Some(Arc::from("SELECT 1")),
        };
        assert_eq!(book(&[Arc::new(view)], 9, None).names().count(), 1);
    }

    #[test]
    fn a_stored_model_that_does_not_parse_is_named() {
        let definition = |name: &str, text: &str| Definition {
            kind: DefinitionKind::Model,
            name: name.to_owned(),
            version: 3,
            content_hash: text.to_owned(),
            received_at_us: 1,
            seq: 1,
            text: Some(Arc::from(text)),
        };
        for (text, problem) in [
            ("name = \"a\"\nperiod_days = 0", "line 2: period_days is 0"),
            ("name = \"b\"", "its text names it \"b\""),
        ] {
            let definitions = [Arc::new(definition("a", text))];
            let error = ModelBook::of(&definitions, 1, None, &ModelCache::default())
                .expect_err("does not parse");
            assert_eq!(error.kind(), QueryErrorKind::Data);
            let shown = error.to_string();
            assert!(shown.contains("version 3 of the model \"a\""), "{shown}");
            assert!(shown.contains(problem), "{shown}");
        }
    }

    #[test]
    fn rivals_stand_before() {
        let model = |name: &str, rest: &str| format!("name = \"{name}\"\n{rest}");
        let texts = [
            model("late", "priority = 9"),
            model("b", "priority = 5"),
            model("a", "priority = 5"),
            model("c", "priority = 5"),
            model("alone", ""),
            model("first", "priority = -1"),
            model("users", "priority = 1\nentity = \"user\""),
            model("was", "priority = 1"),
            model("was", "period_days = 3"),
        ];
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let book = book(&stored(&texts), 1_000, None);
        let check = |name: &str, expected: &[&str]| {
            let model = &book.in_force(name).expect(name).model;
            let rivals = book.rivals(model);
            let names: Vec<&str> = rivals
                .iter()
                .map(|rival| rival.model.name.as_str())
                .collect();
            assert_eq!(names, expected, "{name}");
        };
        check("first", &[]);
        check("a", &["first"]);
        check("b", &["first", "a"]);
        check("late", &["first", "a", "b", "c"]);
        check("alone", &[]);
        check("users", &[]);
        check("default", &[]);
    }

    #[test]
    fn a_candidate_stands_as_if_applied() {
        let model = |text: &str| parse(text).expect(text);
        let before = book(&stored(&["name = \"a\"\npriority = 1"]), 10, None);
        let after = before
            .clone()
            .candidate(model("name = \"a\"\npriority = 3"));
        let a = after.in_force("a").expect("a");
        assert_eq!((a.version, a.model.priority), (2, Some(3)));
        assert_eq!(after.versions("a").len(), 2);
        let after = before.candidate(model("name = \"default\"\nperiod_days = 5"));
        // The built-in one stays beside it, to be compared with.
        assert_eq!(after.versions("default").len(), 2);
        let default = after.in_force("default").expect("default");
        assert_eq!((default.version, default.model.period_days), (1, 5));
        assert!(default.valid_from_us.is_none());
    }

    #[test]
    fn the_cache_is_shared_and_bounded() {
        let cache = ModelCache::default();
        let first = cache.parse("1", "name = \"a\"").expect("valid");
        let again = cache.parse("1", "name = \"a\"").expect("valid");
        assert!(Arc::ptr_eq(&first, &again));
        assert!(cache.parse("2", "nam = \"a\"").is_err());
        assert_eq!(cache.locked(|cached| cached.models.len()), 1);

        let big = format!("name = \"b\"\n#{}", "x".repeat(1_000_000));
        for at in 0..40 {
            cache.parse(&format!("big {at}"), &big).expect("valid");
        }
        let (kept, bytes) = cache.locked(|cached| (cached.models.len(), cached.text_bytes));
        assert_eq!((kept, bytes), (33, 33 * big.len()));
        assert!(bytes <= CACHED_TEXT_BYTES_MAX);
        let newest = cache.locked(|cached| cached.models.contains_key("big 39"));
        let oldest = cache.locked(|cached| cached.models.contains_key("1"));
        assert!(newest && !oldest);
    }
}
