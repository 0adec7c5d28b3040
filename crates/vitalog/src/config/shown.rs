//! The settings that are in force, and where each comes from.
//!
//! Invariant: what is shown holds no secret. Files of secrets are shown by their names; a
//! variable that is a secret itself only says that it is set.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use toml::{Table, Value};

use super::in_force::in_force;
use super::{Config, environment, read, variable};

/// Variables that are secrets.
const SECRETS: [&str; 1] = ["VITALOG_TOKEN"];

/// Where a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Default,
    File,
    Environment,
}

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
        }
    }
}

/// One setting as it is in force.
#[derive(Clone, Debug, PartialEq)]
struct Setting {
    section: &'static str,
    key: &'static str,
    /// `None`: it is not set, and has no default.
    value: Option<Value>,
    origin: Origin,
}

/// Every setting, by section, and the secrets of the environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    settings: Vec<Setting>,
    /// Names of variables that are set.
    secrets: Vec<&'static str>,
}

impl Settings {
    /// The settings of `file` and the environment.
    ///
    /// # Errors
    /// As [`Config::load`]; a value outside its range; and settings that contradict each other.
    /// Files of secrets are not read.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let config = Config::load(file)?;
        Self::of(&config, &read(file)?, environment())
    }

    fn of(
        config: &Config,
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let file: Table = text.parse()?;
        let (mut variables, mut secrets) = (BTreeSet::new(), Vec::new());
        for (name, value) in environment {
            variables.extend(variable(&name));
            let secret = SECRETS.into_iter().find(|secret| *secret == name);
            secrets.extend(secret.filter(|_| !value.is_empty()));
        }
        let origin = |section: &str, key: &str| {
            let stands_in = |table: &Table| {
                let section = table.get(section).and_then(Value::as_table);
                section.is_some_and(|section| section.contains_key(key))
            };
            if variables.contains(&(section.to_owned(), key.to_owned())) {
                Origin::Environment
            } else if stands_in(&file) {
                Origin::File
            } else {
                Origin::Default
            }
        };
        let in_force = in_force(config)?.into_iter();
        let settings = in_force.map(|(section, key, value)| Setting {
            section,
            key,
            value,
            origin: origin(section, key),
        });
        Ok(Self {
            settings: settings.collect(),
            secrets,
        })
    }
}

/// As a file of settings, with a comment behind each.
impl fmt::Display for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = "";
        for setting in &self.settings {
            if setting.section != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                section = setting.section;
                writeln!(formatter, "{gap}[{section}]")?;
            }
            let key = setting.key;
            match &setting.value {
                Some(value) => {
                    let line = format!("{key} = {value}");
                    writeln!(formatter, "{line:<48} # {}", setting.origin.name())?;
                }
                None => writeln!(formatter, "# {key} is not set")?,
            }
        }
        for name in &self.secrets {
            writeln!(formatter, "\n# {name} (set)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(file: &str, environment: &[(&str, &str)]) -> Settings {
        let pairs = || {
            let pairs = environment.iter();
            pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        };
        let config = Config::parse(file, pairs()).expect("valid");
        Settings::of(&config, file, pairs()).expect("valid")
    }

    #[test]
    fn each_setting_says_where_it_comes_from() {
        let file = "[store]\ndurability = \"buffered\"\nretention_days = 9\n\
                    [snapshot]\ntables = [\"events\"]";
        let environment = [
            ("VITALOG_STORE__RETENTION_DAYS", "30"),
            ("VITALOG_TOKEN", "vtl_x"),
        ];
        let text = settings(file, &environment).to_string();
        let line = |words: &str, origin: &str| {
            let mut lines = text.lines();
            let found = lines.any(|line| line.starts_with(words) && line.ends_with(origin));
            assert!(found, "{words:?} {origin:?} in {text}");
        };
        line("durability = \"buffered\" ", "# file");
        line("retention_days = 30 ", "# environment");
        line("tables = [\"events\"] ", "# file");
        line("grpc = \"127.0.0.1:50051\" ", "# default");
        line("# tokens_file is not set", "");
        line("# VITALOG_TOKEN (set)", "");
        assert!(!text.contains("vtl_x"), "{text}");
    }

    #[test]
    fn what_is_shown_is_a_file_of_settings_that_says_the_same() {
        let shown = settings("[log]\nlevel = \"info\"", &[]).to_string();
        let again = Config::parse(&shown, std::iter::empty()).expect(&shown);
        let again = Settings::of(&again, &shown, std::iter::empty()).expect("valid");
        let values = |text: &str| text.parse::<Table>().expect("TOML");
        assert_eq!(values(&shown), values(&again.to_string()));
    }

    #[test]
    fn every_setting_has_a_variable() {
        for setting in settings("", &[]).settings {
            let text = match &setting.value {
                Some(Value::String(text)) => text.clone(),
                Some(value @ (Value::Integer(_) | Value::Boolean(_))) => value.to_string(),
                // It has no default, or is a list.
                _ => continue,
            };
            let (section, key) = (setting.section.to_uppercase(), setting.key.to_uppercase());
            let name = format!("VITALOG_{section}__{key}");
            let shown = settings("", &[(name.as_str(), text.as_str())]);
            let is_it = |one: &&Setting| (one.section, one.key) == (setting.section, setting.key);
            let found = shown.settings.iter().find(is_it).expect(&name);
            assert_eq!(
                (found.origin, &found.value),
                (Origin::Environment, &setting.value),
                "{name}"
            );
        }
    }

    #[test]
    fn a_value_outside_its_range_is_not_shown() {
        for text in ["[server]\nqueries_max = 0", "[query]\nscan_threads = 0"] {
            let config = Config::parse(text, std::iter::empty()).expect(text);
            let shown = Settings::of(&config, text, std::iter::empty());
            let error = shown.expect_err(text).to_string();
            assert!(error.contains("expected 1 to"), "{error}");
        }
    }

    /// Every key that a section takes: an unknown one makes the parser list them.
    #[test]
    fn no_setting_is_left_out() {
        let settings = settings("", &[]);
        let sections: BTreeSet<&str> = settings.settings.iter().map(|one| one.section).collect();
        let expected = |text: &str| -> BTreeSet<String> {
            let refused = Config::parse(text, std::iter::empty()).expect_err(text);
            let words = format!("{refused:#}");
            let (_, list) = words.split_once("expected").expect("a list");
            let names = list.lines().next().unwrap_or_default();
            let names = names.split('`').skip(1).step_by(2);
            names.map(str::to_owned).collect()
        };
        let known = expected("[none]");
        assert_eq!(
            known,
            sections.iter().map(|name| (*name).to_owned()).collect()
        );
        for section in sections {
            let keys = settings
                .settings
                .iter()
                .filter(|one| one.section == section);
            let keys: BTreeSet<String> = keys.map(|one| one.key.to_owned()).collect();
            assert_eq!(
                expected(&format!("[{section}]\nnone = 1")),
                keys,
                "{section}"
            );
        }
    }
}
