//! Functions and relations as `information_schema` shows them: names, types and defaults.
//!
//! Owns what is known of the types of a function whose signature enumerates none: it is asked what
//! it casts NULLs to. Invariant: a function that DataFusion lists itself is not among them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::types::NativeType;
use datafusion::execution::SessionState;
use datafusion::logical_expr::function::WindowUDFFieldArgs;
use datafusion::logical_expr::{Documentation, ReturnFieldArgs, Signature, Volatility};
use vitalog_functions::json_documentation;

use crate::describe::RelationDescription;

/// The type of what may be of several types.
const ANY: &str = "Any";

/// One function or relation that DataFusion does not list in full.
pub(crate) struct Routine {
    pub name: String,
    /// `SCALAR`, `AGGREGATE`, `WINDOW` or `TABLE`.
    pub kind: &'static str,
    pub deterministic: bool,
    pub returns: String,
    pub description: Option<String>,
    pub syntax: Option<String>,
    pub inputs: Vec<Parameter>,
    /// What it gives back: the columns of a relation, one nameless value of a function.
    pub outputs: Vec<Parameter>,
}

pub(crate) struct Parameter {
    pub name: Option<String>,
    pub data_type: String,
    pub default: Option<String>,
}

impl Routine {
    /// Every function of `state` that DataFusion does not list.
    pub fn unlisted(state: &SessionState) -> impl Iterator<Item = Self> + '_ {
        scalars(state)
            .chain(aggregates(state))
            .chain(windows(state))
    }

    /// Asks a function on JSON what it returns for JSON text and a key.
    fn returned(&mut self, returned: &impl Fn(&[DataType]) -> Option<FieldRef>) {
        let texts = vec![DataType::Utf8; self.inputs.len()];
        let Some(field) = returned(&texts) else {
            return;
        };
        self.returns = type_name(field.data_type());
        for output in &mut self.outputs {
            output.data_type.clone_from(&self.returns);
        }
    }

    /// A relation: a function of kind `TABLE`.
    pub fn of_relation(relation: &RelationDescription) -> Self {
        let inputs = relation.arguments.iter().map(|argument| Parameter {
            name: Some(argument.name.clone()),
            data_type: type_name(&argument.data_type),
            default: argument.default.clone(),
        });
        let outputs = relation.columns.fields().iter().map(|column| Parameter {
            name: Some(column.name().clone()),
            data_type: type_name(column.data_type()),
            default: None,
        });
        Self {
            name: relation.name.clone(),
            kind: "TABLE",
            // What it reads may be another day's.
            deterministic: false,
            returns: "TABLE".to_owned(),
            description: Some(relation.description.clone()),
            syntax: Some(relation.signature.clone()),
            inputs: inputs.collect(),
            outputs: outputs.collect(),
        }
    }
}

/// What a function knows of types.
struct Types<Coerce, Return> {
    /// The types that arguments of these types are cast to.
    coerced: Coerce,
    /// What is returned for arguments of these types.
    returned: Return,
}

fn scalars(state: &SessionState) -> impl Iterator<Item = Routine> + '_ {
    let functions = state.scalar_functions().iter();
    functions.filter_map(|(name, function)| {
        let types = Types {
            coerced: |types: &[DataType]| function.coerce_types(types).ok(),
            returned: |types: &[DataType]| {
                let (fields, unknown) = (fields(types), vec![None; types.len()]);
                let arguments = ReturnFieldArgs {
                    arg_fields: &fields,
                    scalar_arguments: &unknown,
                };
                function.return_field_from_args(arguments).ok()
            },
        };
        let json = json_documentation(function.name());
        let documentation = function.documentation().or(json);
        let known = (function.signature(), documentation);
        let mut found = routine(name, "SCALAR", known, &types)?;
        if json.is_some() {
            found.returned(&types.returned);
        }
        Some(found)
    })
}

fn aggregates(state: &SessionState) -> impl Iterator<Item = Routine> + '_ {
    let functions = state.aggregate_functions().iter();
    functions.filter_map(|(name, function)| {
        let types = Types {
            coerced: |types: &[DataType]| function.coerce_types(types).ok(),
            returned: |types: &[DataType]| function.return_field(&fields(types)).ok(),
        };
        let known = (function.signature(), function.documentation());
        routine(name, "AGGREGATE", known, &types)
    })
}

fn windows(state: &SessionState) -> impl Iterator<Item = Routine> + '_ {
    let functions = state.window_functions().iter();
    functions.filter_map(|(name, function)| {
        let types = Types {
            coerced: |types: &[DataType]| function.coerce_types(types).ok(),
            returned: |types: &[DataType]| {
                let fields = fields(types);
                let arguments = WindowUDFFieldArgs::new(&fields, function.name());
                function.field(arguments).ok()
            },
        };
        let known = (function.signature(), function.documentation());
        routine(name, "WINDOW", known, &types)
    })
}

/// A function whose signature enumerates no types with which it can be called; `None` for any
/// other, because DataFusion lists it.
fn routine<Coerce, Return>(
    name: &str,
    kind: &'static str,
    (signature, documentation): (&Signature, Option<&Documentation>),
    types: &Types<Coerce, Return>,
) -> Option<Routine>
where
    Coerce: Fn(&[DataType]) -> Option<Vec<DataType>>,
    Return: Fn(&[DataType]) -> Option<FieldRef>,
{
    let examples = signature.type_signature.get_example_types();
    let mut returned = examples.iter().map(|example| (types.returned)(example));
    if returned.any(|returned| returned.is_some()) {
        return None;
    }
    let (inputs, returns) = match &signature.parameter_names {
        Some(names) => named_parameters(names, types),
        None => (documented_parameters(documentation), ANY.to_owned()),
    };
    Some(Routine {
        name: name.to_owned(),
        kind,
        deterministic: signature.volatility == Volatility::Immutable,
        outputs: vec![Parameter {
            name: None,
            data_type: returns.clone(),
            default: None,
        }],
        returns,
        description: documentation.map(|documentation| documentation.description.clone()),
        syntax: documentation.map(|documentation| documentation.syntax_example.clone()),
        inputs,
    })
}

/// The parameters of a function that names them: those that can be left out have the default NULL,
/// which stands for leaving them out, and each has the type that a NULL is cast to.
fn named_parameters<Coerce, Return>(
    names: &[String],
    types: &Types<Coerce, Return>,
) -> (Vec<Parameter>, String)
where
    Coerce: Fn(&[DataType]) -> Option<Vec<DataType>>,
    Return: Fn(&[DataType]) -> Option<FieldRef>,
{
    let nulls = vec![DataType::Null; names.len()];
    let least = (0..=names.len()).find(|&count| (types.coerced)(&nulls[..count]).is_some());
    let known = (types.coerced)(&nulls);
    let inputs = names.iter().enumerate().map(|(index, name)| {
        let data_type = known.as_ref().and_then(|types| types.get(index));
        Parameter {
            name: Some(name.clone()),
            data_type: data_type.map_or_else(|| ANY.to_owned(), type_name),
            default: (least.is_some_and(|least| least <= index)).then(|| "NULL".to_owned()),
        }
    });
    let returned = known.as_ref().and_then(|known| (types.returned)(known));
    let returns = returned.map_or_else(|| ANY.to_owned(), |field| type_name(field.data_type()));
    (inputs.collect(), returns)
}

fn documented_parameters(documentation: Option<&Documentation>) -> Vec<Parameter> {
    let arguments = documentation.and_then(|documentation| documentation.arguments.as_ref());
    let parameter = |(name, _): &(String, String)| Parameter {
        name: Some(name.clone()),
        data_type: ANY.to_owned(),
        default: None,
    };
    arguments.into_iter().flatten().map(parameter).collect()
}

fn fields(types: &[DataType]) -> Vec<FieldRef> {
    let field = |data_type: &DataType| Arc::new(Field::new("argument", data_type.clone(), true));
    types.iter().map(field).collect()
}

/// The name that DataFusion's own rows give a type.
fn type_name(data_type: &DataType) -> String {
    NativeType::from(data_type.clone()).to_string()
}
