//! Which events of a batch got their ids from the server.
//!
//! The ids stand in the batch already: beside them one bit an event is kept, however many were
//! made.

use arrow::array::{Array, BooleanBufferBuilder, StringArray};
use arrow::buffer::{BooleanBuffer, ScalarBuffer};
use vitalog_event::{EventBatch, Rejection};
use vitalog_wire::vitalog::v1::AssignedId;

/// The ids that were made for the events of one batch, of which there are some. It shares the
/// columns of the batch.
#[derive(Debug)]
pub(super) struct MadeIds {
    event_ids: StringArray,
    /// Position in the request of each row.
    indexes: ScalarBuffer<u32>,
    /// Whether the id of a row was made.
    made: BooleanBuffer,
}

impl MadeIds {
    /// Those of the rows of `batch` that `made` marks; `None` where it marks none.
    pub fn of(batch: &EventBatch, made: BooleanBuffer) -> Option<Self> {
        made.has_true().then(|| Self {
            event_ids: batch.event_ids().clone(),
            indexes: batch.input_indexes().clone(),
            made,
        })
    }

    /// Leaves out the ids of events that were refused after all.
    pub fn without(self, rejections: &[Rejection]) -> Self {
        let mut made = BooleanBufferBuilder::new(self.made.len());
        made.append_buffer(&self.made);
        for rejection in rejections {
            if let Ok(row) = self.indexes.binary_search(&(rejection.index as u32)) {
                made.set_bit(row, false);
            }
        }
        Self {
            made: made.finish(),
            ..self
        }
    }

    /// Bytes in memory, those that it shares with the batch included.
    pub fn bytes(&self) -> usize {
        self.event_ids.get_buffer_memory_size() + self.indexes.inner().len() + self.made.len() / 8
    }

    pub fn count(&self) -> usize {
        self.made.count_set_bits()
    }

    /// The ids, ascending by index.
    pub fn iter(&self) -> impl Iterator<Item = AssignedId> {
        self.made.set_indices().map(move |row| AssignedId {
            index: u64::from(self.indexes[row]),
            event_id: self.event_ids.value(row).to_owned(),
        })
    }
}
