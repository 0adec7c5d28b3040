//! The credit of one stream: how many bytes of messages its client may have under way.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::fault::{Fault, Reason};

/// Bytes that are left of a stream's credit.
#[derive(Debug)]
pub(super) struct Credit(AtomicUsize);

impl Credit {
    pub fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    /// Takes `bytes` for a message that has come.
    ///
    /// # Errors
    /// The client sent more than it was granted.
    pub fn take(&self, bytes: usize) -> Result<(), Fault> {
        let left = |left: usize| left.checked_sub(bytes);
        match self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
        {
            Ok(_) => Ok(()),
            Err(left) => {
                let message = format!(
                    "a message of {bytes} bytes came with {left} bytes of credit left; wait for \
                     acks before sending it, and never send one larger than the credit of opened"
                );
                Err(Fault::new(Reason::CreditExceeded, message))
            }
        }
    }

    /// Gives `bytes` back.
    pub fn give(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again_and_no_more() {
        let credit = Credit::new(10);
        assert!(credit.take(6).is_ok());
        let fault = credit.take(5).expect_err("too much");
        assert_eq!(fault.reason, Reason::CreditExceeded);
        assert!(
            fault.message().contains("4 bytes of credit"),
            "{}",
            fault.message()
        );
        assert!(credit.take(4).is_ok());
        credit.give(6);
        assert!(credit.take(7).is_err());
        assert!(credit.take(6).is_ok());
    }
}
