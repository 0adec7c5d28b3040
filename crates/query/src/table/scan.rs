//! The plan that reads `events`: sections of one snapshot, filtered exactly, as record batches.
//!
//! It is described by section references and a `seq`, reads on the thread that polls it (one of
//! the engine's own), looks at the statement's control between batches, and never reads a column
//! that was not asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{
    Boundedness, CardinalityEffect, EmissionType, SchedulingType,
};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use vitalog_event::schema;
use vitalog_store::{Section, StoreError, StoredSection};

use super::filter::ScanFilter;
use super::groups::SectionGroups;
use super::owned::owned;
use super::property::{PropertyColumn, PropertyReader};
use crate::error::QueryError;
use crate::snapshot::StatementSnapshot;

/// The order of rows in a section of a file: ascending, nulls last.
const FILE_ORDER: [&str; 4] = [
    schema::ACCOUNT_ID,
    schema::USER_ID,
    schema::EVENT_TIME,
    schema::SEQ,
];

/// Reads sections of `events`.
#[derive(Debug)]
pub(crate) struct EventsScan {
    snapshot: Arc<StatementSnapshot>,
    filter: Arc<ScanFilter>,
    /// Columns of `events`, in the order of the output.
    projection: Arc<[usize]>,
    /// Columns made of `properties`, after those.
    computed: Arc<[PropertyColumn]>,
    groups: SectionGroups,
    sections_total: usize,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl EventsScan {
    /// The plan for `filter` and `projection`, in at most `partitions` partitions.
    pub fn new(
        snapshot: Arc<StatementSnapshot>,
        filter: ScanFilter,
        projection: Vec<usize>,
        partitions: usize,
    ) -> Self {
        let slices = snapshot.snapshot.slices();
        let all = || slices.iter().flat_map(|slice| &slice.sections);
        let sections_total = all().count();
        let kept: Vec<Arc<StoredSection>> = if filter.is_empty() {
            Vec::new()
        } else {
            all()
                .filter(|section| !filter.prunes(section))
                .map(Arc::clone)
                .collect()
        };
        Self::over(
            snapshot,
            filter,
            projection,
            partitions,
            kept,
            sections_total,
        )
    }

    /// The plan for all that `snapshot` shows of `sections`, in at most `partitions` partitions.
    pub fn of_sections(
        snapshot: Arc<StatementSnapshot>,
        sections: Vec<Arc<StoredSection>>,
        projection: Vec<usize>,
        partitions: usize,
    ) -> Self {
        let filter = ScanFilter::of(snapshot.row_filter());
        let total = sections.len();
        Self::over(snapshot, filter, projection, partitions, sections, total)
    }

    fn over(
        snapshot: Arc<StatementSnapshot>,
        filter: ScanFilter,
        projection: Vec<usize>,
        partitions: usize,
        sections: Vec<Arc<StoredSection>>,
        sections_total: usize,
    ) -> Self {
        let groups = SectionGroups::deal(sections, partitions);
        let properties = Arc::new(properties(projected_schema(&projection, &[]), &groups));
        Self {
            snapshot,
            filter: Arc::new(filter),
            projection: projection.into(),
            computed: Arc::new([]),
            groups,
            sections_total,
            limit: None,
            properties,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The same plan, each partition ending after `limit` rows.
    pub fn with_limit(self, limit: Option<usize>) -> Self {
        Self { limit, ..self }
    }

    /// The same rows with the columns `projection` of `events`, and then those of `computed`.
    pub fn with_computed(&self, projection: Vec<usize>, computed: Vec<PropertyColumn>) -> Self {
        let output = projected_schema(&projection, &computed);
        Self {
            snapshot: Arc::clone(&self.snapshot),
            filter: Arc::clone(&self.filter),
            projection: projection.into(),
            computed: computed.into(),
            groups: self.groups.clone(),
            sections_total: self.sections_total,
            limit: self.limit,
            properties: Arc::new(properties(output, &self.groups)),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The columns of `events` in its output, in their order.
    pub fn projection(&self) -> &[usize] {
        &self.projection
    }

    /// The columns made of `properties` in its output, after the others.
    pub fn computed(&self) -> &[PropertyColumn] {
        &self.computed
    }

    fn sections_kept(&self) -> usize {
        self.groups.groups.iter().map(Vec::len).sum()
    }

    /// Statistics of the rows of `sections`: exact where the filter keeps each of them whole.
    fn statistics_of(&self, sections: &[&Arc<StoredSection>]) -> Statistics {
        let is_exact = sections
            .iter()
            .all(|section| self.filter.keeps_all(section));
        let rows = sections.iter().map(|section| section.rows()).sum();
        let events_schema = schema::events_view_schema();
        let columns = self
            .projection
            .iter()
            .map(|&column| column_statistics(events_schema.field(column).name(), sections))
            .chain(
                self.computed
                    .iter()
                    .map(|_| ColumnStatistics::new_unknown()),
            )
            .collect();
        let statistics = Statistics {
            num_rows: Precision::Exact(rows),
            total_byte_size: Precision::Absent,
            column_statistics: columns,
        };
        let statistics = if is_exact {
            statistics
        } else {
            statistics.to_inexact()
        };
        match self.limit {
            // A limit only lowers the number; bounds of a part are no longer exact.
            Some(limit) if limit < rows => {
                let mut cut = statistics.to_inexact();
                cut.num_rows = match is_exact {
                    true => Precision::Exact(limit),
                    false => Precision::Inexact(limit),
                };
                cut
            }
            _ => statistics,
        }
    }
}

/// Bounds that the sections' own statistics give, taken as exact.
fn column_statistics(name: &str, sections: &[&Arc<StoredSection>]) -> ColumnStatistics {
    let known = || sections.iter().map(|section| section.statistics());
    let time = |time: i64| ScalarValue::TimestampMicrosecond(Some(time), Some("UTC".into()));
    let seq = |seq: i64| ScalarValue::Int64(Some(seq));
    let bound = |value: Option<ScalarValue>| value.map_or(Precision::Absent, Precision::Exact);
    let unknown = ColumnStatistics::new_unknown();
    match name {
        schema::EVENT_TIME => unknown
            .with_null_count(Precision::Exact(0))
            .with_min_value(bound(
                known().map(|known| known.time_min_us).min().map(time),
            ))
            .with_max_value(bound(
                known().map(|known| known.time_max_us).max().map(time),
            )),
        schema::SEQ => unknown
            .with_null_count(Precision::Exact(0))
            .with_min_value(bound(known().map(|known| known.seq_min).min().map(seq)))
            .with_max_value(bound(known().map(|known| known.seq_max).max().map(seq))),
        schema::EVENT_ID | schema::EVENT | schema::RECEIVED_AT => {
            unknown.with_null_count(Precision::Exact(0))
        }
        _ => unknown,
    }
}

fn projected_schema(projection: &[usize], computed: &[PropertyColumn]) -> SchemaRef {
    let projected = schema::events_view_schema().project(projection);
    let projected = projected.expect("the planner asks for columns that exist");
    let computed = computed.iter().map(PropertyColumn::field);
    let fields = projected.fields().iter().map(Arc::clone);
    Arc::new(Schema::new(fields.chain(computed).collect::<Vec<_>>()))
}

fn properties(output: SchemaRef, groups: &SectionGroups) -> PlanProperties {
    let options = SortOptions {
        descending: false,
        nulls_first: false,
    };
    // An order by columns that are not all there holds up to the first that is missing.
    let order: Vec<PhysicalSortExpr> = FILE_ORDER
        .iter()
        .map_while(|name| {
            output
                .index_of(name)
                .ok()
                .map(|index| Column::new(name, index))
        })
        .map(|column| PhysicalSortExpr::new(Arc::new(column), options))
        .collect();
    let equivalence = if groups.is_ordered && !order.is_empty() {
        EquivalenceProperties::new_with_orderings(output, [order])
    } else {
        EquivalenceProperties::new(output)
    };
    let partitioning = Partitioning::UnknownPartitioning(groups.groups.len());
    PlanProperties::new(
        equivalence,
        partitioning,
        EmissionType::Incremental,
        Boundedness::Bounded,
    )
    .with_scheduling_type(SchedulingType::Cooperative)
}

impl DisplayAs for EventsScan {
    fn fmt_as(&self, format: DisplayFormatType, formatter: &mut fmt::Formatter) -> fmt::Result {
        let (kept, total) = (self.sections_kept(), self.sections_total);
        let output = self.schema();
        let columns: Vec<&str> = output
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        if format == DisplayFormatType::TreeRender {
            return write!(
                formatter,
                "sections={kept} of {total}\nfilter={}",
                self.filter
            );
        }
        let partitions = self.groups.groups.len();
        write!(
            formatter,
            "EventsScan: columns=[{}], sections={kept} of {total} ({} pruned), \
             partitions={partitions}, filter=[{}]",
            columns.join(", "),
            total - kept,
            self.filter,
        )?;
        if !self.computed.is_empty() {
            let keys: BTreeSet<&str> = self.computed.iter().map(PropertyColumn::key).collect();
            let keys: Vec<&str> = keys.into_iter().collect();
            write!(formatter, ", promoted=[{}]", keys.join(", "))?;
        }
        if let Some(limit) = self.limit {
            write!(formatter, ", limit={limit}")?;
        }
        if self.groups.is_ordered && self.properties.output_ordering().is_some() {
            write!(formatter, ", ordered")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for EventsScan {
    fn name(&self) -> &str {
        "EventsScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(
            &Arc<dyn PhysicalExpr>,
        ) -> Result<TreeNodeRecursion, DataFusionError>,
    ) -> Result<TreeNodeRecursion, DataFusionError> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        if children.is_empty() {
            return Ok(self);
        }
        Err(DataFusionError::Internal(
            "a scan of events has no children".to_owned(),
        ))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        let batches = SectionBatches {
            snapshot: Arc::clone(&self.snapshot),
            filter: Arc::clone(&self.filter),
            projection: Arc::clone(&self.projection),
            computed: Arc::clone(&self.computed),
            schema: self.schema(),
            sections: self.groups.groups[partition].clone().into_iter(),
            pending: Vec::new().into_iter(),
            current: None,
            batch_rows: context.session_config().batch_size(),
            rows_left: self.limit.unwrap_or(usize::MAX),
            metrics: ScanMetrics::new(&self.metrics, partition),
        };
        let stream = RecordBatchStreamAdapter::new(self.schema(), futures::stream::iter(batches));
        Ok(Box::pin(cooperative(stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _inputs: &[Arc<Statistics>],
        arguments: &StatisticsArgs,
    ) -> Result<Arc<Statistics>, DataFusionError> {
        let groups = match arguments.partition() {
            Some(partition) => &self.groups.groups[partition..=partition],
            None => &self.groups.groups[..],
        };
        let sections: Vec<&Arc<StoredSection>> = groups.iter().flatten().collect();
        let mut statistics = self.statistics_of(&sections);
        if arguments.partition().is_none() && groups.len() > 1 && self.limit.is_some() {
            // Each partition ends by itself: together they may give more than the limit.
            statistics = statistics.to_inexact();
        }
        Ok(Arc::new(statistics))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self {
            snapshot: Arc::clone(&self.snapshot),
            filter: Arc::clone(&self.filter),
            projection: Arc::clone(&self.projection),
            computed: Arc::clone(&self.computed),
            groups: self.groups.clone(),
            sections_total: self.sections_total,
            limit,
            properties: Arc::clone(&self.properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::LowerEqual
    }
}

/// The counter of the rows of the sections that were opened, before the filter.
pub(crate) const ROWS_CONSIDERED: &str = "rows_considered";

struct ScanMetrics {
    baseline: BaselineMetrics,
    /// Sections that were opened.
    sections_read: Count,
    /// Rows of those, before the filter.
    rows_considered: Count,
    /// Rows whose JSON was parsed for a column made of `properties`, once a column.
    json_rows_parsed: Count,
}

impl ScanMetrics {
    fn new(set: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        Self {
            baseline: BaselineMetrics::new(set, partition),
            sections_read: MetricBuilder::new(set).counter("sections_read", partition),
            rows_considered: MetricBuilder::new(set).counter(ROWS_CONSIDERED, partition),
            json_rows_parsed: MetricBuilder::new(set).counter("json_rows_parsed", partition),
        }
    }
}

/// The batches of one partition, read as they are asked for.
struct SectionBatches {
    snapshot: Arc<StatementSnapshot>,
    filter: Arc<ScanFilter>,
    projection: Arc<[usize]>,
    computed: Arc<[PropertyColumn]>,
    schema: SchemaRef,
    sections: std::vec::IntoIter<Arc<StoredSection>>,
    /// Ranges of the batches of `current` that are still to come.
    pending: std::vec::IntoIter<Vec<std::ops::Range<usize>>>,
    current: Option<(Arc<Section>, PropertyReader)>,
    batch_rows: usize,
    rows_left: usize,
    metrics: ScanMetrics,
}

impl SectionBatches {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, DataFusionError> {
        let elapsed = self.metrics.baseline.elapsed_compute().clone();
        let _timer = elapsed.timer();
        while self.rows_left > 0 {
            self.snapshot.control.check()?;
            if let (Some((section, reader)), Some(ranges)) = (&self.current, self.pending.next()) {
                let ranges = truncated(ranges, self.rows_left);
                let batch = section.batch(&ranges, &self.projection).map_err(damage)?;
                self.rows_left -= batch.num_rows();
                let (batch, parsed) = reader.extend(batch, section, &ranges, &self.schema)?;
                self.metrics.json_rows_parsed.add(parsed);
                return Ok(Some(owned(&batch)?));
            }
            let Some(section) = self.sections.next() else {
                break;
            };
            let section = section.open();
            let selection = section.select(&self.filter.rows).map_err(damage)?;
            self.metrics.sections_read.add(1);
            self.metrics.rows_considered.add(section.rows());
            self.pending = selection
                .batches(self.batch_rows.min(self.rows_left))
                .into_iter();
            let reader = PropertyReader::open(&self.computed, &section)?;
            self.current = Some((section, reader));
        }
        Ok(None)
    }
}

impl Iterator for SectionBatches {
    type Item = Result<RecordBatch, DataFusionError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_batch() {
            Ok(Some(batch)) => {
                self.metrics.baseline.record_output(batch.num_rows());
                Some(Ok(batch))
            }
            Ok(None) => None,
            Err(error) => {
                // Nothing follows an error.
                self.rows_left = 0;
                Some(Err(error))
            }
        }
    }
}

fn truncated(ranges: Vec<std::ops::Range<usize>>, rows_max: usize) -> Vec<std::ops::Range<usize>> {
    let mut left = rows_max;
    ranges
        .into_iter()
        .map(|range| {
            let taken = range.len().min(left);
            left -= taken;
            range.start..range.start + taken
        })
        .filter(|range| !range.is_empty())
        .collect()
}

fn damage(error: StoreError) -> DataFusionError {
    QueryError::from(error).into()
}
