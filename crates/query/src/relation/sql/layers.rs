//! Columns that follow from others, put into an order in which each finds what it needs.
//!
//! A column comes from a source (a subquery that is joined once, however many of its columns are
//! wanted) or from a formula over other columns. Formulas stand in nested SELECTs: each level sees
//! the columns of the levels below.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::error::DataFusionError;

use super::text;
use crate::relation::argument::invalid;

/// Where a column comes from.
#[derive(Clone, Debug)]
pub(super) enum Origin<Source> {
    /// A column of a source.
    Source(Source),
    /// SQL over the columns that it needs.
    Formula { sql: String, needs: Vec<String> },
}

/// The columns of sources that are needed, and the formulas over them by level.
#[derive(Debug)]
pub(super) struct Layers<Source> {
    pub sources: BTreeMap<Source, BTreeSet<String>>,
    /// Name and SQL.
    pub levels: Vec<Vec<(String, String)>>,
}

impl<Source: Copy + Ord> Layers<Source> {
    /// What `wanted` columns need, where `origin` says what each is.
    ///
    /// # Errors
    /// Those of `origin`, and columns that need themselves.
    pub fn of(
        wanted: &BTreeSet<String>,
        origin: impl Fn(&str) -> Result<Origin<Source>, DataFusionError>,
    ) -> Result<Self, DataFusionError> {
        let mut builder = Builder {
            origin,
            layers: Self {
                sources: BTreeMap::new(),
                levels: Vec::new(),
            },
            known: BTreeMap::new(),
        };
        for name in wanted {
            builder.level_of(name)?;
        }
        Ok(builder.layers)
    }

    /// The levels around `base`, which has the columns of the sources.
    pub fn around(&self, base: String) -> String {
        self.levels.iter().fold(base, |inner, level| {
            let formulas: Vec<String> = level
                .iter()
                .map(|(column, sql)| format!("{sql} AS {}", text::name(column)))
                .collect();
            format!("SELECT *, {} FROM ({inner})", formulas.join(", "))
        })
    }
}

struct Builder<Source, F> {
    origin: F,
    layers: Layers<Source>,
    /// Levels by column; `None` while it is being looked at.
    known: BTreeMap<String, Option<usize>>,
}

impl<Source: Copy + Ord, F: Fn(&str) -> Result<Origin<Source>, DataFusionError>>
    Builder<Source, F>
{
    /// 0 for a column of a source, else the level of its formula, from 1.
    fn level_of(&mut self, name: &str) -> Result<usize, DataFusionError> {
        match self.known.get(name) {
            Some(Some(level)) => return Ok(*level),
            Some(None) => return Err(invalid(format!("{name} is defined by itself"))),
            None => {}
        }
        self.known.insert(name.to_owned(), None);
        let level = match (self.origin)(name)? {
            Origin::Source(source) => {
                let columns = self.layers.sources.entry(source).or_default();
                columns.insert(name.to_owned());
                0
            }
            Origin::Formula { sql, needs } => {
                let mut below = 0;
                for need in &needs {
                    below = below.max(self.level_of(need)?);
                }
                if self.layers.levels.len() <= below {
                    self.layers.levels.resize_with(below + 1, Vec::new);
                }
                self.layers.levels[below].push((name.to_owned(), sql));
                below + 1
            }
        };
        self.known.insert(name.to_owned(), Some(level));
        Ok(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(name: &str) -> Result<Origin<u8>, DataFusionError> {
        let formula = |sql: &str, needs: &[&str]| Origin::Formula {
            sql: sql.to_owned(),
            needs: needs.iter().map(|&need| need.to_owned()).collect(),
        };
        Ok(match name {
            "a" | "b" => Origin::Source(1),
            "c" => Origin::Source(2),
            "sum" => formula("a + b", &["a", "b"]),
            "twice" => formula("2 * sum", &["sum"]),
            "mixed" => formula("twice + a", &["twice", "a"]),
            "loop" => formula("pool", &["pool"]),
            "pool" => formula("loop", &["loop"]),
            other => return Err(invalid(format!("no column {other}"))),
        })
    }

    fn layers(wanted: &[&str]) -> Result<Layers<u8>, DataFusionError> {
        let wanted = wanted.iter().map(|&name| name.to_owned()).collect();
        Layers::of(&wanted, origin)
    }

    #[test]
    fn formulas_stand_above_what_they_need_and_nothing_else_is_asked_for() {
        let layers = layers(&["mixed", "sum"]).expect("defined");
        assert_eq!(
            layers.sources.keys().copied().collect::<Vec<_>>(),
            vec![1],
            "source 2 is not needed"
        );
        assert_eq!(
            layers.around("SELECT a, b FROM t".to_owned()),
            "SELECT *, twice + a AS \"mixed\" FROM (SELECT *, 2 * sum AS \"twice\" FROM \
             (SELECT *, a + b AS \"sum\" FROM (SELECT a, b FROM t)))"
        );
    }

    #[test]
    fn a_column_that_needs_itself_is_refused() {
        let error = layers(&["loop"]).expect_err("a circle");
        assert!(
            error.to_string().contains("is defined by itself"),
            "{error}"
        );
    }
}
