//! Which column of a file with a header fills which field, decided once before the first row.

use super::error::ImportError;
use super::event_field::{EventField, is_store_column, nearest_field, nearest_name};
use super::options::ImportOptions;

/// The column (its position) of each field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldPlan {
    columns: [Option<usize>; EventField::ALL.len()],
}

impl FieldPlan {
    /// Decides for a file at `path` whose columns are `names`.
    ///
    /// # Errors
    /// A column that is neither ours nor mapped (unless unknown ones are ignored), a mapping whose
    /// column is absent, two columns for one field, no column for `event` or `event_time`.
    pub(super) fn decide(
        path: &str,
        names: &[String],
        options: &ImportOptions,
    ) -> Result<Self, ImportError> {
        for mapping in &options.mappings {
            if !names.contains(&mapping.column) {
                return Err(ImportError::NoSuchColumn {
                    path: path.to_owned(),
                    column: mapping.column.clone(),
                    near: nearest_name(&mapping.column, names).map(str::to_owned),
                });
            }
        }
        let mut plan = Self {
            columns: [None; EventField::ALL.len()],
        };
        for (position, name) in names.iter().enumerate() {
            match options.mapped(name).or_else(|| EventField::from_name(name)) {
                Some(field) => plan.assign(path, names, position, field)?,
                None if options.ignore_unknown || is_store_column(name) => {}
                None => {
                    let near = nearest_field(name).filter(|field| plan_lacks(names, *field));
                    let (path, column) = (path.to_owned(), name.clone());
                    return Err(ImportError::UnknownColumn { path, column, near });
                }
            }
        }
        for field in [EventField::Event, EventField::EventTime] {
            if plan.column(field).is_none() {
                let columns = names.join(", ");
                return Err(ImportError::MissingField {
                    path: path.to_owned(),
                    field,
                    columns,
                });
            }
        }
        Ok(plan)
    }

    /// The column that fills `field`.
    pub(super) fn column(&self, field: EventField) -> Option<usize> {
        self.columns[field as usize]
    }

    fn assign(
        &mut self,
        path: &str,
        names: &[String],
        position: usize,
        field: EventField,
    ) -> Result<(), ImportError> {
        match self.columns[field as usize].replace(position) {
            None => Ok(()),
            Some(first) => Err(ImportError::TwoColumns {
                path: path.to_owned(),
                field,
                first: names[first].clone(),
                second: names[position].clone(),
            }),
        }
    }
}

/// A field whose own name stands in the file is not suggested for another column.
fn plan_lacks(names: &[String], field: EventField) -> bool {
    !names.iter().any(|name| name == field.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(names: &[&str], mappings: &[&str], ignore: bool) -> Result<FieldPlan, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mappings = mappings
            .iter()
            .map(|text| text.parse().expect("a mapping"))
            .collect();
        let options = ImportOptions {
            mappings,
            ignore_unknown: ignore,
            ..Default::default()
        };
        FieldPlan::decide("file", &names, &options).map_err(|error| error.to_string())
    }

    #[test]
    fn own_names_come_in_any_order() {
        let plan = decide(&["seq", "event_time", "event", "value"], &[], false).expect("a plan");
        assert_eq!(plan.column(EventField::EventTime), Some(1));
        assert_eq!(plan.column(EventField::Value), Some(3));
        assert_eq!(plan.column(EventField::UserId), None);
    }

    #[test]
    fn unknown_columns_are_named_with_a_suggestion() {
        let names = ["event", "event_time", "acount_id"];
        let error = decide(&names, &[], false).expect_err("an unknown column");
        assert!(
            error.contains("\"acount_id\" (did you mean account_id?)"),
            "{error}"
        );
        assert!(error.contains("--map acount_id=account_id"), "{error}");
        assert!(decide(&names, &[], true).is_ok());
        assert!(decide(&names, &["acount_id=account_id"], false).is_ok());
        let error = decide(&["event", "event_time", "user_id", "user"], &[], false);
        assert!(
            !error.clone().expect_err("unknown").contains("did you mean"),
            "{error:?}"
        );
    }

    #[test]
    fn contradictions_are_errors() {
        let check = |names: &[&str], mappings: &[&str], reason: &str| {
            let error = decide(names, mappings, true).expect_err(reason);
            assert!(error.contains(reason), "{error}");
        };
        check(&["event", "event_time", "event"], &[], "both fill event");
        check(
            &["event", "event_time", "user"],
            &["user=event"],
            "both fill event",
        );
        check(
            &["event", "event_time"],
            &["usr=user_id"],
            "no column \"usr\"",
        );
        check(
            &["event", "event_time", "user"],
            &["usr=user_id"],
            "did you mean \"user\"?",
        );
        check(
            &["event", "ts"],
            &[],
            "no column for event_time; the file has event, ts",
        );
        let swapped = decide(
            &["event", "event_time", "user_id"],
            &["user_id=account_id"],
            false,
        );
        assert_eq!(swapped.expect("a plan").column(EventField::UserId), None);
    }
}
