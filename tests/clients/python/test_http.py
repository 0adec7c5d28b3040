"""Plain HTTP: `POST /query` with the standard library alone, in every format."""

import csv
import decimal
import io
import json
import unittest
import urllib.error

import pyarrow as pa
import pyarrow.parquet as pq
import server
import types_table
from grpc_services import Services

#: What a Parquet file cannot hold and the server refuses.
NOT_IN_PARQUET = {"interval"}
#: What JSON shows of a value where it has no such value itself.
JSON = {
    "nan": None,
    "infinity": None,
    "binary": "00ff",
    "date": "2024-02-29",
    "time": "12:34:56.789012",
    "timestamp": "2025-03-01T09:30:00.123456Z",
    "interval": "14 mons 3 days 4.500000000 secs",
    "duration": "PT90061S",
    "structs": [{"day": "2025-01-01", "n": 1}],
    "map": {"a": 1, "b": 2},
}
#: What CSV shows of a value where it is not the text of the value.
CSV = {
    "boolean": "true",
    "nan": "NaN",
    "infinity": "-inf",
    "list": "[1,null,3]",
    "text_list": '["a",""]',
    "empty_list": "[]",
    "nested_list": "[[1],[2,3]]",
    "struct": '{"a":1,"b":"x","c":null}',
    "structs": '[{"day":"2025-01-01","n":1}]',
    "map": '{"a":1,"b":2}',
}


def error(raised):
    """The error that an answer carries."""
    return json.loads(raised.exception.read())["error"]


class Http(unittest.TestCase):
    def parquet(self, sql):
        return pq.read_table(pa.BufferReader(server.post(sql, "parquet")))

    def test_json(self):
        found = server.rows("SELECT value AS n, 'a' AS t, NULL AS nothing FROM range(2) ORDER BY n")
        self.assertEqual(
            found, [{"n": 0, "t": "a", "nothing": None}, {"n": 1, "t": "a", "nothing": None}]
        )

    def test_csv(self):
        body = server.post("SELECT 1 AS n, 'a,\"b\"' AS t, NULL AS nothing", "csv").decode()
        self.assertEqual(list(csv.reader(io.StringIO(body))), [["n", "t", "nothing"], ["1", 'a,"b"', ""]])

    def test_parquet(self):
        table = self.parquet("SELECT value AS n FROM range(100000)")
        self.assertEqual(table.num_rows, 100_000)
        self.assertEqual(sum(table.column("n").to_pylist()), 100_000 * 99_999 // 2)

    def test_json_lines_and_arrow(self):
        sql = "SELECT value AS n FROM range(3) ORDER BY n"
        lines = server.post(sql, "jsonl").decode().splitlines()
        self.assertEqual([json.loads(line) for line in lines], [{"n": 0}, {"n": 1}, {"n": 2}])
        table = pa.ipc.open_stream(server.post(sql, "arrow")).read_all()
        self.assertEqual(table.to_pydict(), {"n": [0, 1, 2]})

    def test_parameters(self):
        sql = "SELECT $1 || 'b' AS t, $2 + 1 AS n, $3 IS NULL AS nothing"
        body = server.post(sql, parameters=["a", 41, None])
        self.assertEqual(json.loads(body), [{"t": "ab", "n": 42, "nothing": True}])

    def test_an_answer_without_rows(self):
        sql = "SELECT event, value FROM events WHERE event = 'never'"
        self.assertEqual(server.rows(sql), [])
        self.assertEqual(server.post(sql, "csv").decode().split(), ["event,value"])
        self.assertEqual(self.parquet(sql).schema.names, ["event", "value"])

    def test_refusals(self):
        for name, sql, reason in types_table.REFUSALS[1:]:
            with self.subTest(name):
                with self.assertRaises(urllib.error.HTTPError) as raised:
                    server.rows(sql)
                self.assertEqual(raised.exception.code, 400)
                self.assertIn(reason, error(raised)["message"])

    def test_rights(self):
        for token, status in [(None, 401), ("wrong", 401)]:
            with self.subTest(token=token):
                with self.assertRaises(urllib.error.HTTPError) as raised:
                    server.post("SELECT 1", token=token)
                self.assertEqual(raised.exception.code, status)
                self.assertEqual(error(raised)["reason"], "UNAUTHENTICATED")

    def test_an_unknown_format_is_named(self):
        with self.assertRaises(urllib.error.HTTPError) as raised:
            server.post("SELECT 1", "xlsx")
        self.assertEqual(raised.exception.code, 400)
        self.assertIn("xlsx", error(raised)["message"])

    def test_every_type_as_parquet(self):
        for one in types_table.TYPES:
            sql = f"SELECT {one.sql} AS v"
            with self.subTest(one.name):
                if one.name in NOT_IN_PARQUET:
                    with self.assertRaises(urllib.error.HTTPError) as raised:
                        self.parquet(sql)
                    self.assertEqual(raised.exception.code, 400)
                    self.assertIn("Interval", error(raised)["message"])
                else:
                    types_table.check_column(self, self.parquet(sql), "v", one)

    def test_every_type_as_json(self):
        for one in types_table.TYPES:
            with self.subTest(one.name):
                body = server.post(f"SELECT {one.sql} AS v")
                (row,) = json.loads(body, parse_float=decimal.Decimal)
                wanted = JSON.get(one.name, one.value)
                if isinstance(wanted, float):
                    wanted = decimal.Decimal(repr(wanted))
                self.assertEqual(row["v"], wanted)

    def test_every_type_as_csv(self):
        csv.field_size_limit(16 * types_table.MEBIBYTE)
        for one in types_table.TYPES:
            with self.subTest(one.name):
                body = server.post(f"SELECT 1 AS n, {one.sql} AS v", "csv").decode()
                (row,) = csv.DictReader(io.StringIO(body))
                wanted = "" if one.value is None else str(one.value)
                self.assertEqual(row["v"], CSV.get(one.name, JSON.get(one.name) or wanted))

    def test_every_column_of_events(self):
        event_id = server.new_id("columns")
        services = Services()
        self.addCleanup(services.close)
        services.append(services.event(event_id, **types_table.EVENT))
        sql = f"SELECT * FROM events WHERE event_id = '{event_id}'"
        types_table.check_event(self, self.parquet(sql), event_id)
        (row,) = server.rows(sql)
        self.assertEqual(
            {name: row[name] for name in types_table.EVENT if name != "event_time"},
            {name: value for name, value in types_table.EVENT.items() if name != "event_time"},
        )
        self.assertEqual(row["event_time"], "2025-03-01T09:30:00.123456Z")
        (line,) = csv.DictReader(io.StringIO(server.post(sql, "csv").decode()))
        self.assertEqual(line["properties"], types_table.EVENT["properties"])
        self.assertEqual(float(line["value"]), types_table.EVENT["value"])


if __name__ == "__main__":
    unittest.main()
