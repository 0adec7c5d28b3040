//! Zero copy: what the code face lends lies inside the map of the segment file, and so do the
//! texts behind the SQL face. The kernel's own list of maps is the witness.
#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod support;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use support::{batch, clock, numbered, small};
use vitalog_disk::RealDirectory;
use vitalog_store::{EventCodes, RowFilter, Store};

/// Address ranges at which a file of the segment folder is mapped.
fn mapped_segments() -> Vec<Range<usize>> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let address = |text: &str| usize::from_str_radix(text, 16).unwrap();
    maps.lines()
        .filter(|line| line.contains("/segments/") && line.contains(".arrow"))
        .map(|line| {
            let (from, to) = line
                .split_whitespace()
                .next()
                .unwrap()
                .split_once('-')
                .unwrap();
            address(from)..address(to)
        })
        .collect()
}

fn assert_mapped<T>(what: &str, slice: &[T]) {
    let bytes = slice.as_ptr().addr()..slice.as_ptr().addr() + size_of_val(slice);
    let maps = mapped_segments();
    let inside = maps
        .iter()
        .any(|map| map.start <= bytes.start && bytes.end <= map.end);
    assert!(inside, "{what} at {bytes:x?} lies outside {maps:x?}");
}

#[test]
fn the_faces_lend_the_map_itself() {
    let folder = tempfile::tempdir().unwrap();
    let directory = Arc::new(RealDirectory::open(folder.path()).unwrap());
    let store = Store::open(directory, small(), clock()).unwrap().0;
    store.append(batch(&numbered(0..400))).unwrap();
    let before = store.snapshot();
    store.flush().unwrap();
    let snapshot = store.snapshot();
    let mut sections = 0;
    for section in snapshot.slices().iter().flat_map(|slice| &slice.sections) {
        let section = section.open();
        assert!(section.is_in_file());
        assert_mapped("times", section.times().unwrap());
        assert_mapped("seqs", section.seqs().unwrap());
        assert_mapped("values", section.values().unwrap().values());
        assert_mapped("ids", section.event_ids().unwrap().value_data());
        assert_mapped("id offsets", section.event_ids().unwrap().value_offsets());
        assert_mapped("properties", section.properties().unwrap().value_data());
        assert_mapped("run ends", section.runs().unwrap().last_us());
        assert_mapped("run starts", section.runs().unwrap().first_us());
        match section.event_codes().unwrap() {
            EventCodes::I8(keys) => assert_mapped("event keys", keys),
            other => panic!("seven names need one byte a key, found {other:?}"),
        }
        for text in section.strings().unwrap().accounts.data_buffers() {
            assert_mapped("account strings", text);
        }
        let all = section.select(&RowFilter::up_to(snapshot.seq())).unwrap();
        let batch = section.batch(all.ranges(), &[0, 1, 3, 8]).unwrap();
        for buffer in batch.column(0).as_string_view().data_buffers() {
            assert_mapped("SQL ids", buffer);
        }
        let times = batch.column(1).as_primitive::<TimestampMicrosecondType>();
        assert_mapped("SQL times", times.values());
        assert_mapped(
            "SQL seqs",
            batch.column(2).as_primitive::<Int64Type>().values(),
        );
        for buffer in batch.column(3).as_string_view().data_buffers() {
            assert_mapped("SQL properties", buffer);
        }
        sections += 1;
    }
    assert!(sections >= 5);
    // The memtable is no map: the witness can say no.
    let memory = before.slices()[0].sections[0]
        .open()
        .times()
        .unwrap()
        .as_ptr()
        .addr();
    assert!(mapped_segments().iter().all(|map| !map.contains(&memory)));
}
