//! Everything that can be asked of a section, as plain values.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::slice::from_ref;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch, StringViewArray};

use super::world::Row;
use crate::error::Result;
use crate::section::{EventCount, MemberSummary, Run, Section, SectionStatistics};
use crate::symbols::Symbols;
use crate::{Domain, NULL_SYMBOL, RowFilter, SymbolSet};

/// (event id, time, received, seq, event, account, user, bits of the value, properties).
pub(crate) type Plain = (
    String,
    i64,
    i64,
    i64,
    String,
    Option<String>,
    Option<String>,
    Option<u64>,
    Option<String>,
);

pub(crate) fn plain(row: &Row) -> Plain {
    (
        row.id.clone(),
        row.time_us,
        row.received_us,
        row.seq,
        row.name.clone(),
        row.account.clone(),
        row.user.clone(),
        row.value,
        row.properties.clone(),
    )
}

/// The rows of a batch with all columns.
pub(crate) fn rows_of(batch: &RecordBatch) -> Vec<Plain> {
    let text = |column: usize, row: usize| {
        let column = batch.column(column).as_string_view();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let time = |column: usize, row| {
        let times = batch
            .column(column)
            .as_primitive::<TimestampMicrosecondType>();
        times.value(row)
    };
    let values = batch.column(7).as_primitive::<Float64Type>();
    (0..batch.num_rows())
        .map(|row| {
            (
                text(0, row).expect("never null"),
                time(1, row),
                time(2, row),
                batch.column(3).as_primitive::<Int64Type>().value(row),
                text(4, row).expect("never null"),
                text(5, row),
                text(6, row),
                values.is_valid(row).then(|| values.value(row).to_bits()),
                text(8, row),
            )
        })
        .collect()
}

/// All nine columns.
pub(crate) const ALL: [usize; 9] = [0, 1, 2, 3, 4, 5, 6, 7, 8];

/// All that sections of the same rows say, whatever the order of the rows.
#[derive(Debug, PartialEq)]
pub(crate) struct Content {
    rows: BTreeMap<i64, Plain>,
    /// By member.
    summaries: BTreeMap<u32, (i64, i64, u64)>,
    counts: BTreeMap<u32, (u64, i64, i64)>,
    property_keys: BTreeMap<u32, BTreeSet<String>>,
    /// The seqs that each filter keeps.
    kept: Vec<BTreeSet<i64>>,
}

pub(crate) fn content(sections: &[&Section], filters: &[RowFilter]) -> Result<Content> {
    let mut found = Content {
        rows: BTreeMap::new(),
        summaries: BTreeMap::new(),
        counts: BTreeMap::new(),
        property_keys: BTreeMap::new(),
        kept: vec![BTreeSet::new(); filters.len()],
    };
    for section in sections {
        for ranges in crate::Selection::all(section.rows()).batches(37) {
            for row in rows_of(&section.batch(&ranges, &ALL)?) {
                found.rows.insert(row.3, row);
            }
        }
        for one in section.summaries()? {
            let known = found.summaries.entry(one.member);
            let known = known.or_insert((i64::MAX, i64::MIN, 0));
            known.0 = known.0.min(one.first_us);
            known.1 = known.1.max(one.last_us);
            known.2 += one.events;
        }
        for count in section.event_counts()? {
            let known = found.counts.entry(count.event);
            let known = known.or_insert((0, i64::MAX, i64::MIN));
            known.0 += count.count;
            known.1 = known.1.min(count.first_us);
            known.2 = known.2.max(count.last_us);
        }
        for (event, keys) in section.property_keys()? {
            found.property_keys.entry(event).or_default().extend(keys);
        }
        for (kept, filter) in found.kept.iter_mut().zip(filters) {
            let selection = section.select(filter)?;
            let seqs = section.batch(selection.ranges(), &[3])?;
            let seqs = seqs.column(0).as_primitive::<Int64Type>();
            kept.extend(seqs.values());
            if section.is_kept_whole_by(filter) {
                assert_eq!(selection.rows(), section.rows());
            }
        }
    }
    Ok(found)
}

/// What plain rows say.
pub(crate) fn content_of_rows(rows: &[Row], symbols: &Symbols, filters: &[RowFilter]) -> Content {
    let mut found = Content {
        rows: rows.iter().map(|row| (row.seq, plain(row))).collect(),
        summaries: BTreeMap::new(),
        counts: BTreeMap::new(),
        property_keys: BTreeMap::new(),
        kept: vec![BTreeSet::new(); filters.len()],
    };
    let symbol = |domain, text: Option<&String>| {
        text.map_or(NULL_SYMBOL, |text| {
            symbols.lookup(domain, text).expect("known")
        })
    };
    for row in rows {
        let account = symbol(Domain::Account, row.account.as_ref());
        let user = symbol(Domain::User, row.user.as_ref());
        let event = symbol(Domain::Event, Some(&row.name));
        let member = crate::Member { account, user };
        let member = symbols.read().members.lookup(member).expect("known");
        let summary = found.summaries.entry(member);
        let summary = summary.or_insert((i64::MAX, i64::MIN, 0));
        if !row.name.starts_with('$') {
            summary.0 = summary.0.min(row.time_us);
            summary.1 = summary.1.max(row.time_us);
            summary.2 += 1;
        }
        let count = found.counts.entry(event).or_insert((0, i64::MAX, i64::MIN));
        count.0 += 1;
        count.1 = count.1.min(row.time_us);
        count.2 = count.2.max(row.time_us);
        if let Some(properties) = &row.properties {
            let keys = found.property_keys.entry(event).or_default();
            vitalog_event::top_level_keys(properties, |key| {
                keys.insert(key.to_owned());
            });
        }
        for (kept, filter) in found.kept.iter_mut().zip(filters) {
            let passes = |set: &Option<SymbolSet>, symbol| {
                set.as_ref().is_none_or(|set| set.contains(symbol))
            };
            if filter.time_us.contains(&row.time_us)
                && (filter.seq_min..=filter.seq_max).contains(&row.seq)
                && passes(&filter.accounts, account)
                && passes(&filter.users, user)
                && passes(&filter.events, event)
            {
                kept.insert(row.seq);
            }
        }
    }
    found
}

/// All that one section in a file says, codes and order included.
#[derive(Debug, PartialEq)]
pub(crate) struct Faces {
    statistics: SectionStatistics,
    runs: Vec<Run>,
    bounds: Vec<(i64, i64)>,
    summaries: Vec<MemberSummary>,
    identities: [Vec<u32>; 6],
    strings: [Vec<Option<String>>; 3],
    times: Vec<i64>,
    seqs: Vec<i64>,
    event_codes: Vec<usize>,
    event_table: Vec<u32>,
    ids: Vec<String>,
    values: Vec<Option<u64>>,
    properties: Vec<Option<String>>,
    counts: Vec<EventCount>,
    property_keys: BTreeMap<u32, Vec<String>>,
    rows: Vec<Plain>,
    selections: Vec<Vec<Range<usize>>>,
    selected: Vec<Vec<Plain>>,
}

pub(crate) fn faces(section: &Section, filters: &[RowFilter]) -> Result<Faces> {
    let views = |strings: &StringViewArray| -> Vec<Option<String>> {
        strings.iter().map(|text| text.map(str::to_owned)).collect()
    };
    let selections = filters
        .iter()
        .map(|filter| section.select(filter))
        .collect::<Result<Vec<_>>>()?;
    let mut selected = Vec::new();
    for selection in &selections {
        let mut rows = Vec::new();
        for ranges in selection.batches(23) {
            rows.extend(rows_of(&section.batch(&ranges, &ALL)?));
        }
        selected.push(rows);
    }
    let (identities, strings) = (section.identities()?, section.strings()?);
    let runs = section.runs()?;
    let bounds = runs.first_us().iter().zip(runs.last_us());
    let codes = section.event_codes()?;
    Ok(Faces {
        statistics: *section.statistics(),
        runs: section.runs_of_members()?.collect(),
        bounds: bounds.map(|(&first, &last)| (first, last)).collect(),
        summaries: section.summaries()?.collect(),
        identities: [
            identities.account_symbols.to_vec(),
            identities.user_symbols.to_vec(),
            identities.event_symbols.to_vec(),
            identities.member_symbols.to_vec(),
            identities.member_accounts.to_vec(),
            identities.member_users.to_vec(),
        ],
        strings: [&strings.accounts, &strings.users, &strings.events].map(views),
        times: section.times()?.to_vec(),
        seqs: section.seqs()?.to_vec(),
        event_codes: (0..section.rows()).map(|row| codes.index(row)).collect(),
        event_table: section.event_table(|symbol| symbol)?,
        ids: section
            .event_ids()?
            .iter()
            .map(|id| id.unwrap_or_default().to_owned())
            .collect(),
        values: section
            .values()?
            .iter()
            .map(|value| value.map(f64::to_bits))
            .collect(),
        properties: (section
            .properties()?
            .iter()
            .map(|text| text.map(str::to_owned)))
        .collect(),
        counts: section.event_counts()?,
        property_keys: section.property_keys()?,
        rows: rows_of(&section.batch(from_ref(&(0..section.rows())), &ALL)?),
        selections: selections.iter().map(|one| one.ranges().to_vec()).collect(),
        selected,
    })
}

/// Filters of every kind.
pub(crate) fn filters(symbols: &Symbols, rows: &[Row]) -> Vec<RowFilter> {
    let seqs = rows.iter().map(|row| row.seq);
    let (low, high) = (seqs.clone().min().unwrap_or(0), seqs.max().unwrap_or(0));
    let middle = i64::midpoint(low, high);
    let all = || RowFilter::up_to(high);
    let set = |domain, names: &[&str]| -> Option<SymbolSet> {
        let symbols = names.iter().filter_map(|name| symbols.lookup(domain, name));
        Some(symbols.collect())
    };
    let nulls: SymbolSet = [NULL_SYMBOL].into_iter().collect();
    let time = rows.first().map_or(0, |row| row.time_us);
    vec![
        all(),
        RowFilter {
            time_us: time..i64::MAX,
            ..all()
        },
        RowFilter {
            time_us: i64::MIN..time + 1,
            ..all()
        },
        RowFilter {
            seq_max: middle,
            ..all()
        },
        RowFilter {
            seq_min: middle,
            seq_max: middle,
            ..all()
        },
        RowFilter {
            accounts: set(Domain::Account, &["account 1"]),
            ..all()
        },
        RowFilter {
            accounts: set(Domain::Account, &["account 0", "absent"]),
            ..all()
        },
        RowFilter {
            accounts: set(Domain::Account, &["absent"]),
            ..all()
        },
        RowFilter {
            accounts: Some(nulls.clone()),
            ..all()
        },
        RowFilter {
            accounts: Some(SymbolSet::default()),
            ..all()
        },
        RowFilter {
            users: set(Domain::User, &["user 2", "user 3"]),
            ..all()
        },
        RowFilter {
            users: Some(nulls),
            time_us: time..i64::MAX,
            ..all()
        },
        RowFilter {
            events: set(Domain::Event, &["name 2"]),
            ..all()
        },
        RowFilter {
            events: set(Domain::Event, &["absent"]),
            ..all()
        },
        RowFilter {
            accounts: set(Domain::Account, &["account 0", "account 2"]),
            users: set(Domain::User, &["user 1"]),
            events: set(Domain::Event, &["name 2", "name 3"]),
            time_us: time..i64::MAX,
            seq_min: low + 1,
            seq_max: high - 1,
        },
    ]
}
