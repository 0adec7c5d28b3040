//! Storing a definition: one commit group of one frame, by the writer, in order with the events.
//!
//! Invariant: as for events, nothing is visible before it is durable.

use crate::definitions::{DefinitionDraft, DefinitionReceipt, encode_record};
use crate::error::Result;
use crate::wal::FrameDraft;
use crate::writer::Writer;

impl Writer {
    /// Stores `draft` where it changes what is in force.
    ///
    /// # Errors
    /// As an append, and what passes a limit.
    pub fn define(&mut self, draft: DefinitionDraft) -> Result<DefinitionReceipt> {
        if let Some(definition) = self.definitions.unchanged(&draft) {
            return Ok(DefinitionReceipt {
                definition,
                is_new: false,
            });
        }
        let received_us = self.clock.now_us().max(self.received_us);
        let definition = self.definitions.next(draft, self.seq, received_us)?;
        let frame = FrameDraft {
            kind: definition.kind.frame_kind(),
            events: 0,
            seq_first: self.seq,
            payload: encode_record(&definition),
        };
        self.wal.commit(vec![frame], received_us)?;
        // Durable from here on: nothing below can fail.
        self.received_us = received_us;
        let definition = self
            .definitions
            .push(definition)
            .expect("the next version follows the one in force");
        self.publish();
        Ok(DefinitionReceipt {
            definition,
            is_new: true,
        })
    }
}
