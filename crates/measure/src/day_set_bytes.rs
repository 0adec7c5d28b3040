//! The bytes of a set of days.
//!
//! Bytes (version 1): `version u8 = 1`, then the chunks: `count varint`; per chunk the key (the
//! first as zigzag varint, every other as varint of the distance to the previous one, less 1), a
//! mask byte that names the non-zero bytes of the 64 bits, lowest first, and these bytes.
//!
//! Invariant: a set has one form. Whatever differs from it (a chunk without days, a zero byte that
//! the mask names, a day outside the years 1 to 9999) is refused.

use crate::calendar::{DAY_MAX, DAY_MIN};
use crate::code::{Reader, put_varint, unzigzag, zigzag};
use crate::day_set::Chunk;
use crate::{DaySet, Error};

impl DaySet {
    pub(crate) fn write_chunks(&self, out: &mut Vec<u8>) {
        put_varint(out, self.chunks.len() as u64);
        let mut previous = None;
        for chunk in &self.chunks {
            let key = i64::from(chunk.key);
            match previous.replace(key) {
                None => put_varint(out, zigzag(key)),
                Some(previous) => put_varint(out, (key - previous - 1) as u64),
            }
            let bytes = chunk.bits.to_le_bytes();
            let mask = (0..8).fold(0u8, |mask, index| {
                mask | u8::from(bytes[index] != 0) << index
            });
            out.push(mask);
            out.extend(bytes.iter().filter(|&&byte| byte != 0));
        }
    }

    pub(crate) fn read_chunks(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let count = reader.varint()?;
        let mut set = Self::new();
        for _ in 0..count {
            let number = reader.varint()?;
            let key = match set.chunks.last() {
                None => Some(unzigzag(number)),
                Some(last) => i64::try_from(number)
                    .ok()
                    .and_then(|distance| distance.checked_add(i64::from(last.key) + 1)),
            };
            let key = key
                .and_then(|key| i32::try_from(key).ok())
                .filter(|key| (DAY_MIN >> 6..=DAY_MAX >> 6).contains(key))
                .ok_or_else(|| reader.corrupt())?;
            let bits = read_bits(reader)?;
            let chunk = Chunk { key, bits };
            if chunk.bits_between(DAY_MIN, DAY_MAX) != bits {
                return Err(reader.corrupt());
            }
            set.chunks.push(chunk);
        }
        Ok(set)
    }
}

fn read_bits(reader: &mut Reader<'_>) -> Result<u64, Error> {
    let mask = reader.byte()?;
    if mask == 0 {
        return Err(reader.corrupt());
    }
    let mut bytes = [0u8; 8];
    for (index, byte) in bytes.iter_mut().enumerate() {
        if mask & (1 << index) != 0 {
            *byte = reader.byte()?;
            if *byte == 0 {
                return Err(reader.corrupt());
            }
        }
    }
    Ok(u64::from_le_bytes(bytes))
}
