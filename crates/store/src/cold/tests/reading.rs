//! What is read, and how little; what other readers see; whether an event is stored already.

use std::slice::from_ref;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use vitalog_disk::Directory;

use super::faces::{ALL, plain, rows_of};
use super::world::{DAY, Row, Shape, World, random_rows};
use crate::cold::schema::{Column, Layout, file_schema};
use crate::cold::{ColdCache, ColdEntry};
use crate::idempotency::{EventKey, Stored, content_of, find_in_section};
use crate::section::{Section, StoredSection};
use crate::{Domain, NULL_SYMBOL, RowFilter, SymbolSet};

fn written(seed: u64, shape: Shape, layout: Layout) -> (World, Vec<Row>, ColdEntry) {
    let world = World::new();
    let mut rows = random_rows(seed, shape);
    // One commit group, so that the rows are one section.
    for (at, row) in rows.iter_mut().enumerate() {
        row.received_us = 5;
        // Users of one account mostly, as in life.
        if at % 50 > 0
            && let (Some(account), Some(user)) = (&row.account, &mut row.user)
        {
            *user = format!("{account} {}", at % 10);
        }
    }
    let sources = world.in_memory(&rows);
    let entry = world.write(1, &[&sources[0]], None, layout).expect("rows");
    (world, rows, entry)
}

const LARGE: Shape = Shape {
    rows: 60_000,
    accounts: 300,
    users: 3_000,
    names: 40,
};

fn of_account(world: &World, account: &str) -> RowFilter {
    let symbol = world.symbols.lookup(Domain::Account, account);
    RowFilter {
        accounts: Some(symbol.into_iter().collect()),
        ..RowFilter::up_to(i64::MAX)
    }
}

#[test]
fn one_account_reads_a_fraction_of_the_file() {
    let layout = Layout {
        page_rows: 1 << 10,
        ..Layout::default()
    };
    let (world, rows, entry) = written(1, LARGE, layout);
    let section = world.stored(&entry).open();
    let selection = section
        .select(&of_account(&world, "account 17"))
        .expect("read");
    let batch = section.batch(selection.ranges(), &ALL).expect("read");
    let mut expected: Vec<&Row> = (rows.iter())
        .filter(|row| row.account.as_deref() == Some("account 17"))
        .collect();
    expected.sort_by_key(|row| row.key());
    let expected: Vec<_> = expected.into_iter().map(plain).collect();
    assert!(!expected.is_empty());
    assert_eq!(rows_of(&batch), expected);
    let read = world.cache.reads().bytes();
    let whole = entry.bytes;
    assert!(read * 5 < whole, "{read} of {whole} bytes");
    // Once more from a new section: identities and metadata are known, pages are read again.
    let again = world.stored(&entry).open();
    again
        .select(&of_account(&world, "account 17"))
        .expect("read");
    assert_eq!(world.cache.reads().bytes(), read);
}

#[test]
fn an_account_that_is_not_there_reads_its_bloom_filter_and_no_column() {
    let (world, _, entry) = written(2, LARGE, Layout::default());
    let absent: Vec<String> = (0..200).map(|at| format!("absent {at}")).collect();
    for name in &absent {
        world.symbols.write().accounts.intern(name);
    }
    let asked = |name: &str| {
        let cache = ColdCache::new(ColdCache::BYTES_DEFAULT);
        let world = World {
            cache,
            symbols: world.symbols.clone(),
            directory: world.directory.clone(),
        };
        let section = world.stored(&entry).open();
        assert!(
            section
                .select(&of_account(&world, name))
                .expect("read")
                .is_empty()
        );
        world.cache.reads().bytes()
    };
    let read: Vec<u64> = absent.iter().map(|name| asked(name)).collect();
    let few = read.iter().filter(|&&bytes| bytes < 200_000).count();
    let least = read.iter().min().expect("some");
    assert!(
        few > 150,
        "{few} of {}: {least} to {:?}",
        read.len(),
        read.iter().max()
    );
}

#[test]
fn scattered_rows_are_read_from_pages_as_they_stand_in_the_column() {
    for (group_rows, page_rows) in [(1 << 20, 1 << 10), (7_000, 300), (1_000, 1 << 20)] {
        let layout = Layout {
            group_rows,
            page_rows,
            ..Layout::default()
        };
        let shape = Shape {
            rows: 20_000,
            ..LARGE
        };
        let (world, mut rows, entry) = written(3, shape, layout);
        rows.sort_by_key(Row::key);
        let mut rng = StdRng::seed_from_u64(9);
        for _ in 0..12 {
            let cache = ColdCache::new(ColdCache::BYTES_DEFAULT);
            let (symbols, directory) = (world.symbols.clone(), world.directory.clone());
            let world = World {
                symbols,
                directory,
                cache,
            };
            let section = world.stored(&entry).open();
            let mut at = 0;
            let mut ranges = Vec::new();
            while at < rows.len() {
                let start = at + rng.random_range(1..4_000);
                let end = start + rng.random_range(1..90);
                if end <= rows.len() {
                    ranges.push(start..end);
                }
                at = end + 1;
            }
            let mut columns = ALL.to_vec();
            columns.shuffle(&mut rng);
            let wanted = ranges.iter().map(ExactSizeIterator::len).sum::<usize>();
            assert!(wanted * 8 < rows.len(), "few enough");
            let found = section.batch(&ranges, &columns).expect("read");
            assert_eq!(section.memory_bytes(), 0, "nothing decoded whole");
            let back: Vec<usize> = ALL
                .iter()
                .map(|column| columns.iter().position(|at| at == column).expect("all"))
                .collect();
            let found = rows_of(&found.project(&back).expect("all"));
            let expected = ranges.iter().flat_map(|range| &rows[range.clone()]);
            assert_eq!(found, expected.map(plain).collect::<Vec<_>>());
            // More than an eighth: the columns are decoded, and say the same.
            let whole = section
                .batch(from_ref(&(0..rows.len())), &ALL)
                .expect("read");
            assert_eq!(rows_of(&whole), rows.iter().map(plain).collect::<Vec<_>>());
            assert!(section.memory_bytes() > 0);
            let none = section.batch(&[], &ALL).expect("read");
            assert_eq!((none.num_rows(), none.schema()), (0, whole.schema()));
            assert_eq!(
                world.stored(&entry).open().batch(&[], &ALL).expect("read"),
                none
            );
        }
    }
}

#[test]
fn any_parquet_reader_sees_sorted_rows_and_the_fixed_schema() {
    let layout = Layout {
        group_rows: 2_000,
        page_rows: 300,
        ..Layout::default()
    };
    let shape = Shape {
        rows: 5_000,
        ..LARGE
    };
    let (world, mut rows, entry) = written(4, shape, layout);
    let bytes = Bytes::from(world.directory.read(&entry.parquet()).expect("there"));
    assert_eq!(bytes.len() as u64, entry.bytes);
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("a Parquet file");
    assert_eq!(builder.schema(), &file_schema());
    let metadata = Arc::clone(builder.metadata());
    assert_eq!(metadata.num_row_groups(), 3);
    for group in metadata.row_groups() {
        let sorting = group.sorting_columns().expect("declared");
        let places: Vec<i32> = sorting.iter().map(|column| column.column_idx).collect();
        assert_eq!(places, [5, 6, 1, 3]);
        assert!(
            sorting
                .iter()
                .all(|column| !column.descending && !column.nulls_first)
        );
        for column in [Column::EventId, Column::Account, Column::User] {
            let chunk = group.column(column as usize);
            assert!(chunk.bloom_filter_offset().is_some(), "{column:?}");
            assert!(chunk.offset_index_offset().is_some(), "{column:?}");
        }
        for column in [Column::Event, Column::Account, Column::User] {
            let chunk = group.column(column as usize);
            assert!(chunk.dictionary_page_offset().is_some(), "{column:?}");
        }
    }
    rows.sort_by_key(Row::key);
    let mut at = 0;
    for batch in builder.build().expect("readable") {
        let batch = batch.expect("readable");
        let text = |column: usize, row: usize| {
            let column = batch.column(column).as_string::<i32>();
            column.iter().nth(row).flatten().map(str::to_owned)
        };
        for row in (0..batch.num_rows()).step_by(97) {
            let expected = &rows[at + row];
            assert_eq!(text(0, row).as_ref(), Some(&expected.id));
            assert_eq!(text(5, row), expected.account);
            assert_eq!(text(8, row), expected.properties);
        }
        let days = batch
            .column(9)
            .as_primitive::<arrow_array::types::Date32Type>();
        assert!(days.values().iter().all(|&day| day == DAY));
        at += batch.num_rows();
    }
    assert_eq!(at, rows.len());
}

#[test]
fn stored_events_are_found_as_in_a_hot_file() {
    let world = World::new();
    let shape = Shape {
        rows: 3_000,
        ..LARGE
    };
    let mut rows = random_rows(6, shape);
    // Some ids stand in several accounts.
    for at in (0..rows.len() - 1).step_by(10) {
        rows[at + 1].id = rows[at].id.clone();
        rows[at].account = Some("account 1".to_owned());
        rows[at + 1].account = Some("account 2".to_owned());
    }
    let hot = StoredSection::new(world.hot("hot", &rows));
    let source = hot.open();
    let entry = world
        .write(1, &[&source], None, Layout::default())
        .expect("rows");
    let cold = world.stored(&entry);
    let symbol = |domain, text: &Option<String>| {
        let symbol = |text: &String| world.symbols.lookup(domain, text).expect("known");
        text.as_ref().map_or(NULL_SYMBOL, symbol)
    };
    let mut reads = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let key = |event_id, account| EventKey {
            event_id,
            account,
            time_us: 0,
            content: 0,
        };
        let account = symbol(Domain::Account, &row.account);
        let found = find_in_section(&cold, &key(&row.id, account), &[]).expect("read");
        let (user, event) = (
            symbol(Domain::User, &row.user),
            symbol(Domain::Event, &Some(row.name.clone())),
        );
        let value = row.value.map(f64::from_bits);
        let content = content_of(event, user, value, row.properties.as_deref());
        let time_us = row.time_us;
        assert_eq!(found, Some(Stored { time_us, content }), "row {at}");
        for (id, account) in [
            (row.id.as_str(), account + 1),
            (&format!("other {at}"), account),
            (&row.id[1..], account),
        ] {
            let key = key(id, account);
            assert_eq!(
                find_in_section(&cold, &key, &[]).expect("read"),
                find_in_section(&hot, &key, &[]).expect("read"),
            );
        }
        reads.push(world.cache.reads().bytes());
    }
    let (first, last) = (reads[0], reads[reads.len() - 1]);
    assert!(
        last < first + 2 * entry.bytes,
        "{first} to {last}: nothing is decoded again"
    );
}

#[test]
fn an_id_that_is_not_there_reads_no_ids() {
    let (world, _, entry) = written(7, LARGE, Layout::default());
    let file = world.file(&entry);
    let absent = (0..2_000).filter(|at| {
        let held = file.may_hold_event_id(&format!("absent {at}"));
        !held.expect("read")
    });
    let absent = absent.count();
    assert!(absent > 1_400, "{absent} of 2000 ruled out");
    let read = world.cache.reads().bytes();
    assert!(read < entry.bytes / 3, "{read} of {}", entry.bytes);
    let key = EventKey {
        event_id: "absent",
        account: NULL_SYMBOL,
        time_us: 0,
        content: 0,
    };
    assert_eq!(
        find_in_section(&world.stored(&entry), &key, &[]).expect("read"),
        None
    );
}

#[test]
fn a_dropped_entry_lives_on_with_its_reader() {
    let (world, rows, entry) = written(8, LARGE, Layout::default());
    // A cache that can hold next to nothing.
    let world = World {
        cache: ColdCache::new(64 << 10),
        ..world
    };
    let section: Arc<Section> = world.stored(&entry).open();
    let times = section.times().expect("read").to_vec();
    let all: SymbolSet = (1..world.symbols.bound(Domain::Account) as u32).collect();
    for _ in 0..3 {
        let other = world.stored(&entry).open();
        other.event_ids().expect("read");
        other.properties().expect("read");
        let filter = RowFilter {
            accounts: Some(all.clone()),
            ..RowFilter::up_to(i64::MAX)
        };
        let kept = other.select(&filter).expect("read").rows();
        let expected = rows.iter().filter(|row| row.account.is_some()).count();
        assert_eq!(kept, expected);
    }
    assert_eq!(section.times().expect("read"), times);
    assert!(world.cache.bytes() <= 64 << 10, "{}", world.cache.bytes());
    assert!(world.cache.reads().calls() > 0);
}
