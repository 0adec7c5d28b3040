//! A relation as it is called: a leaf of the logical plan that keeps its arguments as expressions,
//! so that `$1` can be bound like anywhere else.

use std::cmp::Ordering;
use std::fmt;

use datafusion::common::DFSchemaRef;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use super::{Argument, Relation};

/// Replaced by a bound table before anything is optimised (`binding`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RelationCall {
    pub relation: Relation,
    pub arguments: Vec<(Argument, Expr)>,
    pub schema: DFSchemaRef,
}

impl PartialOrd for RelationCall {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let key = |call: &Self| (call.relation, format!("{:?}", call.arguments));
        (self == other)
            .then_some(Ordering::Equal)
            .or_else(|| key(self).partial_cmp(&key(other)))
    }
}

impl UserDefinedLogicalNodeCore for RelationCall {
    fn name(&self) -> &str {
        self.relation.name()
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.arguments
            .iter()
            .map(|(_, value)| value.clone())
            .collect()
    }

    fn fmt_for_explain(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}(", self.relation.name())?;
        for (at, (argument, value)) in self.arguments.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(formatter, "{comma}{} => {value}", argument.name())?;
        }
        formatter.write_str(")")
    }

    fn with_exprs_and_inputs(
        &self,
        values: Vec<Expr>,
        _inputs: Vec<LogicalPlan>,
    ) -> Result<Self, DataFusionError> {
        let names = self.arguments.iter().map(|(argument, _)| *argument);
        Ok(Self {
            arguments: names.zip(values).collect(),
            ..self.clone()
        })
    }
}
