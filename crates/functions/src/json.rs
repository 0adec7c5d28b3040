//! What the functions on JSON are, which the query engine registers beside those of this crate.
//!
//! They are those of `datafusion-functions-json`, which documents none of them in a form that SQL
//! can show. This owns their words, not the functions.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use datafusion_expr::{DocSection, Documentation};

const SECTION: DocSection = DocSection {
    include: true,
    label: "JSON",
    description: None,
};

/// What stands above the functions on the reference page.
pub(crate) const HEAD: &str = "
`json` is JSON text, such as the column `properties` of `events`; each further argument is one step
into it: a key of an object, or a place in an array (from 0; -1 is the last). A step that leads
nowhere gives NULL, and so does text that is no JSON. How `events` answers for a key without parsing
JSON is told in [properties.md](properties.md).

| operator | function |
|---|---|
| `json ->> 'key'` | `json_as_text(json, 'key')` |
| `json -> 'key'` | `json_get(json, 'key')` |
| `json ? 'key'` | `json_contains(json, 'key')` |
| `json #> ['key', 0]`, `json #>> ['key', 0]` | the same as `->` and `->>` with several steps |

The operators bind more tightly than arithmetic and comparisons, and from left to right:
`properties -> 'plan' ->> 'name' = 'pro'`.
";

struct Words {
    name: &'static str,
    syntax: &'static str,
    description: &'static str,
    example: &'static str,
}

const JSON: (&str, &str) = ("json", "JSON text.");
const STEP: (&str, &str) = (
    "step",
    "A key (text) or a place in an array (integer); any number of them.",
);

const ALL: [Words; 13] = [
    Words {
        name: "json_as_text",
        syntax: "json_as_text(json, step, …)",
        description: "The value as text: a string without its quotes, any other value as it is written, so that `1.0`, `1e2` and 9007199254740993 stay what they are. NULL where the value is missing, and for JSON's null. `json ->> step` is the same.",
        example: "SELECT json_as_text('{\"n\":1e2}', 'n');",
    },
    Words {
        name: "json_contains",
        syntax: "json_contains(json, step, …)",
        description: "Whether there is such a value; JSON's null is one. `json ? step` is the same.",
        example: "SELECT json_contains('{\"n\":null}', 'n');",
    },
    Words {
        name: "json_from_scalar",
        syntax: "json_from_scalar(value)",
        description: "A number, text, boolean or NULL as a JSON value, of the type that `json_get` gives.",
        example: "SELECT json_from_scalar(5);",
    },
    Words {
        name: "json_get",
        syntax: "json_get(json, step, …)",
        description: "The value as a JSON value, into which further steps lead. It leaves the query as JSON text. Numbers are read as BIGINT or DOUBLE; cast to BIGINT, DOUBLE, BOOLEAN or VARCHAR it is the function that reads this type. `json -> step` is the same.",
        example: "SELECT json_get(json_get('{\"plan\":{\"seats\":5}}', 'plan'), 'seats');",
    },
    Words {
        name: "json_get_array",
        syntax: "json_get_array(json, step, …)",
        description: "The items of an array as a list of JSON texts; NULL where it is none.",
        example: "SELECT json_get_array('{\"tags\":[\"a\",2]}', 'tags');",
    },
    Words {
        name: "json_get_bool",
        syntax: "json_get_bool(json, step, …)",
        description: "`true` and `false`, also as strings; NULL for any other value.",
        example: "SELECT json_get_bool('{\"trial\":true}', 'trial');",
    },
    Words {
        name: "json_get_float",
        syntax: "json_get_float(json, step, …)",
        description: "A number, or a string with one, as the nearest DOUBLE; NULL for any other value.",
        example: "SELECT json_get_float('{\"n\":1e2}', 'n');",
    },
    Words {
        name: "json_get_int",
        syntax: "json_get_int(json, step, …)",
        description: "A whole number (`7`, `7.0`, `7e0`), or a string with the digits of one, as BIGINT; NULL for any other value, for fractions, and beyond BIGINT.",
        example: "SELECT json_get_int('{\"n\":7}', 'n');",
    },
    Words {
        name: "json_get_json",
        syntax: "json_get_json(json, step, …)",
        description: "The value as the JSON text that stands there: strings with their quotes, numbers as written.",
        example: "SELECT json_get_json('{\"plan\":{\"seats\":5}}', 'plan');",
    },
    Words {
        name: "json_get_str",
        syntax: "json_get_str(json, step, …)",
        description: "A string without its quotes; NULL for any other value.",
        example: "SELECT json_get_str('{\"country\":\"DE\"}', 'country');",
    },
    Words {
        name: "json_length",
        syntax: "json_length(json, step, …)",
        description: "How many members an object or items an array has; NULL for any other value.",
        example: "SELECT json_length('[1,2,3]');",
    },
    Words {
        name: "json_object_keys",
        syntax: "json_object_keys(json, step, …)",
        description: "The keys of an object as a list, in their order; NULL for any other value.",
        example: "SELECT json_object_keys('{\"a\":1,\"b\":2}');",
    },
    Words {
        name: "json_union_to_text",
        syntax: "json_union_to_text(value)",
        description: "A JSON value of `json_get` as JSON text.",
        example: "SELECT json_union_to_text(json_get('{\"a\":[1,2]}', 'a'));",
    },
];

static DOCUMENTED: LazyLock<BTreeMap<&'static str, Documentation>> = LazyLock::new(|| {
    ALL.iter()
        .map(|words| (words.name, documented(words)))
        .collect()
});

fn documented(words: &Words) -> Documentation {
    let example = format!("```sql\n> {}\n```", words.example);
    let builder =
        Documentation::builder(SECTION, words.description, words.syntax).with_sql_example(example);
    let builder = match words.syntax.contains("json,") {
        true => builder
            .with_argument(JSON.0, JSON.1)
            .with_argument(STEP.0, STEP.1),
        false => builder.with_argument("value", "What is converted."),
    };
    builder.build()
}

/// What the function on JSON of this name does; `None` for any other.
pub fn json_documentation(name: &str) -> Option<&'static Documentation> {
    DOCUMENTED.get(name)
}

/// All of them, by name.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Option<&'static Documentation>)> {
    DOCUMENTED
        .iter()
        .map(|(name, documentation)| (*name, Some(documentation)))
}
