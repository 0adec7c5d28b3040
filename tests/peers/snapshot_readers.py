"""What pyarrow, Polars, DuckDB, pandas and deltalake read of a published snapshot.

Usage: python snapshot_readers.py [--url URL --token TOKEN] [--directory DIR] [--table TABLE]
           [--id ID] [--manifest FILE] [--readers NAMES] [--wait] [--delta]
       python snapshot_readers.py --self-test

URL is the address of a server (its snapshots lie below URL/snapshots), DIR the `snapshots` folder
of a store. Each reader reads the newest snapshot of the table, or the one named, in one call with
all its files, and says on stdout, one JSON object a line, what it found: `reader`, `from` (`http` or
`directory`), `id`, `rows`, `sum_seq`, `min_event_time` and `max_event_time` (microseconds; null
where the table lacks the column) and `ids`, the SHA-256 of the sorted ids, one a line; or an
`error`, with the HTTP `status` where there is one. The reader `files` hashes the files themselves
and compares bytes, SHA-256 and counts of rows with the manifest.

With --manifest the server is not asked for one: FILE is the manifest, whose `url`s may be signed,
so that no token is needed.

With --wait a reader stops after half of the files, prints {"reader", "from", "waiting": true}, and
goes on with the snapshot that it began once a line comes on stdin. With --delta, deltalake and
Polars read every version of the table's Delta log in DIR.

The last line is {"equal": true or false}: whether all that read the same snapshot, or version,
found the same. Ends with 0 where that is true and no reader failed, else with 1; a reader also
fails where it finds other rows than the manifest says.
"""

import argparse
import datetime
import hashlib
import json
import sys
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import deltalake
import duckdb
import fsspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
import pyarrow.parquet as pq

# The first of these that a table has is its id.
IDS = ["event_id", "user_id", "account_id"]
SUMMED = "seq"
TIME = "event_time"


class Facts:
    """What was read, from one file or several."""

    def __init__(self, rows=0, sum_seq=None, times=(), ids=()):
        self.rows, self.sum_seq, self.times, self.ids = rows, sum_seq, list(times), list(ids)

    def add(self, other):
        self.rows += other.rows
        if other.sum_seq is not None:
            self.sum_seq = (self.sum_seq or 0) + other.sum_seq
        self.times += other.times
        self.ids += other.ids

    def to_json(self):
        ids = sorted("" if one is None else one for one in self.ids)
        return {
            "rows": self.rows,
            "sum_seq": self.sum_seq,
            "min_event_time": min(self.times, default=None),
            "max_event_time": max(self.times, default=None),
            "ids": hashlib.sha256("\n".join(ids).encode()).hexdigest(),
        }


def microseconds(moment):
    """Of a datetime in any zone, exactly; None stays None."""
    if moment is None:
        return None
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (moment - epoch) // datetime.timedelta(microseconds=1)


def id_of(names):
    return next((name for name in IDS if name in names), None)


# Where a snapshot lies


class Http:
    """The snapshots of a server."""

    name = "http"

    def __init__(self, url, token=None, manifest=None):
        self.url, self.token, self.known = url.rstrip("/"), token, manifest
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def bytes(self, path):
        request = urllib.request.Request(self.url + path, headers=self.headers)
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    def open_with_fsspec(self):
        return fsspec.filesystem("http", client_kwargs={"headers": self.headers})

    def manifest(self, table, snapshot):
        if self.known is not None:
            return json.loads(Path(self.known).read_bytes())
        place = "latest" if snapshot == "latest" else f"{snapshot}/manifest.json"
        return json.loads(self.bytes(f"/snapshots/{table}/{place}"))

    def files(self, table, manifest):
        base = f"/snapshots/{table}/{manifest['id']}/"
        return [self.url + file.get("url", base + file["path"]) for file in manifest["files"]]

    def content(self, file):
        return self.bytes(file.removeprefix(self.url))


class Directory:
    """The folder of a store's snapshots; newest is what the catalog says."""

    name = "directory"
    headers = {}
    token = None

    def __init__(self, path):
        self.path = Path(path)

    def manifest(self, table, snapshot):
        if snapshot == "latest":
            known = sorted(path.stem for path in (self.path / "catalog").glob("*.json"))
            revoked = {path.stem for path in (self.path / "revoked").glob("*.json")}
            found = [one for one in known if one not in revoked]
            snapshot = next(
                one for one in reversed(found)
                if (self.path / table / one / "manifest.json").is_file()
            )
        return json.loads((self.path / table / snapshot / "manifest.json").read_bytes())

    def files(self, table, manifest):
        base = self.path / table / manifest["id"]
        return [str(base / file["path"]) for file in manifest["files"]]

    def content(self, file):
        return Path(file).read_bytes()


# The readers: a list of files of one place, read in one call


def read_pyarrow(place, files):
    options = {}
    if place.name == "http":
        web = place.open_with_fsspec()
        options = {"filesystem": pa.fs.PyFileSystem(pa.fs.FSSpecHandler(web))}
    # The day is a column of the file, so nothing is to be taken from the names of folders.
    table = pq.read_table(files, partitioning=None, **options)
    return facts_of_arrow(table)


def facts_of_arrow(table):
    names = table.column_names
    identity = id_of(names)
    times = []
    if TIME in names and table.num_rows:
        times = [
            pc.cast(extreme, pa.int64()).as_py()
            for extreme in (pc.min(table[TIME]), pc.max(table[TIME]))
            if extreme.is_valid
        ]
    return Facts(
        table.num_rows,
        pc.sum(table[SUMMED], min_count=0).as_py() if SUMMED in names else None,
        times,
        table[identity].to_pylist() if identity else [],
    )


def read_polars(place, files):
    # Polars sends no headers of ours (pola-rs/polars#17197): with a token it reads through fsspec,
    # signed addresses it reads itself.
    if place.headers:
        files = [place.open_with_fsspec().open(file) for file in files]
        frames = [pl.read_parquet(file) for file in files]
        return facts_of_polars(pl.concat(frames)) if frames else Facts()
    # A query begins with a character of patterns.
    return facts_of_polars(pl.read_parquet(files, hive_partitioning=False, glob=False))


def facts_of_polars(frame):
    identity = id_of(frame.columns)
    times = []
    if TIME in frame.columns and frame.height:
        times = [
            one for one in (
                frame[TIME].dt.epoch("us").min(), frame[TIME].dt.epoch("us").max()
            ) if one is not None
        ]
    return Facts(
        frame.height,
        frame[SUMMED].sum() if SUMMED in frame.columns else None,
        times,
        frame[identity].to_list() if identity else [],
    )


def text(value):
    return "'" + str(value).replace("'", "''") + "'"


def read_duckdb(place, files):
    connection = duckdb.connect()
    if place.name == "http":
        package = Path(find_spec("duckdb_extension_httpfs").origin).parent
        extension = package / f"extensions/v{duckdb.__version__}/httpfs.duckdb_extension"
        connection.execute(f"LOAD {text(extension)}")
        if place.token:
            connection.execute(
                f"CREATE SECRET snapshots (TYPE http, BEARER_TOKEN {text(place.token)})"
            )
    listed = ", ".join(text(file) for file in files)
    source = f"read_parquet([{listed}], hive_partitioning = false)"
    names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
    identity = id_of(names)
    rows, total, first, last = connection.execute(
        "SELECT count(*)"
        + (f", sum({SUMMED})" if SUMMED in names else ", NULL")
        + (f", epoch_us(min({TIME})), epoch_us(max({TIME}))" if TIME in names else ", NULL, NULL")
        + f" FROM {source}"
    ).fetchone()
    ids = []
    if identity:
        ids = [row[0] for row in connection.execute(f"SELECT {identity} FROM {source}").fetchall()]
    connection.close()
    return Facts(
        rows,
        (int(total or 0)) if SUMMED in names else None,
        [one for one in (first, last) if one is not None],
        ids,
    )


def read_pandas(place, files):
    options = {"storage_options": place.headers} if place.headers else {}
    frames = [pd.read_parquet(file, partitioning=None, **options) for file in files]
    if not frames:
        return Facts()
    frame = pd.concat(frames, ignore_index=True)
    identity = id_of(frame.columns)
    times = []
    if TIME in frame.columns and len(frame):
        times = [
            microseconds(one.to_pydatetime()) for one in (frame[TIME].min(), frame[TIME].max())
        ]
    ids = []
    if identity:
        ids = [None if pd.isna(one) else one for one in frame[identity]]
    return Facts(
        len(frame), int(frame[SUMMED].sum()) if SUMMED in frame.columns else None, times, ids
    )


READERS = {
    "pyarrow": read_pyarrow,
    "polars": read_polars,
    "duckdb": read_duckdb,
    "pandas": read_pandas,
}


def check_files(place, table, manifest):
    """What hashing the files says against their manifest."""
    wrong = []
    for file, location in zip(manifest["files"], place.files(table, manifest)):
        content = place.content(location)
        rows = pq.ParquetFile(pa.BufferReader(content)).metadata.num_rows
        found = (len(content), hashlib.sha256(content).hexdigest(), rows)
        if found != (file["bytes"], file["sha256"], file["rows"]):
            wrong.append(file["path"])
    rows = sum(file["rows"] for file in manifest["files"])
    if rows != manifest["rows"]:
        wrong.append("manifest.json")
    return wrong


# One run


def failure(error):
    status = getattr(error, "code", None) or getattr(error, "status", None)
    found = {"error": f"{type(error).__name__}: {error}"}
    if isinstance(status, int):
        found["status"] = status
    return found


class Run:
    def __init__(self, output=sys.stdout, answers=sys.stdin):
        self.output, self.answers = output, answers
        self.found = {}
        self.failed = False

    def say(self, line):
        print(json.dumps(line), file=self.output, flush=True)

    def wait(self, reader, place):
        self.say({"reader": reader, "from": place, "waiting": True})
        self.answers.readline()

    def keep(self, key, reader, place, facts):
        self.found.setdefault(key, []).append(facts)
        self.say({"reader": reader, "from": place, **dict(key), **facts})

    def fail(self, reader, place, error):
        self.failed = True
        self.say({"reader": reader, "from": place, **failure(error)})

    def read(self, place, table, snapshot, names, wait):
        for reader in names:
            try:
                manifest = place.manifest(table, snapshot)
                key = (("table", table), ("id", manifest["id"]))
                files = place.files(table, manifest)
                facts = Facts()
                half = len(files) // 2
                parts = [files[:half], files[half:]] if wait else [files]
                for position, part in enumerate(parts):
                    if position > 0:
                        self.wait(reader, place.name)
                    if reader == "files":
                        continue
                    if part:
                        facts.add(READERS[reader](place, part))
                if reader == "files":
                    wrong = check_files(place, table, manifest)
                    if wrong:
                        raise ValueError(f"other than the manifest says: {', '.join(wrong)}")
                    self.say({"reader": reader, "from": place.name, **dict(key),
                              "rows": manifest["rows"], "files": len(files)})
                    continue
                found = facts.to_json()
                if found["rows"] != manifest["rows"]:
                    raise ValueError(
                        f"{found['rows']} rows where the manifest says {manifest['rows']}"
                    )
                self.keep(key, reader, place.name, found)
            # Whatever a library raises is its answer: the line says it, the next reader goes on.
            except Exception as error:
                self.fail(reader, place.name, error)

    def read_delta(self, directory, table):
        """Every version of the Delta log, by two readers."""
        path = str(Path(directory) / table)
        try:
            newest = deltalake.DeltaTable(path).version()
        except Exception as error:
            return self.fail("deltalake", "delta", error)
        readers = {
            "deltalake": lambda version: facts_of_arrow(
                deltalake.DeltaTable(path, version=version).to_pyarrow_table()
            ),
            "polars": lambda version: facts_of_polars(pl.read_delta(path, version=version)),
        }
        for version in range(newest + 1):
            for reader, ask in readers.items():
                try:
                    found = ask(version).to_json()
                    self.keep((("table", table), ("version", version)), reader, "delta", found)
                except Exception as error:
                    self.fail(reader, "delta", error)
        return None

    def end(self):
        equal = all(one == answers[0] for answers in self.found.values() for one in answers)
        self.say({"equal": equal})
        return equal and not self.failed


def self_test():
    """The readers against files of their own making; nothing of Vitalog is asked."""
    # Beside this file, so that it is found wherever the test is run from.
    from snapshot_readers_test import main as test

    return test()


def main():
    parser = argparse.ArgumentParser(description="Reads a published snapshot with several readers.")
    parser.add_argument("--url", help="of the server, such as http://127.0.0.1:8080")
    parser.add_argument("--token", help="the bearer token; without it addresses must be signed")
    parser.add_argument("--manifest", help="a file with the manifest, instead of the server's")
    parser.add_argument("--directory", help="the folder `snapshots` of a store")
    parser.add_argument("--table", default="events")
    parser.add_argument("--id", default="latest", help="the snapshot; by default the newest")
    parser.add_argument("--readers", default=",".join(["files", *READERS]),
                        help="some of files, pyarrow, polars, duckdb and pandas, by commas")
    parser.add_argument("--wait", action="store_true",
                        help="each reader stops half-way until a line comes on stdin")
    parser.add_argument("--delta", action="store_true", help="read every version of the Delta log")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    names = arguments.readers.split(",")
    unknown = set(names) - {"files", *READERS}
    if unknown:
        parser.error(f"there is no reader {', '.join(sorted(unknown))}")
    if arguments.url is None and arguments.directory is None:
        parser.error("one of --url and --directory is needed")
    if arguments.delta and arguments.directory is None:
        parser.error("--delta needs --directory")
    run = Run()
    if arguments.url is not None:
        place = Http(arguments.url, arguments.token, arguments.manifest)
        run.read(place, arguments.table, arguments.id, names, arguments.wait)
    if arguments.directory is not None:
        place = Directory(arguments.directory)
        run.read(place, arguments.table, arguments.id, names, arguments.wait)
    if arguments.delta:
        run.read_delta(arguments.directory, arguments.table)
    return 0 if run.end() else 1


if __name__ == "__main__":
    sys.exit(main())
