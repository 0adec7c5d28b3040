//! Searching Parquet for an id: texts are compressed there, so every text is decoded, those of lists
//! and structures too.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::Result;
use vitalog_event::schema;

use super::search::{IdKind, Needle, Tally};

/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 8 << 10;

/// Counts `id` in the texts of a Parquet file; of a published one every text that is wholly the id
/// names it.
///
/// # Errors
/// Bytes that are no Parquet. `tally` has what was counted in all others.
pub(super) fn search_parquet(
    file: Vec<u8>,
    id: &Needle,
    kind: IdKind,
    is_published: bool,
    tally: &mut Tally,
) -> Result<()> {
    visit_texts(file, &mut |column, text| {
        let (names_entity, is_wanted) = match column {
            schema::ACCOUNT_ID => (true, kind.is_account()),
            schema::USER_ID => (true, kind.is_user()),
            schema::PROPERTIES | schema::EVENT | schema::EVENT_ID => (false, false),
            _ => (is_published, true),
        };
        let found = id.hits(text);
        match (names_entity, is_wanted && text == id.plain.as_bytes()) {
            (true, true) => tally.identity += found,
            (true, false) => tally.other_id += found,
            (false, _) => tally.mention += found,
        }
    })
}

/// Whether a text of a Parquet file holds `id`; true where that cannot be told.
pub(super) fn may_be_in_parquet(file: Vec<u8>, id: &Needle) -> bool {
    let mut is_held = false;
    let visited = visit_texts(file, &mut |_, text| is_held |= id.hits(text) > 0);
    is_held || visited.is_err()
}

/// Shows `visit` every text, or bytes of any meaning, of the file with the name of its outermost
/// column. Each column of each row group is decoded by itself, so damage of one hides no other.
///
/// # Errors
/// The first damage, after everything else was shown.
fn visit_texts(file: Vec<u8>, visit: &mut dyn FnMut(&str, &[u8])) -> Result<()> {
    // Only what the file itself says of its columns: no hints of whoever wrote it.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let file = Bytes::from(file);
    let metadata = ArrowReaderMetadata::load(&file, options)?;
    let fields = metadata.schema().fields();
    let mut visited = Ok(());
    for row_group in 0..metadata.metadata().num_row_groups() {
        for (column, field) in fields.iter().enumerate() {
            if !has_texts(field.data_type()) {
                continue;
            }
            let mut visit = |text: &[u8]| visit(field.name(), text);
            let shown = visit_column(&file, &metadata, row_group, column, &mut visit);
            visited = visited.and(shown);
        }
    }
    visited
}

/// Shows `visit` the texts of one column of one row group, until the end or the first damage.
fn visit_column(
    file: &Bytes,
    metadata: &ArrowReaderMetadata,
    row_group: usize,
    column: usize,
    visit: &mut dyn FnMut(&[u8]),
) -> Result<()> {
    let builder =
        ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), metadata.clone());
    let mask = ProjectionMask::roots(builder.parquet_schema(), [column]);
    let batches = builder
        .with_projection(mask)
        .with_row_groups(vec![row_group])
        .with_batch_size(BATCH_ROWS);
    for batch in batches.build()? {
        visit_array(batch?.column(0).as_ref(), visit);
    }
    Ok(())
}

/// Without hints these are all the types that texts come in.
fn has_texts(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::Binary => true,
        DataType::List(field) | DataType::Map(field, _) => has_texts(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_texts(field.data_type())),
        _ => false,
    }
}

fn visit_array(array: &dyn Array, visit: &mut dyn FnMut(&[u8])) {
    match array.data_type() {
        DataType::Utf8 => {
            let texts = array.as_string::<i32>().iter().flatten();
            texts.for_each(|text| visit(text.as_bytes()));
        }
        DataType::Binary => {
            let texts = array.as_binary::<i32>().iter().flatten();
            texts.for_each(visit);
        }
        DataType::List(_) => visit_array(array.as_list::<i32>().values(), visit),
        DataType::Map(_, _) => visit_array(array.as_map().entries(), visit),
        DataType::Struct(_) => {
            for column in array.as_struct().columns() {
                visit_array(column, visit);
            }
        }
        _ => {}
    }
}
