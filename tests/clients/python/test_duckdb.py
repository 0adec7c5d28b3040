"""DuckDB: over an answer of ADBC, over a Parquet answer of `POST /query`, and over the files of a
snapshot through its extension httpfs with a token."""

import json
import pathlib
import tempfile
import unittest
import urllib.parse
import urllib.request
from importlib.util import find_spec


import duckdb
import pyarrow as pa
import server
import types_table
from grpc_services import Services


def text(value):
    """A literal of SQL."""
    return "'" + str(value).replace("'", "''") + "'"


class Duckdb(unittest.TestCase):
    def setUp(self):
        self.services = Services()
        self.addCleanup(self.services.close)
        self.database = duckdb.connect()
        self.addCleanup(self.database.close)
        self.event_id = server.new_id("duckdb")
        self.services.append(self.services.event(self.event_id, **types_table.EVENT))

    def check(self, relation):
        """The relation has the one event, whichever way it came."""
        columns = ", ".join(types_table.EVENT_COLUMNS)
        found = self.database.sql(
            f"SELECT {columns} FROM {relation} WHERE event_id = {text(self.event_id)}"
        ).fetchall()
        (row,) = [dict(zip(types_table.EVENT_COLUMNS, row, strict=True)) for row in found]
        self.assertEqual({name: row[name] for name in types_table.EVENT}, types_table.EVENT)

    def test_over_adbc(self):
        with server.adbc() as connection, connection.cursor() as cursor:
            answer = cursor.execute("SELECT * FROM events").fetch_arrow_table()
        self.assertIsInstance(answer, pa.Table)
        self.database.register("answer", answer)
        self.check("answer")

    def test_over_a_parquet_answer(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "answer.parquet"
            path.write_bytes(server.post("SELECT * FROM events", "parquet"))
            self.check(f"read_parquet({text(path)})")

    def test_over_a_csv_answer(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "answer.csv"
            path.write_bytes(server.post("SELECT event, value FROM events", "csv"))
            found = self.database.sql(
                f"SELECT event, sum(value) / count(*) FROM read_csv({text(path)}) GROUP BY event"
            ).fetchall()
            self.assertEqual(found, [(types_table.EVENT["event"], types_table.EVENT["value"])])

    def test_over_a_snapshot(self):
        request = self.services.message("SnapshotServiceCreateRequest", tables=["events"])
        self.services.method("SnapshotService/Create")(request)
        package = pathlib.Path(find_spec("duckdb_extension_httpfs").origin).parent
        extension = package / f"extensions/v{duckdb.__version__}/httpfs.duckdb_extension"
        self.database.execute(f"LOAD {text(extension)}")
        self.database.execute(
            f"CREATE SECRET vitalog (TYPE http, BEARER_TOKEN {text(server.TOKEN)})"
        )
        address = f"http://{server.HTTP}/snapshots/events/latest"
        latest = urllib.request.Request(address)
        latest.add_header("Authorization", f"Bearer {server.TOKEN}")
        with urllib.request.urlopen(latest) as answer:
            files = [file["url"] for file in json.load(answer)["files"]]
        urls = ", ".join(text(urllib.parse.urljoin(address, url)) for url in files)
        self.check(f"read_parquet([{urls}], hive_partitioning = false)")

    def test_every_type(self):
        """Values that DuckDB has a type for, through Arrow."""
        skipped = {"decimal256", "null", "float16", "interval", "duration", "map"}
        with server.adbc() as connection, connection.cursor() as cursor:
            for one in types_table.TYPES:
                if one.name in skipped:
                    continue
                with self.subTest(one.name):
                    answer = cursor.execute(f"SELECT {one.sql} AS v").fetch_arrow_table()
                    self.database.register("answer", answer)
                    (found,) = self.database.sql("SELECT v FROM answer").fetchone()
                    self.assertTrue(types_table.same(found, one.value), f"{found!r:.200}")


if __name__ == "__main__":
    unittest.main()
