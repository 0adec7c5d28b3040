//! The tables of relations in `docs/health.md` are what the engine says of its relations.
//!
//! `VITALOG_UPDATE=1 cargo nextest run -p vitalog-query --test reference` writes them again.
#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Write;
use std::path::Path;

use arrow::datatypes::{DataType, IntervalUnit};
use vitalog_query::RelationDescription;

use support::{batches, empty_store, engine_over, request};

const BEGIN: &str = "<!-- relations: generated, see crates/query/tests/reference.rs -->\n";
const END: &str = "<!-- end of relations -->\n";

#[test]
fn the_tables_of_relations_are_up_to_date() {
    let engine = engine_over(&empty_store());
    let mut expected = String::new();
    for relation in engine.relations() {
        section(&mut expected, relation);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/health.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the mark of the beginning");
    let (found, after) = rest.split_once(END).expect("the mark of the end");
    if std::env::var_os("VITALOG_UPDATE").is_some() {
        let page = format!("{before}{BEGIN}{expected}{END}{after}");
        std::fs::write(&path, page).unwrap();
    } else {
        assert!(
            found == expected,
            "docs/health.md is old: run again with VITALOG_UPDATE=1"
        );
    }
}

fn section(page: &mut String, relation: &RelationDescription) {
    let RelationDescription {
        name,
        description,
        example,
        arguments,
        columns,
        column_comments,
        ..
    } = relation;
    writeln!(page, "\n### {name}\n\n{description}").unwrap();
    if let Some(example) = example {
        writeln!(page, "\n```sql\n{example}\n```").unwrap();
    }
    writeln!(page, "\n| argument | type | default | meaning |").unwrap();
    writeln!(page, "|---|---|---|---|").unwrap();
    for argument in arguments {
        let default = argument.default.as_deref().unwrap_or("required");
        let (name, kind) = (&argument.name, type_name(&argument.data_type));
        let meaning = &argument.description;
        writeln!(page, "| `{name}` | {kind} | {default} | {meaning} |").unwrap();
    }
    assert_eq!(columns.fields().len(), column_comments.len(), "{name}");
    // Columns that another relation has in the same words are not listed twice.
    if name == "health_history" {
        writeln!(page, "\nColumns: those of [health_scores](#health_scores).").unwrap();
        return;
    }
    writeln!(page, "\n| column | type | meaning |").unwrap();
    writeln!(page, "|---|---|---|").unwrap();
    for (column, meaning) in columns.fields().iter().zip(column_comments) {
        let kind = type_name(column.data_type());
        writeln!(page, "| `{}` | {kind} | {meaning} |", column.name()).unwrap();
    }
}

/// The type as SQL names it.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "TEXT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Timestamp(_, _) => "TIMESTAMP".to_owned(),
        DataType::Interval(IntervalUnit::MonthDayNano) => "INTERVAL".to_owned(),
        DataType::List(item) => format!("list of {}", type_name(item.data_type())),
        other => panic!("{other} has no name in SQL yet"),
    }
}

/// So that the short cut above stays true.
#[test]
fn the_columns_of_a_history_are_those_of_scores() {
    let engine = engine_over(&empty_store());
    let of = |name: &str| {
        let found = engine.relations().iter().find(|known| known.name == name);
        let found = found.unwrap();
        (found.columns.clone(), found.column_comments.clone())
    };
    assert_eq!(of("health_history"), of("health_scores"));
}

#[tokio::test]
async fn every_example_of_a_relation_runs() {
    let engine = engine_over(&empty_store());
    for relation in engine.relations() {
        let sql = relation.example.as_deref().unwrap();
        let answered = batches(&engine, request(sql)).await;
        assert!(answered.is_ok(), "{}: {:?}", relation.name, answered.err());
    }
}
