//! Fuzzes what imports a file of CSV.
#![no_main]

use std::io::Cursor;

use vitalog::import::{ImportOptions, Memberships, SourceFormat, open_reader};

/// 2025-03-01T00:00:00Z.
const NOW_US: i64 = 1_740_787_200_000_000;

/// A file of one event.
const SEED: &[u8] = b"event_time,event,account_id,value\n2025-03-01T00:00:00Z,opened,acme,0.5\n";

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("import_csv", &[SEED.to_vec()]),
    |bytes: &[u8]| {
        let options = ImportOptions {
            format: Some(SourceFormat::Csv),
            batch_rows: 16,
            line_bytes_max: 1 << 10,
            ..ImportOptions::default()
        };
        let reader = Box::new(Cursor::new(bytes.to_vec()));
        let Ok(mut source) = open_reader("fuzz", reader, None, &options, NOW_US) else {
            return;
        };
        let mut memberships = Memberships::default();
        while let Ok(Some(_)) = source.next_batch(&mut memberships) {}
    }
);
