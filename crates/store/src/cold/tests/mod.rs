//! Cold files against a plain list of rows, and against the same rows in memory and in hot files.

mod damage;
mod faces;
mod reading;
mod world;

use faces::{content, content_of_rows, faces, filters};
use proptest::prelude::*;
use world::{Shape, World, random_rows};

use super::ColdEntry;
use super::schema::Layout;
use crate::section::{Section, SectionStatistics};
use crate::segment::Origin;

/// An entry for tests that need one.
pub(super) fn entry_of_nothing() -> ColdEntry {
    ColdEntry {
        name: ColdEntry::name_of(7),
        bytes: 0,
        sha256: String::new(),
        crc32c: 0,
        sidecar_bytes: 0,
        sidecar_crc32c: 0,
        received_min_us: 0,
        received_max_us: 0,
        origin: Origin::default(),
        statistics: SectionStatistics {
            day: 0,
            rows: 1,
            time_min_us: 0,
            time_max_us: 0,
            seq_min: 1,
            seq_max: 1,
            has_trait_events: false,
        },
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    (1..400usize, 1..6u32, 1..9u32, 2..200u32).prop_map(|(rows, accounts, users, names)| Shape {
        rows,
        accounts,
        users,
        names,
    })
}

fn layout() -> impl Strategy<Value = Layout> {
    prop_oneof![
        Just(Layout::default()),
        (1..200usize, 1..50usize, 1..300usize).prop_map(
            |(group_rows, page_rows, dictionary_bytes)| {
                Layout {
                    group_rows,
                    page_rows,
                    dictionary_bytes,
                }
            }
        ),
    ]
}

#[test]
fn rows_with_too_much_text_for_one_file_are_cut() {
    let world = World::new();
    let shape = Shape {
        rows: 120,
        accounts: 3,
        users: 5,
        names: 9,
    };
    let rows = random_rows(3, shape);
    let memory = world.in_memory(&rows);
    let memory: Vec<&Section> = memory.iter().map(AsRef::as_ref).collect();
    let filters = filters(&world.symbols, &rows);
    let expected = content_of_rows(&rows, &world.symbols, &filters);
    let ids: usize = rows.iter().map(|row| row.id.len()).sum();
    let properties = rows.iter().filter_map(|row| row.properties.as_ref());
    let properties: usize = properties.map(String::len).sum();
    for (text_bytes_max, files) in [(1, 120..=120), (300, 2..=20), (1 << 20, 1..=1)] {
        let entries = world.write_cut(1 + text_bytes_max, &memory, text_bytes_max);
        assert!(files.contains(&entries.len()), "{} files", entries.len());
        let texts = entries.iter().map(|entry| world.file(entry).text_bytes());
        let texts: Vec<u64> = texts.collect::<Result<_, _>>().expect("counted");
        let is_bounded = |(text, entry): (&u64, &ColdEntry)| {
            *text <= text_bytes_max || entry.statistics.rows == 1
        };
        assert!(texts.iter().zip(&entries).all(is_bounded), "{texts:?}");
        if let [text] = texts[..] {
            assert_eq!(text, ids.max(properties) as u64);
        }
        let cold: Vec<_> = entries
            .iter()
            .map(|entry| world.stored(entry).open())
            .collect();
        let cold: Vec<&Section> = cold.iter().map(AsRef::as_ref).collect();
        assert_eq!(content(&cold, &filters).expect("cold"), expected);
        for entry in &entries {
            let damages = world.file(entry).verify();
            assert!(damages.is_empty(), "{damages:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_tier_answers_as_the_rows_do(
        seed in any::<u64>(),
        shape in shape(),
        layout in layout(),
        cuts in (0..=100usize, 0..=100usize),
    ) {
        let world = World::new();
        let rows = random_rows(seed, shape);
        // An absent string has a symbol: another day holds it.
        world.symbols.write().accounts.intern("absent");
        world.symbols.write().events.intern("absent");
        let memory = world.in_memory(&rows);
        let memory: Vec<&Section> = memory.iter().map(AsRef::as_ref).collect();
        let filters = filters(&world.symbols, &rows);
        let expected = content_of_rows(&rows, &world.symbols, &filters);
        prop_assert_eq!(&content(&memory, &filters).expect("memory"), &expected);
        let hot = world.hot("hot", &rows);
        prop_assert_eq!(&content(&[&hot], &filters).expect("hot"), &expected);

        // Cold from memory, and from a cold, a hot and some memory sections with a row in each.
        let whole = world.write(1, &memory, None, layout).expect("rows");
        let cold = world.stored(&whole).open();
        prop_assert_eq!(&content(&[&cold], &filters).expect("cold"), &expected);
        let (first, second) = (cuts.0.min(cuts.1), cuts.0.max(cuts.1));
        let (first, second) = (rows.len() * first / 100, rows.len() * second / 100);
        let mut parts: Vec<_> = world.in_memory(&rows[second..]);
        if first > 0 {
            let source = world.hot("part", &rows[..first]);
            let part = world.write(2, &[&source], None, layout).expect("rows");
            parts.insert(0, world.stored(&part).open());
        }
        if second > first {
            parts.push(world.hot("other part", &rows[first..second]));
        }
        let parts: Vec<&Section> = parts.iter().map(AsRef::as_ref).collect();
        let joined = world.write(3, &parts, None, layout).expect("rows");
        prop_assert_eq!(joined.statistics, whole.statistics);
        prop_assert_eq!((joined.received_min_us, joined.received_max_us),
            (whole.received_min_us, whole.received_max_us));

        // Hot and cold say the same to the last code.
        let hot = faces(&hot, &filters).expect("hot");
        for entry in [&whole, &joined] {
            prop_assert_eq!(&faces(&cold, &filters).expect("cold"), &hot);
            let fresh = World { cache: super::ColdCache::new(1), ..World::new() };
            let fresh = World { symbols: world.symbols.clone(), directory: world.directory.clone(), ..fresh };
            prop_assert_eq!(&faces(&fresh.stored(entry).open(), &filters).expect("cold"), &hot);
            let damages = world.file(entry).verify();
            prop_assert!(damages.is_empty(), "{:?}", damages);
        }

        let section = super::ColdSection::new(world.file(&whole));
        for known_at_us in [-1, 0, 1_500, 20_000, i64::MAX] {
            let later = rows.iter().filter(|row| row.received_us > known_at_us);
            let first = section.first_seq_after(known_at_us).expect("read");
            prop_assert_eq!(first, later.map(|row| row.seq).min());
        }

        // Some rows left out.
        let keep = |row: &world::Row| !(row.seq % 3 == 0 || row.account.as_deref() == Some("account 1"));
        let left: Vec<_> = rows.iter().filter(|row| keep(row)).cloned().collect();
        let of_section = |source: usize, row: usize| {
            let seq = parts[source].seqs().expect("read")[row];
            rows.iter().any(|known| known.seq == seq && keep(known))
        };
        let entry = world.write(4, &parts, Some(&of_section), layout);
        prop_assert_eq!(entry.is_none(), left.is_empty());
        if let Some(entry) = entry {
            let cold = world.stored(&entry).open();
            let expected = content_of_rows(&left, &world.symbols, &filters);
            prop_assert_eq!(&content(&[&cold], &filters).expect("cold"), &expected);
            let damages = world.file(&entry).verify();
            prop_assert!(damages.is_empty(), "{:?}", damages);
        }
    }
}
