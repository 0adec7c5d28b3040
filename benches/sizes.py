"""Bytes per event: a Vitalog store beside ClickHouse, DuckDB and plain Parquet with the same rows.

Usage: python benches/sizes.py [--vitalog BINARY] [--rows N] [--work DIR] SET...

A SET is `simulated` (a store made by `vitalog simulate` and `vitalog import`), `oulad` or `ecom`
(the event sets under --data, imported), the directory of a store, which is measured as it is, or a
Parquet file with the nine columns, for which only the peers are measured. The peers get exactly the
rows that the store answers, with its seq and received_at, sorted by account, user, time and seq.

Of a store every file but the log counts, a file with several names once. Each peer has its best
native settings: ClickHouse the smallest of several codecs for each column, tried on a sample;
DuckDB the smaller of two storage versions; Parquet is one file by pyarrow, zstd level 3,
dictionaries where pyarrow makes them, no filters. Of ClickHouse's table the active parts count, of
DuckDB the file after a checkpoint.

Needs chdb, duckdb and pyarrow: `cargo xtask test` keeps a Python with them in target/peers. Ends
with 1 only where counts of rows differ, with 2 for wrong usage.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import chdb.session
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = [
    "event_id",
    "event_time",
    "received_at",
    "seq",
    "event",
    "account_id",
    "user_id",
    "value",
    "properties",
]
ORDER = ["account_id", "user_id", "event_time", "seq"]
ROWS_SQL = f"SELECT {', '.join(COLUMNS)} FROM events"
ROW_GROUP_ROWS = 1 << 20

# A measurement of ours divided by one of a peer.
GOALS = [("ClickHouse", 0.90), ("DuckDB", 0.50), ("plain Parquet", 1.05)]
HOT_GOAL_BYTES = 130

# The oldest and the newest; which of them makes smaller files depends on the columns.
DUCKDB_STORAGE = ["v1.0.0", "latest"]

# Rows on which ClickHouse's codecs are tried.
SAMPLE_ROWS = 1_000_000
INTEGER_CODECS = [
    "Delta(8), ZSTD(1)",
    "Delta(8), ZSTD(3)",
    "Delta(8), ZSTD(9)",
    "Delta(8), T64, ZSTD(3)",
    "DoubleDelta, ZSTD(3)",
    "T64, ZSTD(3)",
    "ZSTD(3)",
    "ZSTD(9)",
]
TEXT_CODECS = ["ZSTD(1)", "ZSTD(3)", "ZSTD(9)"]
CANDIDATES = {
    "event_id": [("String", codec) for codec in TEXT_CODECS],
    "event_time": [("DateTime64(6, 'UTC')", codec) for codec in INTEGER_CODECS],
    "received_at": [("DateTime64(6, 'UTC')", codec) for codec in INTEGER_CODECS]
    + [("LowCardinality(Int64)", "ZSTD(3)")],
    "seq": [("Int64", codec) for codec in INTEGER_CODECS],
    "event": [("LowCardinality(String)", codec) for codec in TEXT_CODECS],
    "account_id": [("LowCardinality(Nullable(String))", codec) for codec in TEXT_CODECS],
    "user_id": [("LowCardinality(Nullable(String))", codec) for codec in TEXT_CODECS]
    + [("Nullable(String)", codec) for codec in TEXT_CODECS],
    "value": [
        ("Nullable(Float64)", "ZSTD(3)"),
        ("Nullable(Float64)", "ZSTD(9)"),
        ("Nullable(Float64)", "FPC, ZSTD(3)"),
        ("Nullable(Float64)", "Gorilla, ZSTD(3)"),
        ("LowCardinality(Nullable(Float64))", "ZSTD(3)"),
    ],
    "properties": [("Nullable(String)", codec) for codec in TEXT_CODECS]
    + [("LowCardinality(Nullable(String))", "ZSTD(3)")],
}
# The text is not kept as it was: a table of its own, beside the goal.
AS_JSON = {"properties": ("JSON", "ZSTD(9)")}


class CountsDiffer(Exception):
    """A side does not hold the rows that it was given."""


def check_rows(side, found, expected):
    if found != expected:
        raise CountsDiffer(f"{side} holds {found:,} rows where {expected:,} were expected")


# Vitalog


def run(vitalog, *arguments, **options):
    outcome = subprocess.run([vitalog, *arguments], stderr=subprocess.PIPE, text=True, **options)
    if outcome.returncode != 0:
        command = shlex.join([Path(vitalog).name, *arguments])
        raise SystemExit(f"{command} ended with {outcome.returncode}:\n{outcome.stderr}")
    return outcome.stdout


def import_into(vitalog, store, file):
    run(vitalog, "import", "--data", str(store), str(file), stdout=subprocess.PIPE)


def export(vitalog, store, file):
    """Writes the rows of a store as Parquet; how many there are."""
    with open(file, "wb") as target:
        run(
            vitalog, "sql", "--data", str(store), "-c", ROWS_SQL, "--format", "parquet",
            stdout=target,
        )
    rows = pq.ParquetFile(file).metadata.num_rows
    known = json.loads(
        run(
            vitalog, "sql", "--data", str(store), "-c", "SELECT count(*) AS n FROM events",
            "--format", "json", stdout=subprocess.PIPE,
        )
    )[0]["n"]
    check_rows("the export", rows, known)
    return rows


def has_command(vitalog, command):
    outcome = subprocess.run([vitalog, command, "--help"], capture_output=True)
    return outcome.returncode == 0


def bytes_by_kind(store):
    """Bytes of a store by kind of file; the log does not count, a file with several names once."""
    kinds, seen = {}, set()
    for path in sorted(Path(store).rglob("*")):
        if not path.is_file():
            continue
        folder, *rest = path.relative_to(store).parts
        status = path.stat()
        if folder == "wal" or status.st_ino in seen:
            continue
        seen.add(status.st_ino)
        kind = f"{folder}/*{path.suffix}" if rest else folder
        kinds[kind] = kinds.get(kind, 0) + status.st_size
    return kinds


def parquet_columns(files):
    """Compressed bytes by column, and what is left of the files: footers, indexes, filters."""
    columns, whole = {}, 0
    for file in files:
        metadata = pq.ParquetFile(file).metadata
        whole += os.path.getsize(file)
        for group in range(metadata.num_row_groups):
            for position in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(position)
                name = chunk.path_in_schema
                columns[name] = columns.get(name, 0) + chunk.total_compressed_size
    columns["(rest)"] = whole - sum(columns.values())
    return columns


# ClickHouse


def quoted(path):
    return "'" + str(path).replace("\\", "\\\\").replace("'", "\\'") + "'"


class ClickHouse:
    def __init__(self, folder, source):
        self.session = chdb.session.Session(str(folder))
        self.source = f"file({quoted(source)}, Parquet)"
        self.session.query("CREATE DATABASE sizes ENGINE = Atomic")
        self.session.query("SET allow_suspicious_low_cardinality_types = 1")

    def close(self):
        self.session.close()

    def number(self, sql):
        return int(str(self.session.query(sql, "TSV")).strip() or 0)

    def fill(self, table, columns, rows):
        """Makes a sorted table of `columns` ({name: (column of the source, type, codec)})."""
        definitions = ", ".join(
            f"`{name}` {kind} CODEC({codec})" for name, (_, kind, codec) in columns.items()
        )
        values = ", ".join(
            f"ifNull({column}, '{{}}')" if kind == "JSON"
            else f"toUnixTimestamp64Micro({column})" if kind == "LowCardinality(Int64)"
            else column
            for column, kind, _ in columns.values()
        )
        order = [next(name for name in columns if columns[name][0] == key) for key in ORDER]
        self.session.query(f"DROP TABLE IF EXISTS sizes.{table} SYNC")
        self.session.query(
            f"CREATE TABLE sizes.{table} ({definitions}) ENGINE = MergeTree"
            f" ORDER BY ({', '.join(f'`{name}`' for name in order)})"
            " SETTINGS allow_nullable_key = 1, min_bytes_for_wide_part = 0,"
            " min_rows_for_wide_part = 0"
        )
        self.session.query(
            f"INSERT INTO sizes.{table} SELECT {values} FROM {self.source}"
            f" WHERE {rows} SETTINGS max_threads = 2"
        )
        self.session.query(f"OPTIMIZE TABLE sizes.{table} FINAL")

    def by_column(self, table):
        answer = self.session.query(
            "SELECT column, sum(column_bytes_on_disk) FROM system.parts_columns"
            f" WHERE active AND database = 'sizes' AND table = '{table}' GROUP BY column",
            "TSV",
        )
        lines = (line.split("\t") for line in str(answer).splitlines())
        return {name: int(size) for name, size in lines}

    def best_codecs(self, rows):
        """The smallest of the candidates for each column, on whole users of the events."""
        share = max(1, round(rows / SAMPLE_ROWS))
        columns = {
            f"{name}:{position}": (name, kind, codec)
            for name, candidates in CANDIDATES.items()
            for position, (kind, codec) in enumerate(candidates)
        }
        self.fill("sample", columns, f"cityHash64(ifNull(user_id, event_id)) % {share} = 0")
        sizes = self.by_column("sample")
        self.session.query("DROP TABLE sizes.sample SYNC")
        best = {}
        for name in COLUMNS:
            position = min(range(len(CANDIDATES[name])), key=lambda at: sizes[f"{name}:{at}"])
            best[name] = (name, *CANDIDATES[name][position])
        return best

    def measure(self, columns, rows, side):
        """Bytes of the table and of its columns."""
        self.fill("events", columns, "1")
        check_rows(side, self.number("SELECT count() FROM sizes.events"), rows)
        whole = self.number(
            "SELECT sum(bytes_on_disk) FROM system.parts"
            " WHERE active AND database = 'sizes' AND table = 'events'"
        )
        parts = self.by_column("events")
        parts["(rest)"] = whole - sum(parts.values())
        self.session.query("DROP TABLE sizes.events SYNC")
        return whole, parts


# DuckDB and plain Parquet


def measure_duckdb(folder, source, rows):
    """Bytes of the smallest checkpointed file, and a connection whose `events` are in order."""
    connection = duckdb.connect()
    connection.execute(f"SET temp_directory = '{folder}'; SET memory_limit = '6GB'")
    connection.execute("SET TimeZone = 'UTC'; SET threads = 2")
    sizes, ordered = [], f"read_parquet('{source}')"
    for number, version in enumerate(DUCKDB_STORAGE):
        file = folder / f"events-{number}.duckdb"
        connection.execute(f"ATTACH '{file}' AS peer{number} (STORAGE_VERSION '{version}')")
        # The second is filled from the first, which is in order already.
        order = "" if number else f" ORDER BY {', '.join(f'{key} NULLS LAST' for key in ORDER)}"
        connection.execute(
            f"CREATE TABLE peer{number}.events AS SELECT {', '.join(COLUMNS)} FROM {ordered}{order}"
        )
        connection.execute(f"CHECKPOINT peer{number}")
        ordered = f"peer{number}.events"
        found = connection.sql(f"SELECT count(*) FROM {ordered}").fetchone()[0]
        check_rows(f"DuckDB, storage {version}", found, rows)
        sizes.append(file.stat().st_size)
    connection.execute("USE peer0")
    return min(sizes), connection


def measure_parquet(folder, connection, rows):
    """Bytes of one sorted file as pyarrow writes it, and of its columns."""
    file = folder / "plain.parquet"
    reader = connection.execute("SELECT * FROM events").to_arrow_reader(ROW_GROUP_ROWS)
    with pq.ParquetWriter(
        file, reader.schema, compression="zstd", compression_level=3
    ) as writer:
        pending, count = [], 0
        for batch in reader:
            pending.append(batch)
            count += batch.num_rows
            if count >= ROW_GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(pending), row_group_size=ROW_GROUP_ROWS)
                pending, count = [], 0
        if pending:
            writer.write_table(pa.Table.from_batches(pending), row_group_size=ROW_GROUP_ROWS)
    check_rows("plain Parquet", pq.ParquetFile(file).metadata.num_rows, rows)
    return file.stat().st_size, parquet_columns([file])


# The report


def print_table(header, rows):
    widths = [max(len(str(cell)) for cell in column) for column in zip(header, *rows)]
    for row in [header, ["---"] * len(header), *rows]:
        cells = [
            str(cell).ljust(width) if at == 0 else str(cell).rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths))
        ]
        print(f"| {' | '.join(cells)} |")
    print()


def report(title, rows, stores, peers, columns, codecs):
    print(f"## {title}: {rows:,} events\n")
    cold = stores.get("Vitalog, cold")
    lines = []
    for side, size in [*((side, sum(kinds.values())) for side, kinds in stores.items()),
                       *peers.items()]:
        goal = dict(GOALS).get(side)
        ratio = verdict = ""
        if cold is not None and side in peers:
            value = sum(cold.values()) / size
            ratio = f"{value:.3f}"
            if goal is not None:
                verdict = "met" if value <= goal else "missed"
        goal = "" if goal is None else f"<= {goal:.2f}"
        if side == "Vitalog, hot":
            goal = f"<= {HOT_GOAL_BYTES} bytes"
            verdict = "met" if size / rows <= HOT_GOAL_BYTES else "missed"
        lines.append([side, f"{size:,}", f"{size / rows:.2f}", ratio, goal, verdict])
    print_table(["side", "bytes", "an event", "Vitalog, cold / it", "goal", ""], lines)
    for side, kinds in stores.items():
        lines = [[kind, f"{size:,}", f"{size / rows:.3f}"] for kind, size in kinds.items()]
        print_table([side, "bytes", "an event"], lines)
    names = [*COLUMNS, *sorted({key for one in columns.values() for key in one} - {*COLUMNS})]
    lines = [
        [name, *(f"{one[name] / rows:.3f}" if name in one else "" for one in columns.values())]
        for name in names
    ]
    print_table(["bytes an event", *columns], lines)
    best = ", ".join(f"{column} {kind} {codec}" for column, (_, kind, codec) in codecs.items())
    print(f"ClickHouse: {best}\n", flush=True)


# One set


def make_store(arguments, name, folder):
    """A store with the events of a set, all of them in segments."""
    store = folder / "store"
    if name == "simulated":
        file = folder / "simulated.parquet"
        run(
            arguments.vitalog, "simulate", "--rows", str(arguments.rows), "--seed", "7",
            "--days", "180", "--end", arguments.end, "--out", str(file), stdout=subprocess.PIPE,
        )
        import_into(arguments.vitalog, store, file)
        file.unlink()
    else:
        import_into(arguments.vitalog, store, arguments.data / name / "events.parquet")
    return store


def measure_stores(arguments, name, folder):
    """What the tiers of a store take, its directory, and the file of its rows."""
    if name in ("simulated", "oulad", "ecom"):
        store = make_store(arguments, name, folder)
        tiers = {"Vitalog, hot": bytes_by_kind(store)}
        if has_command(arguments.vitalog, shlex.split(arguments.compact)[0]):
            run(
                arguments.vitalog, *shlex.split(arguments.compact), "--data", str(store),
                stdout=subprocess.PIPE,
            )
            tiers["Vitalog, cold"] = bytes_by_kind(store)
        else:
            print(f"`{arguments.vitalog} {arguments.compact}` does not exist: no cold tier\n")
    else:
        store = Path(name)
        cold = any((store / "cold").glob("*.parquet"))
        tiers = {"Vitalog, cold" if cold else "Vitalog, hot": bytes_by_kind(store)}
    file = folder / "events.parquet"
    rows = export(arguments.vitalog, store, file)
    return tiers, store, file, rows


def measure_set(arguments, name, folder):
    columns, stores = {}, {}
    if name.endswith(".parquet"):
        source = Path(name).resolve()
        rows = pq.ParquetFile(source).metadata.num_rows
    else:
        stores, store, source, rows = measure_stores(arguments, name, folder)
        cold = sorted((store / "cold").glob("*.parquet"))
        if cold:
            columns["Vitalog, cold"] = parquet_columns(cold)
    peers = {}
    clickhouse = ClickHouse(folder / "clickhouse", source)
    codecs = clickhouse.best_codecs(rows)
    for side, chosen in [
        ("ClickHouse", codecs),
        (
            "ClickHouse, properties as JSON",
            {**codecs, **{name: (name, *kind) for name, kind in AS_JSON.items()}},
        ),
    ]:
        peers[side], columns[side] = clickhouse.measure(chosen, rows, side)
    clickhouse.close()
    peers["DuckDB"], connection = measure_duckdb(folder, source, rows)
    peers["plain Parquet"], columns["plain Parquet"] = measure_parquet(folder, connection, rows)
    connection.close()
    report(name, rows, stores, peers, columns, codecs)


def main():
    parser = argparse.ArgumentParser(
        description="Bytes per event beside ClickHouse, DuckDB and plain Parquet."
    )
    parser.add_argument("sets", nargs="+", metavar="SET",
                        help="simulated, oulad, ecom, a store, or a Parquet file of the rows")
    parser.add_argument("--vitalog", help="the binary, built with --release")
    parser.add_argument("--rows", type=int, default=20_000_000, help="of the set `simulated`")
    parser.add_argument("--end", default="2026-06-30", help="the last day of the set `simulated`")
    parser.add_argument("--data", type=Path,
                        default=Path(__file__).parents[2] / "shared/data",
                        help="the folder of the sets oulad and ecom")
    parser.add_argument("--compact", default="compact --all",
                        help="the command that makes all of a store cold")
    parser.add_argument("--work", type=Path, help="where temporary files are made")
    arguments = parser.parse_args()
    for name in arguments.sets:
        if name.endswith(".parquet"):
            if not Path(name).is_file():
                parser.error(f"{name} is no file")
        elif arguments.vitalog is None:
            parser.error(f"the set {name} needs --vitalog")
        elif name in ("oulad", "ecom"):
            if not (arguments.data / name / "events.parquet").is_file():
                parser.error(f"{arguments.data / name} has no events.parquet; see --data")
        elif name != "simulated" and not Path(name).is_dir():
            parser.error(f"{name} is neither a set nor a store")
    if arguments.vitalog is not None and shutil.which(arguments.vitalog) is None:
        parser.error(f"{arguments.vitalog} is no program")
    for name in arguments.sets:
        with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
            try:
                measure_set(arguments, name, Path(folder))
            except CountsDiffer as error:
                print(f"{name}: {error}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
