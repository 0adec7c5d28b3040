//! What every scalar function does the same: reading columns row by row, and the surface to SQL.

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::Float64Type;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs};
use vitalog_measure::Curve;
use vitalog_measure::score::PERCENTILE_DEFAULT;

use crate::parameters::refused_row;

/// Runs a function over columns of equal length, one row when all arguments are scalars.
pub(crate) fn over_columns(
    args: &ScalarFunctionArgs,
    run: impl FnOnce(&[ArrayRef]) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let columns = ColumnarValue::values_to_arrays(&args.args)?;
    let result = run(&columns)?;
    let all_scalar = args
        .args
        .iter()
        .all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    Ok(if all_scalar {
        ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)
    } else {
        ColumnarValue::Array(result)
    })
}

/// A column of numbers, or of defaults where the argument was left out.
pub(crate) struct Numbers<'a>(Option<&'a Float64Array>);

impl<'a> Numbers<'a> {
    pub(crate) fn of(columns: &'a [ArrayRef], index: usize) -> Self {
        Self(columns.get(index).map(AsArray::as_primitive::<Float64Type>))
    }

    /// The number of a row, `None` for NULL.
    pub(crate) fn at(&self, row: usize) -> Option<f64> {
        let column = self.0?;
        column.is_valid(row).then(|| column.value(row))
    }
}

/// The curve of each row, computed again only where `p` or `curve` change.
pub(crate) struct Curves<'a> {
    function: &'static str,
    p: Numbers<'a>,
    k: Numbers<'a>,
    last: Option<((f64, Option<f64>), Curve)>,
}

impl<'a> Curves<'a> {
    /// Reads `p` from the column at `index` and `curve` from the one after.
    pub(crate) fn of(function: &'static str, columns: &'a [ArrayRef], index: usize) -> Self {
        let (p, k) = (Numbers::of(columns, index), Numbers::of(columns, index + 1));
        Self {
            function,
            p,
            k,
            last: None,
        }
    }

    pub(crate) fn at(&mut self, row: usize) -> Result<Curve> {
        let shape = (self.p.at(row).unwrap_or(PERCENTILE_DEFAULT), self.k.at(row));
        if let Some((known, curve)) = self.last
            && known == shape
        {
            return Ok(curve);
        }
        let from_p = Curve::of_percentile(shape.0).map_err(refused_row(self.function, "p"))?;
        let curve = match shape.1 {
            Some(k) => Curve::of_k(k).map_err(refused_row(self.function, "curve"))?,
            None => from_p,
        };
        self.last = Some((shape, curve));
        Ok(curve)
    }
}

/// Writes the part of `ScalarUDFImpl` that is the same for every scalar function: it needs
/// `PARAMETERS`, a function `return_type()`, a `Check` named `CHECK`, and a function `run(&[ArrayRef]) ->
/// Result<ArrayRef>`.
macro_rules! scalar_function {
    () => {
        fn name(&self) -> &str {
            PARAMETERS.function
        }

        fn signature(&self) -> &Signature {
            &self.signature
        }

        fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
            PARAMETERS.coerce(arg_types)
        }

        fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
            Ok(return_type())
        }

        fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
            CHECK(&$crate::constant::of_scalar(args.scalar_arguments))?;
            Ok(std::sync::Arc::new(Field::new(
                self.name(),
                return_type(),
                true,
            )))
        }

        fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
            $crate::scalar::each_row::over_columns(&args, run)
        }

        fn documentation(&self) -> Option<&Documentation> {
            self.doc()
        }
    };
}
pub(crate) use scalar_function;
