"""The test of snapshot_readers.py: snapshots made by pyarrow and a Delta log written by hand, in
the layout of a store, served with ranges and a token by a small server.

Run as `python snapshot_readers.py --self-test`; ends with 0 where every check holds.
"""

import hashlib
import http.server
import io
import json
import re
import shutil
import tempfile
import threading
import urllib.parse
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from snapshot_readers import Directory, Http, READERS, Run

TOKEN = "a-token"
SIGNATURE = "expires=4102444800&signature=00ff"
SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("event_time", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("received_at", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("event", pa.string(), nullable=False),
        pa.field("account_id", pa.string()),
        pa.field("user_id", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("properties", pa.string()),
        pa.field("dt", pa.date32(), nullable=False),
    ]
)
START = datetime(2026, 5, 1, tzinfo=UTC)
OLD, NEW, REVOKED = "20260510T000000Z-300", "20260511T000000Z-500", "20260509T000000Z-100"


def day_of_events(day, rows, first_seq):
    """Rows of a day, with NULLs, text beyond ASCII and microseconds."""
    lines = []
    for row in range(rows):
        time = START + timedelta(days=day, seconds=7 * row, microseconds=row)
        lines.append(
            {
                "event_id": f"é{(first_seq + row) * 2654435761 % 2**32:08x}",
                "event_time": time,
                "received_at": time,
                "seq": first_seq + row,
                "event": "login" if row % 3 else "export",
                "account_id": None if row % 11 == 0 else f"account-{row % 5}",
                "user_id": None if row % 7 == 0 else f"user-{row % 13}",
                "value": row / 4 if row % 5 == 0 else None,
                "properties": '{"plan":"pro"}' if row % 2 else None,
                "dt": time.date(),
            }
        )
    return pa.Table.from_pylist(lines, SCHEMA)


def parquet_bytes(table):
    target = io.BytesIO()
    pq.write_table(table, target, compression="zstd", row_group_size=64, write_page_index=True)
    return target.getvalue()


def publish(root, snapshot, days):
    """Writes a snapshot of `events` and its catalog entry; its manifest."""
    folder = root / "events" / snapshot
    files = []
    for table in days:
        content = parquet_bytes(table)
        digest = hashlib.sha256(content).hexdigest()
        day = table["dt"][0].as_py().isoformat()
        path = f"dt={day}/part-{digest[:16]}.parquet"
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(content)
        files.append({"path": path, "bytes": len(content), "sha256": digest,
                      "rows": table.num_rows, "dt": day})
    manifest = {
        "vitalog_snapshot": 1,
        "table": "events",
        "id": snapshot,
        "seq": int(snapshot.rsplit("-", 1)[1]),
        "rows": sum(file["rows"] for file in files),
        "bytes": sum(file["bytes"] for file in files),
        "files": files,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (root / "catalog").mkdir(exist_ok=True)
    (root / "catalog" / f"{snapshot}.json").write_text("{}")
    return manifest


def write_delta(root, manifests):
    """A Delta log with a version for each snapshot, each taking the place of the one before."""
    types = {"string": "string", "timestamp[us, tz=UTC]": "timestamp", "int64": "long",
             "double": "double", "date32[day]": "date"}
    fields = [
        {"name": field.name, "type": types[str(field.type)], "nullable": field.nullable,
         "metadata": {}}
        for field in SCHEMA
    ]
    log = root / "events" / "_delta_log"
    log.mkdir(parents=True)
    before = []
    for version, manifest in enumerate(manifests):
        actions = []
        if version == 0:
            actions += [
                {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
                {
                    "metaData": {
                        "id": "5f0c1c4e-0b1e-4a51-9a0f-1f3a1c1f6a10",
                        "format": {"provider": "parquet", "options": {}},
                        "schemaString": json.dumps({"type": "struct", "fields": fields}),
                        "partitionColumns": [],
                        "configuration": {},
                        "createdTime": 0,
                    }
                },
            ]
        actions += [
            {"remove": {"path": path, "deletionTimestamp": 1, "dataChange": True}}
            for path in before
        ]
        paths = []
        for file in manifest["files"]:
            paths.append(urllib.parse.quote(f"{manifest['id']}/{file['path']}"))
            actions.append(
                {
                    "add": {
                        "path": paths[-1],
                        "partitionValues": {},
                        "size": file["bytes"],
                        "modificationTime": 1,
                        "dataChange": True,
                    }
                }
            )
        before = paths
        lines = "".join(json.dumps(action) + "\n" for action in actions)
        (log / f"{version:020}.json").write_text(lines)


class Handler(http.server.BaseHTTPRequestHandler):
    """`/snapshots/…` of a folder: a token or a signature, ranges, 401, 404, 410 and 416."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def refuse(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        signed = url.query == SIGNATURE
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" and not signed:
            return self.refuse(401)
        parts = urllib.parse.unquote(url.path).split("/")[2:]
        if parts[1] in self.server.revoked:
            return self.refuse(410)
        if parts[1] == "latest":
            parts[1:] = [self.server.latest, "manifest.json"]
        path = self.server.root.joinpath(*parts)
        if not path.is_file():
            return self.refuse(404)
        content = path.read_bytes()
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        first, end = 0, len(content)
        if asked:
            low, high = asked.groups()
            if low:
                first = int(low)
                end = min(end, int(high) + 1 if high else end)
            else:
                first = max(0, end - int(high))
            if first >= len(content):
                return self.refuse(416)
            self.server.ranges += 1
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{len(content)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(end - first))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[first:end])
        return None


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, root):
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.latest, self.revoked, self.ranges = root, NEW, {REVOKED}, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Answers:
    """A stdin that does something before its line comes."""

    def __init__(self, action):
        self.action = action

    def readline(self):
        self.action()
        return "\n"


def collect(ask, answers=None):
    """The lines of a run and whether it ended well."""
    output = io.StringIO()
    run = Run(output, answers)
    ask(run)
    good = run.end()
    return [json.loads(line) for line in output.getvalue().splitlines()], good


def facts_of(manifest_days):
    """What every reader should say, from the rows themselves."""
    rows = [row for table in manifest_days for row in table.to_pylist()]
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    times = [(row["event_time"] - epoch) // timedelta(microseconds=1) for row in rows]
    ids = "\n".join(sorted(row["event_id"] for row in rows))
    return {
        "rows": len(rows),
        "sum_seq": sum(row["seq"] for row in rows),
        "min_event_time": min(times),
        "max_event_time": max(times),
        "ids": hashlib.sha256(ids.encode()).hexdigest(),
    }


def check(condition, what, lines):
    if not condition:
        shown = "\n".join(json.dumps(line) for line in lines)
        raise SystemExit(f"{what}:\n{shown}")


def holds_all(lines, good, wanted, readers, place):
    found = {line["reader"]: line for line in lines if line.get("from") == place and "ids" in line}
    expected = set(readers)
    return good and found.keys() == expected and all(
        {key: line[key] for key in wanted} == wanted for line in found.values()
    )


def main():
    readers = ["files", *READERS]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "snapshots"
        root.mkdir()
        old_days = [day_of_events(day, 100, 1 + 100 * day) for day in range(3)]
        new_days = [*old_days[:2], day_of_events(2, 300, 201)]
        manifests = [publish(root, OLD, old_days), publish(root, NEW, new_days)]
        write_delta(root, manifests)
        server = Server(root)
        http_place, directory = Http(server.url, TOKEN), Directory(root)
        old, new = facts_of(old_days), facts_of(new_days)

        def both(run, snapshot="latest", wait=False):
            run.read(http_place, "events", snapshot, readers, wait)
            run.read(directory, "events", snapshot, readers, wait)

        for snapshot, wanted in [("latest", new), (OLD, old)]:
            lines, good = collect(lambda run: both(run, snapshot))
            for place in ["http", "directory"]:
                check(holds_all(lines, good, wanted, READERS, place), f"{place} {snapshot}", lines)
        check(server.ranges > 0, "no reader asked for a range", lines)

        # A new snapshot while a reader waits: it keeps the one that it began.
        server.latest = OLD
        answers = Answers(lambda: setattr(server, "latest", NEW))
        lines, good = collect(
            lambda run: run.read(http_place, "events", "latest", ["pyarrow"], True), answers
        )
        check(holds_all(lines, good, old, ["pyarrow"], "http"), "a newer snapshot", lines)
        # A revocation while it waits: an error, and no facts.
        for reader in READERS:
            server.revoked = {REVOKED}
            answers = Answers(lambda: server.revoked.add(NEW))
            lines, good = collect(
                lambda run: run.read(http_place, "events", "latest", [reader], True), answers
            )
            clean = not good and any("error" in line for line in lines)
            check(clean and not any("ids" in line for line in lines), f"{reader} went on", lines)
        server.revoked = {REVOKED}

        lines, good = collect(
            lambda run: run.read(http_place, "events", REVOKED, ["pyarrow"], False)
        )
        check(not good and lines[0].get("status") == 410, "a revoked snapshot", lines)
        nobody = Http(server.url, "another")
        lines, good = collect(lambda run: run.read(nobody, "events", "latest", ["files"], False))
        check(not good and lines[0].get("status") == 401, "a wrong token", lines)

        # Signed addresses need no token, and Polars reads them itself.
        signed = dict(manifests[1])
        signed["files"] = [
            {**file, "url": f"/snapshots/events/{NEW}/{file['path']}?{SIGNATURE}"}
            for file in signed["files"]
        ]
        written = Path(folder) / "signed.json"
        written.write_text(json.dumps(signed))
        place = Http(server.url, manifest=written)
        lines, good = collect(lambda run: run.read(place, "events", "latest", readers, False))
        check(holds_all(lines, good, new, READERS, "http"), "signed addresses", lines)

        lines, good = collect(lambda run: run.read_delta(root, "events"))
        versions = {(line["reader"], line["version"]): line for line in lines if "version" in line}
        for version, wanted in [(0, old), (1, new)]:
            for reader in ["deltalake", "polars"]:
                found = versions.get((reader, version), {})
                same = good and {key: found.get(key) for key in wanted} == wanted
                check(same, f"{reader} of version {version}", lines)

        # A changed byte, and a file of other rows, are seen.
        victim = root / "events" / NEW / manifests[1]["files"][0]["path"]
        content = bytearray(victim.read_bytes())
        content[len(content) // 3] ^= 1
        victim.write_bytes(content)
        lines, good = collect(lambda run: run.read(directory, "events", NEW, ["files"], False))
        check(not good and victim.name in lines[0]["error"], "a changed byte", lines)
        other = root / "events" / OLD / manifests[0]["files"][0]["path"]
        victim.write_bytes(parquet_bytes(day_of_events(0, 100, 7_001)))
        lines, good = collect(
            lambda run: (run.read(directory, "events", NEW, ["pandas"], False),
                         shutil.copy(other, victim),
                         run.read(directory, "events", NEW, ["duckdb"], False))
        )
        check(not good and not lines[-1]["equal"], "other rows", lines)
        server.shutdown()
    print("snapshot_readers: every check holds")
    return 0
