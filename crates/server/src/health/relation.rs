//! Calls of the health relations over what a pin names.

use vitalog_query::{Access, Parameter, QueryEngine, QueryRequest, QueryStream};

use super::pin::Pin;
use crate::fault::Fault;
use crate::words::word_of;

/// A `SELECT` from one relation, with its values bound.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    sql: String,
    parameters: Vec<Parameter>,
    seq: i64,
}

impl Statement {
    /// `columns` of `relation` for what `pin` names, with those of the `more` arguments that have a
    /// value; their names are as SQL writes them.
    pub fn new(
        (relation, columns): (&str, &str),
        pin: &Pin,
        more: &[(&str, Option<&str>)],
    ) -> Self {
        let text = |value: &str| Parameter::Text(value.to_owned());
        let mut arguments = vec![
            ("model", text(&pin.model)),
            ("as_of", Parameter::TimestampUs(pin.as_of_us)),
        ];
        arguments.extend(word_of(pin.entity()).map(|word| ("entity", text(word))));
        let known_at = pin.known_at_us.map(Parameter::TimestampUs);
        arguments.extend(known_at.map(|time| ("known_at", time)));
        // The built-in model is what is in force where nothing was applied; it has no number.
        let version = (pin.version > 0).then(|| Parameter::Integer(pin.version.into()));
        arguments.extend(version.map(|version| ("version", version)));
        let given = more
            .iter()
            .filter_map(|&(name, value)| Some((name, text(value?))));
        arguments.extend(given);
        let (names, parameters): (Vec<_>, Vec<_>) = arguments.into_iter().unzip();
        let numbered = names.iter().zip(1..);
        let written: Vec<_> = numbered
            .map(|(name, number)| format!("{name} => ${number}"))
            .collect();
        let sql = format!("SELECT {columns} FROM {relation}({}) ", written.join(", "));
        Self {
            sql,
            parameters,
            seq: pin.seq,
        }
    }

    /// The same for rows whose columns have these values; one of `None` is any.
    pub fn that_has(mut self, values: &[(&str, Option<&str>)]) -> Self {
        let mut word = "WHERE";
        for (column, value) in values {
            let Some(value) = value else { continue };
            self.parameters.push(Parameter::Text((*value).to_owned()));
            let number = self.parameters.len();
            self.sql.push_str(&format!("{word} {column} = ${number} "));
            word = "AND";
        }
        self
    }

    /// The same with `rest` behind it.
    pub fn then(mut self, rest: &str) -> Self {
        self.sql.push_str(rest);
        self
    }

    /// Starts the statement.
    ///
    /// # Errors
    /// Those of the engine; what it finds wrong is the caller's request, not this statement.
    pub async fn start(self, engine: &QueryEngine) -> Result<QueryStream, Fault> {
        let request = QueryRequest {
            sql: self.sql,
            as_of_seq: Some(self.seq),
            access: Access::ReadOnly,
            parameters: self.parameters,
            ..QueryRequest::new("")
        };
        let started = engine.query(request).await;
        started.map_err(|error| Fault::of_own_statement(&error))
    }
}

#[cfg(test)]
mod tests {
    use vitalog_wire::vitalog::v1::Entity;

    use super::*;

    #[test]
    fn arguments_are_named_and_bound() {
        let mut pin = Pin {
            model: "it's".to_owned(),
            version: 0,
            entity: Entity::User.into(),
            seq: 9,
            as_of_us: 5,
            known_at_us: None,
        };
        let more = [("account", None), ("\"user\"", Some("ada"))];
        let statement = Statement::new(("r", "a, b"), &pin, &more)
            .that_has(&[("x", None), ("y", Some("bob")), ("z", Some("eve"))])
            .then("ORDER BY a");
        assert_eq!(
            statement.sql,
            "SELECT a, b FROM r(model => $1, as_of => $2, entity => $3, \"user\" => $4) \
             WHERE y = $5 AND z = $6 ORDER BY a"
        );
        let text = |value: &str| Parameter::Text(value.to_owned());
        let expected = [
            text("it's"),
            Parameter::TimestampUs(5),
            text("user"),
            text("ada"),
            text("bob"),
            text("eve"),
        ];
        assert_eq!(
            (statement.parameters.as_slice(), statement.seq),
            (&expected[..], 9)
        );
        (pin.version, pin.known_at_us) = (3, Some(4));
        let statement = Statement::new(("r", "*"), &pin, &[]);
        assert!(
            statement.sql.contains("known_at => $4, version => $5"),
            "{}",
            statement.sql
        );
        assert_eq!(
            statement.parameters[3..],
            [Parameter::TimestampUs(4), Parameter::Integer(3)]
        );
    }
}
