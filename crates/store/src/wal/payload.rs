//! The payload of an events frame: the rows of a commit group as one Arrow IPC stream, with
//! identity as symbols, so that replay parses and validates nothing again.

use std::io::Cursor;
use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampMicrosecondType, UInt32Type};
use arrow_array::{
    Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use vitalog_event::schema;

use crate::section::MemoryColumns;

/// The rows of one commit group in arrival order; equal lengths.
#[derive(Clone, Debug)]
pub(crate) struct GroupColumns {
    pub event_ids: StringArray,
    pub times: TimestampMicrosecondArray,
    /// Event symbols.
    pub events: Vec<u32>,
    /// Member symbols.
    pub members: Vec<u32>,
    pub values: Float64Array,
    pub properties: StringArray,
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new(schema::EVENT_ID, DataType::Utf8, false),
        Field::new(schema::EVENT_TIME, schema::timestamp_type(), false),
        Field::new(schema::EVENT, DataType::UInt32, false),
        Field::new("member", DataType::UInt32, false),
        Field::new(schema::VALUE, DataType::Float64, true),
        Field::new(schema::PROPERTIES, DataType::Utf8, true),
    ]))
});

impl GroupColumns {
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The columns of a section in memory, with seqs from `seq_first` on.
    pub fn into_memory(self, seq_first: i64) -> (MemoryColumns, Vec<u32>) {
        let seqs = (seq_first..).take(self.len());
        let columns = MemoryColumns {
            seqs: Int64Array::from_iter_values(seqs),
            event_ids: self.event_ids,
            times: self.times,
            events: self.events.into(),
            values: self.values,
            properties: self.properties,
        };
        (columns, self.members)
    }
}

/// Appends the payload of `group` to `out`.
pub(crate) fn encode_events(group: &GroupColumns, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    let batch = RecordBatch::try_new(
        Arc::clone(&SCHEMA),
        vec![
            Arc::new(group.event_ids.clone()),
            Arc::new(group.times.clone()),
            Arc::new(UInt32Array::from(group.events.clone())),
            Arc::new(UInt32Array::from(group.members.clone())),
            Arc::new(group.values.clone()),
            Arc::new(group.properties.clone()),
        ],
    )?;
    let mut writer = StreamWriter::try_new(out, &SCHEMA)?;
    writer.write(&batch)?;
    writer.finish()
}

/// Reads a payload whose checksum was verified.
pub(crate) fn decode_events(payload: &[u8]) -> Result<GroupColumns, ArrowError> {
    let mut reader = StreamReader::try_new(Cursor::new(payload), None)?;
    if reader.schema().fields() != SCHEMA.fields() {
        return Err(ArrowError::SchemaError(
            "not the columns of an events frame".to_owned(),
        ));
    }
    let batch = reader
        .next()
        .ok_or_else(|| ArrowError::IpcError("an events frame without rows".to_owned()))??;
    let symbols = |column: usize| batch.column(column).as_primitive::<UInt32Type>().values();
    Ok(GroupColumns {
        event_ids: batch.column(0).as_string().clone(),
        times: batch
            .column(1)
            .as_primitive::<TimestampMicrosecondType>()
            .clone(),
        events: symbols(2).to_vec(),
        members: symbols(3).to_vec(),
        values: batch.column(4).as_primitive::<Float64Type>().clone(),
        properties: batch.column(5).as_string().clone(),
    })
}
