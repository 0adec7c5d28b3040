//! The bytes of one simulated file: what readers see, what a power loss leaves for certain, and
//! the un-synced writes of which it leaves any subset.
//!
//! Invariant: outside the dirty sectors, `current` and `durable` agree on the bytes both have;
//! bytes that only `current` has there are zero. Files grow and never shrink.

use std::collections::BTreeMap;

use super::random::Choices;

/// The unit in which un-synced bytes survive or not.
const SECTOR_BYTES: usize = 512;

/// One file, whatever names it has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    current: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeMap<usize, DirtySector>,
}

/// A sector with writes that no sync has made durable.
#[derive(Clone, Debug, Default)]
struct DirtySector {
    /// The writes in their order.
    writes: Vec<SectorWrite>,
    /// A sync failed and the system forgot that the sector is dirty: the next sync passes it by.
    forgotten: bool,
}

/// The part of a write that falls into one sector.
#[derive(Clone, Debug)]
struct SectorWrite {
    /// Where it starts in the file.
    offset: usize,
    bytes: Vec<u8>,
}

/// Which dirty sectors of a file a power loss leaves.
#[derive(Clone, Copy, Debug)]
enum Survival {
    Nothing,
    Everything,
    /// The sectors before this one, and part of it.
    Before(usize),
    /// Each sector by itself, so many times out of four.
    Scattered(usize),
}

impl Node {
    /// A file all of whose bytes are durable.
    pub(crate) fn at_rest(bytes: Vec<u8>) -> Self {
        Self {
            current: bytes.clone(),
            durable: bytes,
            dirty: BTreeMap::new(),
        }
    }

    /// What readers see.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.current
    }

    /// Makes the file `length` bytes long at least; the new bytes are zero.
    pub(crate) fn extend(&mut self, length: usize) {
        if self.current.len() < length {
            self.current.resize(length, 0);
        }
    }

    /// Writes `bytes` from `offset` on, visible and not durable.
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if bytes.is_empty() {
            return;
        }
        self.extend(end);
        self.current[offset..end].copy_from_slice(bytes);
        let mut position = offset;
        while position < end {
            let sector = position / SECTOR_BYTES;
            let stop = end.min((sector + 1) * SECTOR_BYTES);
            let dirty = self.dirty.entry(sector).or_default();
            let piece = bytes[position - offset..stop - offset].to_vec();
            dirty.writes.push(SectorWrite {
                offset: position,
                bytes: piece,
            });
            dirty.forgotten = false;
            position = stop;
        }
    }

    /// Makes the length and all dirty sectors durable, except those a failed sync forgot.
    pub(crate) fn sync(&mut self) {
        let Self {
            current,
            durable,
            dirty,
        } = self;
        durable.resize(current.len(), 0);
        dirty.retain(|sector, state| {
            if !state.forgotten {
                let start = sector * SECTOR_BYTES;
                let end = current.len().min(start + SECTOR_BYTES);
                durable[start..end].copy_from_slice(&current[start..end]);
            }
            state.forgotten
        });
    }

    /// A sync that failed: the dirty sectors stay visible, and no later sync writes them unless
    /// they are written again.
    pub(crate) fn fail_sync(&mut self) {
        for sector in self.dirty.values_mut() {
            sector.forgotten = true;
        }
    }

    /// What a power loss leaves: the durable bytes, and of the others what `choices` says.
    pub(crate) fn after_power_loss(&self, choices: &mut Choices) -> Vec<u8> {
        let survival = self.choose_survival(choices);
        let length = self.choose_length(survival, choices);
        let mut left = self.durable.clone();
        left.resize(length, 0);
        for (sector, state) in &self.dirty {
            let all = state.writes.len();
            let (whole, torn) = match survival {
                Survival::Nothing => (0, false),
                Survival::Everything => (all, false),
                Survival::Before(cut) if *sector < cut => (all, false),
                Survival::Before(cut) => (0, *sector == cut),
                Survival::Scattered(of) if choices.chance(of, 4) => {
                    (choices.up_to(all), choices.chance(1, 8))
                }
                Survival::Scattered(_) => (0, false),
            };
            for write in &state.writes[..whole] {
                overlay(&mut left, write.offset, &write.bytes);
            }
            // Sectors are not trusted to be written whole.
            if let Some(write) = state.writes.get(whole).filter(|_| torn) {
                let kept = choices.up_to(write.bytes.len());
                overlay(&mut left, write.offset, &write.bytes[..kept]);
            }
        }
        left
    }

    fn choose_survival(&self, choices: &mut Choices) -> Survival {
        match choices.up_to(5) {
            0 => Survival::Nothing,
            1 => Survival::Everything,
            2 => {
                let last = self.dirty.len().saturating_sub(1);
                let cut = self.dirty.keys().nth(choices.up_to(last));
                Survival::Before(cut.copied().unwrap_or(0))
            }
            more => Survival::Scattered(more - 2),
        }
    }

    fn choose_length(&self, survival: Survival, choices: &mut Choices) -> usize {
        let (shortest, longest) = (self.durable.len(), self.current.len());
        match survival {
            Survival::Nothing => shortest,
            Survival::Everything => longest,
            Survival::Before(_) | Survival::Scattered(_) => match choices.up_to(2) {
                0 => shortest,
                1 => longest,
                _ => shortest + choices.up_to(longest - shortest),
            },
        }
    }

    /// Inverts one bit, on the medium and for readers; false where the file is too short.
    pub(crate) fn flip_bit(&mut self, offset: usize, bit: u8) -> bool {
        let Some(byte) = self.current.get_mut(offset) else {
            return false;
        };
        *byte ^= 1 << bit;
        if let Some(byte) = self.durable.get_mut(offset) {
            *byte ^= 1 << bit;
        }
        true
    }

    /// Cuts the file to `length`, on the medium and for readers; never extends it.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.current.truncate(length);
        self.durable.truncate(length);
        self.dirty.split_off(&length.div_ceil(SECTOR_BYTES));
        for state in self.dirty.values_mut() {
            for write in &mut state.writes {
                write.bytes.truncate(length.saturating_sub(write.offset));
            }
        }
    }
}

/// Copies the part of `bytes` that fits.
fn overlay(target: &mut [u8], offset: usize, bytes: &[u8]) {
    let end = target.len().min(offset + bytes.len());
    if offset < end {
        target[offset..end].copy_from_slice(&bytes[..end - offset]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEDS: u64 = 400;

    fn images(node: &Node) -> Vec<Vec<u8>> {
        (0..SEEDS)
            .map(|seed| node.after_power_loss(&mut Choices::new(seed)))
            .collect()
    }

    #[test]
    fn synced_bytes_always_survive_and_others_sometimes() {
        let mut node = Node::default();
        node.write(0, &[1; 1000]);
        node.sync();
        node.write(1000, &[2; 3000]);
        let images = images(&node);
        assert!(images.iter().all(|image| image[..1000] == [1; 1000]));
        assert!(images.iter().any(|image| image.len() == 1000));
        assert!(images.iter().any(|image| *image == node.bytes()));
        let hole = |image: &Vec<u8>| image.len() == 4000 && image[1100] == 0 && image[3999] == 2;
        assert!(
            images.iter().any(hole),
            "a later sector without an earlier one"
        );
        let torn = |image: &Vec<u8>| {
            image
                .chunks(SECTOR_BYTES)
                .skip(2)
                .any(|sector| sector.first() == Some(&2) && sector.last() == Some(&0))
        };
        assert!(images.iter().any(torn), "a sector that was written in part");
    }

    #[test]
    fn overwritten_sectors_show_any_of_their_versions() {
        let mut node = Node::at_rest(vec![0; 512]);
        node.write(0, &[1; 512]);
        node.write(0, &[2; 512]);
        let images = images(&node);
        for version in 0..3 {
            assert!(images.contains(&vec![version; 512]), "version {version}");
        }
    }

    #[test]
    fn a_failed_sync_loses_bytes_that_the_next_sync_does_not_bring_back() {
        let mut node = Node::default();
        node.write(0, &[1; 512]);
        node.fail_sync();
        node.sync();
        assert_eq!(node.bytes(), [1; 512]);
        assert!(
            images(&node).contains(&vec![0; 512]),
            "success was reported, the bytes are gone"
        );
        node.write(0, &[1]);
        node.sync();
        assert!(
            images(&node).iter().all(|image| *image == [1; 512]),
            "written again"
        );
    }

    #[test]
    fn truncation_reaches_un_synced_writes() {
        let mut node = Node::default();
        node.write(0, &[1; 2000]);
        node.truncate(700);
        node.extend(2000);
        node.sync();
        assert!(images(&node).iter().all(|image| *image == node.bytes()));
        assert_eq!(node.bytes()[699..701], [1, 0]);
    }
}
