//! Random rows of one day, as a plain list, in memory, in a hot file and in a cold one.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{Float64Array, Int64Array, StringArray, TimestampMicrosecondArray, UInt32Array};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vitalog_disk::{Directory, FaultyDirectory};
use vitalog_event::DAY_US;

use crate::NULL_SYMBOL;
use crate::cold::schema::Layout;
use crate::cold::write::Keep;
use crate::cold::{ColdCache, ColdEntry, ColdFile, ColdRows};
use crate::section::{MemoryColumns, Section, StoredSection, sections_of_group};
use crate::segment::{FileSection, Origin, Segment, write_segment};
use crate::symbols::{Member, Symbols};

/// The day of all rows.
pub(crate) const DAY: i32 = 20_148;

/// One row as plain values.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub seq: i64,
    pub received_us: i64,
    pub id: String,
    pub time_us: i64,
    pub name: String,
    pub account: Option<String>,
    pub user: Option<String>,
    /// By its bits.
    pub value: Option<u64>,
    pub properties: Option<String>,
}

impl Row {
    /// The order of rows in a file: nulls last.
    pub fn key(&self) -> impl Ord + Clone + use<> {
        let part = |text: &Option<String>| (text.is_none(), text.clone());
        let (account, user) = (part(&self.account), part(&self.user));
        (account, user, self.time_us, self.seq)
    }
}

/// What the rows are drawn from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub rows: usize,
    pub accounts: u32,
    pub users: u32,
    pub names: u32,
}

const ODD_VALUES: [u64; 8] = [
    0x7ff8_0000_0000_0001,
    0xfff8_dead_beef_0002,
    0x7ff0_0000_0000_0001,
    0x8000_0000_0000_0000,
    0x0000_0000_0000_0000,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x0000_0000_0000_0001,
];

/// Rows with several-account users, nulls, few distinct times, odd values and trait events.
pub(crate) fn random_rows(seed: u64, shape: Shape) -> Vec<Row> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (first_seq, day_us) = (rng.random_range(1..1_000), i64::from(DAY) * DAY_US);
    let with_traits = rng.random_bool(0.5);
    (0..shape.rows)
        .map(|at| {
            let number = rng.random_range(0..shape.names);
            let name = match number {
                0 if with_traits => "$group".to_owned(),
                1 if with_traits => "$identify".to_owned(),
                number => format!("name {number}"),
            };
            let account = rng.random_range(0..shape.accounts);
            let user = rng.random_range(0..shape.users);
            let value = match rng.random_range(0..6) {
                0 => Some(ODD_VALUES[rng.random_range(0..ODD_VALUES.len())]),
                1 => Some(f64::from(rng.random_range(0..9)).to_bits()),
                _ => None,
            };
            let properties = match rng.random_range(0..4) {
                0 => None,
                1 => Some("{}".to_owned()),
                _ => Some(format!("{{\"k{}\":1.0,\"é\":\"{at}\"}}", number % 5)),
            };
            Row {
                seq: first_seq + at as i64,
                received_us: (at as i64 / 7) * 1_000,
                id: format!("{:x}", rng.random::<u64>()),
                time_us: day_us + rng.random_range(0..40) * (DAY_US / 40),
                name,
                account: (rng.random_range(0..9) > 0).then(|| format!("account {account}")),
                user: (rng.random_range(0..9) > 0).then(|| format!("user {user}")),
                value,
                properties,
            }
        })
        .collect()
}

/// Symbols of a store and a directory for its files.
#[derive(Debug)]
pub(crate) struct World {
    pub symbols: Arc<Symbols>,
    pub directory: FaultyDirectory,
    pub cache: Arc<ColdCache>,
}

impl World {
    pub fn new() -> Self {
        Self {
            symbols: Arc::default(),
            directory: FaultyDirectory::new(),
            cache: ColdCache::new(ColdCache::BYTES_DEFAULT),
        }
    }

    pub fn disk(&self) -> Arc<dyn Directory> {
        Arc::new(self.directory.clone())
    }

    /// The rows of one commit group in memory. They are consecutive and share `received_us`.
    fn group(&self, rows: &[Row]) -> Arc<Section> {
        let (mut events, mut members) = (Vec::new(), Vec::new());
        let mut tables = self.symbols.write();
        for row in rows {
            events.push(tables.events.intern(&row.name));
            let account = row.account.as_ref();
            let account = account.map_or(NULL_SYMBOL, |text| tables.accounts.intern(text));
            let user = row.user.as_ref();
            let user = user.map_or(NULL_SYMBOL, |text| tables.users.intern(text));
            members.push(tables.members.intern(Member { account, user }));
        }
        drop(tables);
        let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.time_us));
        let properties: StringArray = rows.iter().map(|row| row.properties.as_deref()).collect();
        let values: Float64Array = (rows.iter().map(|row| row.value.map(f64::from_bits))).collect();
        let columns = MemoryColumns {
            event_ids: rows.iter().map(|row| Some(row.id.as_str())).collect(),
            times: times.with_timezone("UTC"),
            seqs: Int64Array::from_iter_values(rows.iter().map(|row| row.seq)),
            events: UInt32Array::from(events),
            values,
            properties,
        };
        let received = rows[0].received_us;
        let sections = sections_of_group(&columns, &members, received, &self.symbols);
        sections.expect("valid columns").remove(0)
    }

    /// Rows in memory, one section a commit group.
    pub fn in_memory(&self, rows: &[Row]) -> Vec<Arc<Section>> {
        rows.chunk_by(|left, right| left.received_us == right.received_us)
            .map(|group| self.group(group))
            .collect()
    }

    /// Rows in a hot file.
    pub fn hot(&self, name: &str, rows: &[Row]) -> Arc<Section> {
        let days = BTreeMap::from([(DAY, self.in_memory(rows))]);
        let groups = rows.chunk_by(|left, right| left.received_us == right.received_us);
        let received: Vec<(i64, i64)> = groups
            .map(|group| (group[0].seq, group[0].received_us))
            .collect();
        let disk = self.disk();
        let entry = write_segment(
            disk.as_ref(),
            name,
            &self.symbols,
            &days,
            &received,
            Origin::default(),
        );
        let segment = Segment::new(disk, entry.expect("written"));
        let statistics = segment.entry().sections[0];
        Arc::new(Section::in_file(statistics, FileSection::new(segment, 0)))
    }

    /// Writes a cold file.
    pub fn write(
        &self,
        number: u64,
        sources: &[&Section],
        keep: Option<Keep<'_>>,
        layout: Layout,
    ) -> Option<ColdEntry> {
        let disk = self.disk();
        let rows = ColdRows::new(&self.symbols, sources, keep, u64::MAX).expect("read");
        let rows = rows.laid_out(layout);
        assert!(rows.files() <= 1, "one file has room for all");
        (rows.files() == 1).then(|| {
            let written = rows.write(0, disk.as_ref(), number, Origin::default());
            written.expect("written")
        })
    }

    /// Writes cold files of at most `text_bytes_max` bytes of ids or properties, from `number` on.
    pub fn write_cut(
        &self,
        number: u64,
        sources: &[&Section],
        text_bytes_max: u64,
    ) -> Vec<ColdEntry> {
        let disk = self.disk();
        let rows = ColdRows::new(&self.symbols, sources, None, text_bytes_max).expect("read");
        let files = (number..).zip(0..rows.files());
        let written = files.map(|(number, at)| {
            let written = rows.write(at, disk.as_ref(), number, Origin::default());
            written.expect("written")
        });
        written.collect()
    }

    /// The file of an entry.
    pub fn file(&self, entry: &ColdEntry) -> Arc<ColdFile> {
        let (symbols, cache) = (Arc::clone(&self.symbols), Arc::clone(&self.cache));
        ColdFile::new(self.disk(), entry.clone(), symbols, cache)
    }

    pub fn stored(&self, entry: &ColdEntry) -> StoredSection {
        StoredSection::cold(self.file(entry))
    }
}
