//! A bound on functions that make much out of little: `repeat`, `lpad`, `rpad`, `replace`, `range`,
//! `generate_series` of a list, `array_repeat`, `array_resize`, `array_to_string`.
//!
//! What an operator keeps is counted against the memory of its statement; what one call of a
//! function makes is not, and a few characters of SQL can ask for gigabytes. So each call is
//! weighed before it is made. Invariant: the function itself is DataFusion's, under its own name.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, GenericListArray, Int64Array, OffsetSizeTrait, StringViewArray,
};
use arrow::compute::cast;
use arrow::compute::kernels::length::length;
use arrow::datatypes::{
    DataType, FieldRef, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    TimeUnit,
};
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature,
};

use crate::error::{QueryError, QueryErrorKind};

type Result<T> = std::result::Result<T, DataFusionError>;

/// Most bytes that one call, of the rows of one batch, makes.
const CALL_BYTES_MAX: u128 = 256 << 20;

/// Bytes of a character of padding, at most.
const CHARACTER_BYTES: u128 = 4;
/// Bytes of an element of a list that is made of numbers or times.
const ELEMENT_BYTES: u128 = 8;
const DAY_US: i64 = 86_400_000_000;

/// How much a function makes of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Growth {
    /// The text of the first as many times as the second says.
    Repeated,
    /// Text of as many characters as the second says.
    Padded,
    /// A list from the first to the second by the third, or from 0 to the first.
    Stepped,
    /// A list of as many elements as the second says, each of them the argument of this index.
    Listed { element: usize },
    /// The text of the first, the third in place of each second.
    Replaced,
    /// The elements of the first as one text, the others between them or in place of NULL.
    Joined,
}

const GROWING: [(&str, Growth); 10] = [
    ("repeat", Growth::Repeated),
    ("lpad", Growth::Padded),
    ("rpad", Growth::Padded),
    ("range", Growth::Stepped),
    ("generate_series", Growth::Stepped),
    ("array_repeat", Growth::Listed { element: 0 }),
    ("array_resize", Growth::Listed { element: 2 }),
    ("list_resize", Growth::Listed { element: 2 }),
    ("replace", Growth::Replaced),
    ("array_to_string", Growth::Joined),
];

/// Puts the functions of `state` that can grow behind their bound.
pub(crate) fn bound_growth(state: &mut SessionState) -> Result<()> {
    for (name, growth) in GROWING {
        let Ok(inner) = state.udf(name) else {
            continue;
        };
        // An alias of one that is bound already.
        if inner.name() == name {
            let inner = ScalarUDF::clone(&inner);
            state.register_udf(ScalarUDF::new_from_impl(Bounded { inner, growth }).into())?;
        }
    }
    Ok(())
}

/// A function that refuses to make too much.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: ScalarUDF,
    growth: Growth,
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.inner().schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn is_strict(&self) -> bool {
        self.inner.inner().is_strict()
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, info)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bytes = self.growth.bytes(&args)?;
        if bytes > CALL_BYTES_MAX {
            let message = format!(
                "{} would make {} MiB at once; at most {} MiB are made",
                self.name(),
                bytes >> 20,
                CALL_BYTES_MAX >> 20
            );
            return Err(QueryError::new(QueryErrorKind::Limit, message).into());
        }
        self.inner.invoke_with_args(args)
    }
}

impl Growth {
    /// About how many bytes a call makes, of all its rows. A row with a NULL makes none.
    fn bytes(self, args: &ScalarFunctionArgs) -> Result<u128> {
        let arguments = args.args.iter().map(Argument::of);
        let arguments: Vec<Argument> = arguments.collect::<Result<_>>()?;
        let rows = match arguments.iter().all(|argument| argument.is_scalar) {
            true => 1,
            false => args.number_rows,
        };
        Ok(spread(&arguments, rows)? + self.made(&arguments, rows)?)
    }

    fn made(self, arguments: &[Argument], rows: usize) -> Result<u128> {
        let numbers = |index: usize| Numbers::of(arguments.get(index));
        let (unit, count): (u128, Box<dyn Fn(usize) -> Option<u128>>) = match self {
            Self::Repeated => {
                let (lengths, times) = (Numbers::of_lengths(arguments.first())?, numbers(1)?);
                let count = move |row| Some(lengths.count(row)? * times.count(row)?);
                (1, Box::new(count))
            }
            Self::Padded => {
                let width = numbers(1)?;
                (CHARACTER_BYTES, Box::new(move |row| width.count(row)))
            }
            Self::Listed { element } => {
                let count = numbers(1)?;
                let size: Sizes = match arguments.get(element) {
                    Some(element) => element.sizes()?,
                    None => Box::new(|_: usize| ELEMENT_BYTES),
                };
                (1, Box::new(move |row| Some(count.count(row)? * size(row))))
            }
            Self::Stepped => {
                let (first, second, step) = (numbers(0)?, numbers(1)?, numbers(2)?);
                let is_alone = arguments.len() == 1;
                let count = move |row| {
                    let (from, to) = match is_alone {
                        true => (0, first.at(row)?),
                        false => (first.at(row)?, second.at(row)?),
                    };
                    let step = step.at(row).unwrap_or(1).unsigned_abs().max(1);
                    Some(to.abs_diff(from) / step)
                };
                (ELEMENT_BYTES, Box::new(count))
            }
            Self::Replaced => return replaced(arguments, rows),
            Self::Joined => {
                let Some((list, words)) = arguments.split_first() else {
                    return Ok(0);
                };
                let size = list.sizes()?;
                let words = words.iter().map(|word| Numbers::of_lengths(Some(word)));
                let words: Vec<Numbers> = words.collect::<Result<_>>()?;
                let count = move |row| {
                    let between: u128 = words.iter().filter_map(|word| word.count(row)).sum();
                    // An element is at least so large.
                    Some(size(row) + size(row) / ELEMENT_BYTES * between)
                };
                (1, Box::new(count))
            }
        };
        Ok((0..rows).filter_map(count).sum::<u128>() * unit)
    }
}

/// Bytes of values that stand for all rows, where the function copies them for each.
fn spread(arguments: &[Argument], rows: usize) -> Result<u128> {
    let copies = rows.saturating_sub(1) as u128;
    let scalars = arguments.iter().filter(|argument| argument.is_scalar);
    // Numbers are not worth counting.
    let sizes = scalars.map(|scalar| -> Result<u128> {
        let size = scalar.sizes()?;
        Ok(size(0) - ELEMENT_BYTES)
    });
    Ok(sizes.sum::<Result<u128>>()? * copies)
}

/// Bytes of texts in which parts are replaced.
fn replaced(arguments: &[Argument], rows: usize) -> Result<u128> {
    let [text, from, to] = arguments else {
        return Ok(0);
    };
    let lengths = |argument| Numbers::of_lengths(Some(argument));
    let (texts, froms, tos) = (lengths(text)?, lengths(from)?, lengths(to)?);
    let at_most = (0..rows).filter_map(|row| {
        let text = texts.count(row)?;
        // Nothing is put in the place of no text.
        let times = text.checked_div(froms.count(row)?).unwrap_or(0);
        Some(text + times * tos.count(row)?)
    });
    let at_most: u128 = at_most.sum();
    if at_most <= CALL_BYTES_MAX {
        return Ok(at_most);
    }
    let (texts, froms) = (Texts::of(text)?, Texts::of(from)?);
    let made = (0..rows).filter_map(|row| {
        let (text, from) = (texts.at(row)?, froms.at(row)?);
        let times = match from {
            "" => 0,
            _ => text.matches(from).count(),
        };
        Some(text.len() as u128 + times as u128 * tos.count(row)?)
    });
    Ok(made.sum())
}

/// One argument of a call.
struct Argument {
    /// One row where it stands for all.
    array: ArrayRef,
    is_scalar: bool,
}

impl Argument {
    fn of(value: &ColumnarValue) -> Result<Self> {
        Ok(match value {
            ColumnarValue::Array(array) => Self {
                array: Arc::clone(array),
                is_scalar: false,
            },
            ColumnarValue::Scalar(scalar) => Self {
                array: scalar.to_array()?,
                is_scalar: true,
            },
        })
    }

    /// About how many bytes it has in a row.
    fn sizes(&self) -> Result<Sizes> {
        let sizes = sizes_of(&self.array)?;
        if self.is_scalar {
            return Ok(Box::new(move |_: usize| sizes(0)));
        }
        Ok(sizes)
    }
}

/// Bytes by row, at least [`ELEMENT_BYTES`] each.
type Sizes = Box<dyn Fn(usize) -> u128>;

fn sizes_of(array: &ArrayRef) -> Result<Sizes> {
    let sizes: Sizes = match array.data_type() {
        DataType::List(_) => sizes_of_lists(array.as_list::<i32>())?,
        DataType::LargeList(_) => sizes_of_lists(array.as_list::<i64>())?,
        DataType::Struct(_) => {
            let fields = array.as_struct().columns().iter().map(sizes_of);
            let fields: Vec<Sizes> = fields.collect::<Result<_>>()?;
            Box::new(move |row: usize| {
                let fields = fields.iter().map(|size| size(row));
                ELEMENT_BYTES + fields.sum::<u128>()
            })
        }
        data_type if is_text(data_type) => {
            let lengths = Numbers::of_array(&length(array)?, false)?;
            Box::new(move |row: usize| ELEMENT_BYTES + lengths.count(row).unwrap_or(0))
        }
        _ => Box::new(|_: usize| ELEMENT_BYTES),
    };
    Ok(sizes)
}

fn sizes_of_lists<O: OffsetSizeTrait>(lists: &GenericListArray<O>) -> Result<Sizes> {
    let offsets = lists.offsets().clone();
    let element = sizes_of(lists.values())?;
    Ok(Box::new(move |row: usize| {
        let elements = offsets[row].as_usize()..offsets[row + 1].as_usize();
        ELEMENT_BYTES + elements.map(&element).sum::<u128>()
    }))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
    )
}

/// An argument as texts.
struct Texts {
    texts: StringViewArray,
    is_scalar: bool,
}

impl Texts {
    fn of(argument: &Argument) -> Result<Self> {
        let texts = cast(&argument.array, &DataType::Utf8View)?;
        Ok(Self {
            texts: texts.as_string_view().clone(),
            is_scalar: argument.is_scalar,
        })
    }

    fn at(&self, row: usize) -> Option<&str> {
        let row = if self.is_scalar { 0 } else { row };
        self.texts.is_valid(row).then(|| self.texts.value(row))
    }
}

/// An argument as whole numbers: times and intervals in microseconds.
struct Numbers {
    numbers: Option<Int64Array>,
    is_scalar: bool,
}

impl Numbers {
    /// An argument that is not there, or is no number, has none.
    fn of(argument: Option<&Argument>) -> Result<Self> {
        match argument {
            Some(argument) => Self::of_array(&argument.array, argument.is_scalar),
            None => Ok(Self::none()),
        }
    }

    /// The bytes of an argument's texts; one that has no texts has none.
    fn of_lengths(argument: Option<&Argument>) -> Result<Self> {
        match argument {
            Some(argument) if is_text(argument.array.data_type()) => {
                Self::of_array(&length(&argument.array)?, argument.is_scalar)
            }
            _ => Ok(Self::none()),
        }
    }

    fn none() -> Self {
        Self {
            numbers: None,
            is_scalar: false,
        }
    }

    fn of_array(array: &ArrayRef, is_scalar: bool) -> Result<Self> {
        let times = DataType::Timestamp(TimeUnit::Microsecond, None);
        let numbers = match array.data_type() {
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                let intervals = array.as_primitive::<IntervalMonthDayNanoType>();
                let numbers = Some(intervals.unary(microseconds));
                return Ok(Self { numbers, is_scalar });
            }
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _) => {
                cast(&cast(array, &times)?, &DataType::Int64)?
            }
            _ => cast(array, &DataType::Int64)?,
        };
        let numbers = Some(numbers.as_primitive::<Int64Type>().clone());
        Ok(Self { numbers, is_scalar })
    }

    fn at(&self, row: usize) -> Option<i128> {
        let numbers = self.numbers.as_ref()?;
        let row = if self.is_scalar { 0 } else { row };
        numbers
            .is_valid(row)
            .then(|| i128::from(numbers.value(row)))
    }

    /// A number of things; below 0 there are none.
    fn count(&self, row: usize) -> Option<u128> {
        self.at(row).map(|number| number.max(0).unsigned_abs())
    }
}

/// The shortest time of an interval, whose months are of 28 days.
fn microseconds(interval: IntervalMonthDayNano) -> i64 {
    let days = i64::from(interval.months) * 28 + i64::from(interval.days);
    days.saturating_mul(DAY_US)
        .saturating_add(interval.nanoseconds / 1_000)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, ListBuilder, StringArray, StringBuilder};
    use arrow::datatypes::Field;
    use datafusion::common::ScalarValue;
    use datafusion::common::config::ConfigOptions;

    use super::*;

    fn bytes(growth: Growth, args: Vec<ColumnarValue>, number_rows: usize) -> u128 {
        let args = ScalarFunctionArgs {
            args,
            arg_fields: Vec::new(),
            number_rows,
            return_field: Arc::new(Field::new("made", DataType::Null, true)),
            config_options: Arc::new(ConfigOptions::default()),
        };
        growth.bytes(&args).expect("arguments that are weighed")
    }

    fn number(number: i64) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::Int64(Some(number)))
    }

    fn array(array: impl Array + 'static) -> ColumnarValue {
        ColumnarValue::Array(Arc::new(array))
    }

    #[test]
    fn calls_are_weighed_before_they_are_made() {
        let texts = || array(StringArray::from(vec![Some("ab"), None, Some("é")]));
        assert_eq!(bytes(Growth::Repeated, vec![texts(), number(10)], 3), 40);
        assert_eq!(bytes(Growth::Repeated, vec![texts(), number(-1)], 3), 0);
        let times = array(Int64Array::from(vec![Some(1), Some(2), None]));
        assert_eq!(bytes(Growth::Repeated, vec![texts(), times], 3), 2);
        let text = ColumnarValue::Scalar(ScalarValue::from("x"));
        let all = vec![text.clone(), number(7)];
        assert_eq!(
            bytes(Growth::Repeated, all, 8_192),
            7,
            "scalars are made once"
        );
        assert_eq!(bytes(Growth::Padded, vec![texts(), number(5)], 3), 60);
        let listed = |element| Growth::Listed { element };
        assert_eq!(bytes(listed(0), vec![text.clone(), number(3)], 1), 27);
        assert_eq!(bytes(listed(2), vec![text, number(3)], 1), 24);
        assert_eq!(bytes(Growth::Stepped, vec![number(9)], 1), 72);
        let (low, high) = (number(i64::MIN), number(i64::MAX));
        assert!(bytes(Growth::Stepped, vec![low, high], 1) > CALL_BYTES_MAX);
        let steps = vec![number(100), number(0), number(-10)];
        assert_eq!(bytes(Growth::Stepped, steps, 1), 80);
        let day = ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(
            IntervalMonthDayNano::new(0, 1, 0),
        )));
        let dates = |day| array(Date32Array::from(vec![day]));
        let steps = vec![dates(20_000), dates(20_010), day];
        assert_eq!(bytes(Growth::Stepped, steps, 1), 80);
    }

    #[test]
    fn what_is_put_into_texts_and_lists_is_weighed_by_its_size() {
        let text = |text: &str| ColumnarValue::Scalar(ScalarValue::from(text));
        let long = "x".repeat(1_000);
        let times = || array(Int64Array::from(vec![Some(1), Some(2), None]));
        // Copied for the other rows, then repeated.
        let copied = vec![text(&long), times()];
        assert_eq!(bytes(Growth::Repeated, copied, 3), 2_000 + 3_000);
        let mut lists = ListBuilder::new(StringBuilder::new());
        lists.append_value([Some("abc"), None]);
        lists.append_value([Some(long.as_str())]);
        lists.append_null();
        let lists = || array(lists.finish_cloned());
        let listed = Growth::Listed { element: 0 };
        let (first, second, third) = (8 + (8 + 3) + 8, 8 + (8 + 1_000), 8);
        let found = bytes(listed, vec![lists(), times()], 3);
        assert_eq!(found, first + 2 * second);
        let found = bytes(Growth::Joined, vec![lists(), text("--")], 3);
        let between = (first / 8 + second / 8 + third / 8) * 2;
        assert_eq!(found, first + second + third + between + 2 * 2);
        let replaced = |from: &str, to: &str| {
            bytes(Growth::Replaced, vec![text(&long), text(from), text(to)], 1)
        };
        assert_eq!(replaced("xx", "abc"), 1_000 + 500 * 3);
        assert_eq!(replaced("", "abc"), 1_000);
        let huge = "y".repeat(1 << 20);
        assert_eq!(replaced("x", &huge), 1_000 + 1_000 * (1 << 20));
        assert_eq!(replaced("q", &huge), 1_000, "nothing is found");
    }
}
