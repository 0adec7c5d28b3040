//! A flipped bit, a cut or a missing file is named, never a panic, never another answer.

use vitalog_disk::Directory;

use super::faces::{Faces, faces, filters};
use super::world::{Row, Shape, World, random_rows};
use crate::cold::schema::Layout;
use crate::cold::{ColdCache, ColdEntry};
use crate::error::{Result, StoreErrorKind};
use crate::section::Section;

fn written() -> (World, Vec<Row>, ColdEntry) {
    let world = World::new();
    let shape = Shape {
        rows: 500,
        accounts: 5,
        users: 12,
        names: 7,
    };
    let rows = random_rows(5, shape);
    let sources = world.in_memory(&rows);
    let sources: Vec<&Section> = sources.iter().map(AsRef::as_ref).collect();
    let layout = Layout {
        group_rows: 300,
        page_rows: 40,
        ..Layout::default()
    };
    let entry = world.write(1, &sources, None, layout).expect("rows");
    (world, rows, entry)
}

/// Everything a reader can ask, of an image of the directory and with nothing cached.
fn read(
    world: &World,
    image: vitalog_disk::FaultyDirectory,
    rows: &[Row],
    entry: &ColdEntry,
) -> (Result<Faces>, Vec<String>) {
    let world = World {
        symbols: world.symbols.clone(),
        directory: image,
        cache: ColdCache::new(ColdCache::BYTES_DEFAULT),
    };
    let filters = filters(&world.symbols, rows);
    let damages = world.file(entry).verify();
    let read = faces(&world.stored(entry).open(), &filters);
    (read, damages.iter().map(ToString::to_string).collect())
}

#[test]
fn a_flipped_bit_is_named_and_no_other_answer_is_given() {
    let (world, rows, entry) = written();
    let (clean, damages) = read(&world, world.directory.kill_image(), &rows, &entry);
    let clean = clean.expect("whole");
    assert_eq!(damages, [""; 0]);
    let mut errors = 0;
    for (name, step) in [(entry.parquet(), 61), (entry.sidecar(), 7)] {
        let length = world.directory.len(&name).expect("there");
        for at in (0..length).step_by(step) {
            let image = world.directory.kill_image();
            image.flip_bit(&name, at, (at % 8) as u8).expect("in range");
            let (found, damages) = read(&world, image, &rows, &entry);
            assert!(
                damages.iter().any(|text| text.contains(&name)),
                "{name} byte {at}: {damages:?}"
            );
            match found {
                // Padding of the sidecar, or a part that no question needs.
                Ok(found) => assert!(found == clean, "{name} byte {at}: another answer"),
                Err(error) => {
                    errors += 1;
                    assert_eq!(error.kind(), StoreErrorKind::Data, "{error}");
                    assert!(error.to_string().contains(&name), "{at}: {error}");
                }
            }
        }
    }
    assert!(errors > 300, "{errors}");
}

#[test]
fn a_cut_or_missing_file_is_named() {
    let (world, rows, entry) = written();
    for name in [entry.parquet(), entry.sidecar()] {
        let length = world.directory.len(&name).expect("there");
        for cut in [0, 1, length / 2, length - 1] {
            let image = world.directory.kill_image();
            image.truncate(&name, cut).expect("in range");
            let (found, damages) = read(&world, image, &rows, &entry);
            let error = found.expect_err("cut").to_string();
            assert!(error.contains(&name) && !damages.is_empty(), "{error}");
        }
        let image = world.directory.kill_image();
        image.remove(&name).expect("there");
        let (found, damages) = read(&world, image, &rows, &entry);
        let error = found.expect_err("missing").to_string();
        assert!(error.contains(&name) && !damages.is_empty(), "{error}");
    }
}

#[test]
fn another_file_of_the_same_length_is_found_by_its_hash() {
    let (world, rows, entry) = written();
    let other = ColdEntry {
        sha256: entry.sha256.chars().rev().collect(),
        ..entry.clone()
    };
    let (_, damages) = read(&world, world.directory.kill_image(), &rows, &other);
    assert!(
        damages.iter().any(|text| text.contains("SHA-256")),
        "{damages:?}"
    );
    let mut other = entry;
    other.statistics.time_max_us += 1;
    let (_, damages) = read(&world, world.directory.kill_image(), &rows, &other);
    assert_eq!(damages.len(), 1, "{damages:?}");
}

#[test]
fn strings_without_a_symbol_are_an_error() {
    let (world, rows, entry) = written();
    let world = World {
        symbols: std::sync::Arc::default(),
        ..world
    };
    let error = faces(
        &world.stored(&entry).open(),
        &filters(&world.symbols, &rows),
    );
    let error = error.expect_err("no symbols").to_string();
    assert!(error.contains("no symbol"), "{error}");
}
