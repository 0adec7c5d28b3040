//! `window_funnel`: how deep into a sequence of steps someone went.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion_expr::utils::AggregateOrderSensitivity;
use datafusion_expr::{Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, Signature};
use datafusion_macros::user_doc;
use vitalog_measure::{Funnel, FunnelModes};

use crate::aggregate::funnel_groups::{FunnelGroups, STEPS};
use crate::aggregate::grouped::grouped_aggregate;
use crate::constant::{self, Check, Known};
use crate::interval;
use crate::parameters::{Kind, Parameters, refused, text_list};

const PARAMETERS: Parameters = Parameters {
    function: "window_funnel",
    required: &[
        ("window", Kind::Interval),
        ("ts", Kind::Moment),
        ("steps", Kind::BooleanList),
    ],
    optional: &[("modes", Kind::TextList)],
};
const CHECK: Check = |known| funnel(known).map(|_| ());

/// The aggregate `window_funnel`.
#[user_doc(
    doc_section(label = "Funnels"),
    description = "The deepest step that was reached, 0 for none: the number of steps taken one after the other, with the last at most `window` after the first. It is ClickHouse's `windowFunnel` (as of 26.9). Other rows may come between two steps; steps at the same time count in the order of the steps; a row that meets several steps serves them all; each step goes on from the chain that reached the step before it last. Rows where `ts` or the list is NULL do not count, a NULL condition counts as false (ClickHouse leaves out the row); NULL when `window` is NULL. Rows of the same time are ordered by the steps that they meet, so the order in which they come does not show. Keeps 20 bytes for each row that meets a step.",
    syntax_example = "window_funnel(window, ts, steps [, modes])",
    sql_example = r#"```sql
> SELECT user_id,
         window_funnel(INTERVAL '7 days', event_time,
                       [event = 'signup', event = 'invite.sent', event = 'report.created']) AS depth
  FROM events GROUP BY user_id;
> SELECT window_funnel(INTERVAL '1 hour', event_time, [event = 'signup', event = 'invite.sent'],
                       ['strict_order', 'strict_increase'])
  FROM events;
```"#,
    argument(
        name = "window",
        description = "The longest time from the first step to the last, inclusive: a constant interval of days or less, at least 0; a day has 24 hours."
    ),
    argument(
        name = "ts",
        description = "When something happened: a timestamp, or a date, which is the start of that day in UTC."
    ),
    argument(
        name = "steps",
        description = "A list of conditions, one a step, at most 32."
    ),
    argument(
        name = "modes",
        description = "A constant list of names; none by default. 'strict_order': after the first step, a row that meets no step, or a step whose predecessor was not reached, ends the funnel; with 'allow_reentry' beside it the latter is passed over. 'strict_deduplication': a second row for a step that was reached, other than the first step, ends the funnel. 'strict_increase': each step must be strictly later than the one before. 'strict_once': a row serves one step of a chain only, and all chains are followed, not only the last to reach a step."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct WindowFunnel {
    signature: Signature,
}

impl WindowFunnel {
    pub(crate) fn new() -> Self {
        Self {
            signature: PARAMETERS.signature(),
        }
    }

    fn state(&self, args: &AccumulatorArgs) -> Result<FunnelGroups> {
        let known = constant::of_aggregate(args);
        let window = constant::required(&known, 0, PARAMETERS.function, "window")?;
        constant::required(&known, 3, PARAMETERS.function, "modes")?;
        let funnel = funnel(&known)?;
        Ok(FunnelGroups::new(window.map(|_| funnel), args.is_distinct))
    }
}

impl AggregateUDFImpl for WindowFunnel {
    grouped_aggregate!(STEPS.check_aggregate(CHECK));

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(FunnelGroups::state_fields(&args))
    }

    fn default_value(&self, _data_type: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(0)))
    }
}

/// The funnel, as far as its window and modes are known.
fn funnel(known: &Known) -> Result<Funnel> {
    let window = interval::length_us(known, 0, PARAMETERS.function, "window")?;
    Funnel::new(window.unwrap_or(0), modes(known)?).map_err(refused(PARAMETERS.function, "modes"))
}

fn modes(known: &Known) -> Result<FunnelModes> {
    let mut modes = FunnelModes::default();
    let Some(Some(value)) = known.get(3) else {
        return Ok(modes);
    };
    let ScalarValue::List(list) = value.cast_to(&text_list())? else {
        return Ok(modes);
    };
    if list.is_null(0) {
        return Ok(modes);
    }
    for name in list.value(0).as_string::<i32>().iter().flatten() {
        match name {
            "strict_order" => modes.strict_order = true,
            "strict_deduplication" => modes.strict_deduplication = true,
            "strict_increase" => modes.strict_increase = true,
            "strict_once" => modes.strict_once = true,
            "allow_reentry" => modes.allow_reentry = true,
            other => {
                return plan_err!(
                    "window_funnel: modes must be 'strict_order', 'strict_deduplication', \
                     'strict_increase', 'strict_once' or 'allow_reentry', got '{other}'"
                );
            }
        }
    }
    Ok(modes)
}
