"""adbc-driver-flightsql: questions to Arrow, pandas and Polars, parameters, ingest, the catalogue,
cancelling, partitions, and every type."""

import contextlib
import datetime
import threading
import time
import unittest

import adbc_driver_manager
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import server
import types_table
from adbc_driver_flightsql import DatabaseOptions, StatementOptions, dbapi

#: What an ingest may send: the columns that the server does not make itself.
INGEST = pa.schema(
    [
        ("event_id", pa.string()),
        ("event_time", pa.timestamp("us", "UTC")),
        ("event", pa.string()),
        ("account_id", pa.string()),
        ("user_id", pa.string()),
        ("value", pa.float64()),
        ("properties", pa.string()),
    ]
)


def events(prefix, count):
    """Events that differ in every field, every third without what may be absent."""
    rows = []
    for number in range(count):
        whole = number % 3 != 0
        rows.append(
            {
                "event_id": f"{prefix}-{number}",
                "event_time": types_table.at(2025, 3, 1 + number % 7, 12, 0, 0, number),
                "event": "login" if number % 2 else "export",
                "account_id": f"account-{number % 5}",
                "user_id": f"user-{number % 11}" if whole else None,
                "value": number / 4 if whole else None,
                "properties": f'{{"n":{number}}}' if whole else None,
            }
        )
    return pa.Table.from_pylist(rows, INGEST)


class Adbc(unittest.TestCase):
    """One connection for each test."""

    def setUp(self):
        self.connection = server.adbc()
        self.addCleanup(self.connection.close)

    def table(self, sql, parameters=None):
        with self.connection.cursor() as cursor:
            return cursor.execute(sql, parameters).fetch_arrow_table()

    def ingest(self, data):
        with self.connection.cursor() as cursor:
            return cursor.adbc_ingest("events", data, mode="append")

    def count(self, prefix):
        sql = "SELECT count(*) AS n FROM events WHERE starts_with(event_id, $1)"
        return self.table(sql, (prefix,)).column("n")[0].as_py()


class Questions(Adbc):
    def test_arrow(self):
        table = self.table("SELECT value AS n, value * 2 AS twice FROM range(3) ORDER BY n")
        self.assertEqual(table.to_pydict(), {"n": [0, 1, 2], "twice": [0, 2, 4]})

    def test_an_answer_without_rows_has_its_schema(self):
        table = self.table("SELECT event, value FROM events WHERE event = 'never'")
        self.assertEqual(table.num_rows, 0)
        self.assertEqual(table.schema.types, [pa.string(), pa.float64()])

    def test_many_batches(self):
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT value AS n, repeat('y', 100) AS y FROM range(200000)")
            with cursor.fetch_record_batch() as reader:
                found = [batch.num_rows for batch in reader]
        self.assertGreater(len(found), 1)
        self.assertEqual(sum(found), 200_000)

    def test_pandas(self):
        with self.connection.cursor() as cursor:
            frame = cursor.execute(
                "SELECT 1 AS n, 'a' AS t, TIMESTAMP '2025-03-01T09:30:00Z' AS at"
                " UNION ALL SELECT NULL, NULL, NULL ORDER BY n"
            ).fetch_df()
        self.assertEqual(frame["n"].tolist()[0], 1)
        self.assertEqual(frame["t"].tolist()[0], "a")
        self.assertEqual(frame["at"].tolist()[0], pd.Timestamp("2025-03-01T09:30:00Z"))
        self.assertTrue(frame.iloc[1].isna().all())

    def test_polars(self):
        with self.connection.cursor() as cursor:
            frame = cursor.execute("SELECT 1 AS n, 'a' AS t").fetch_polars()
        self.assertEqual(frame.rows(), [(1, "a")])
        frame = pl.read_database("SELECT 2 AS n", connection=self.connection)
        self.assertEqual(frame.to_dicts(), [{"n": 2}])

    def test_rows(self):
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT value AS n FROM range(5) ORDER BY n")
            self.assertEqual([column[0] for column in cursor.description], ["n"])
            self.assertEqual(cursor.fetchone(), (0,))
            self.assertEqual(cursor.fetchmany(2), [(1,), (2,)])
            self.assertEqual(cursor.fetchall(), [(3,), (4,)])

    def test_partitions_are_read_elsewhere(self):
        with self.connection.cursor() as cursor:
            partitions, schema = cursor.adbc_execute_partitions(
                "SELECT value AS n FROM range(1000)"
            )
        self.assertEqual(schema.names, ["n"])
        found = []
        with server.adbc() as other, other.cursor() as cursor:
            for partition in partitions:
                cursor.adbc_read_partition(partition)
                found += cursor.fetch_arrow_table().column("n").to_pylist()
        self.assertEqual(sorted(found), list(range(1000)))

    def test_the_schema_is_known_before_the_rows(self):
        sql = "SELECT seq, event, value FROM events"
        with self.connection.cursor() as cursor:
            schema = cursor.adbc_execute_schema(sql)
            self.assertEqual(schema, cursor.execute(sql).fetch_arrow_table().schema)


class Parameters(Adbc):
    def test_each_type(self):
        for value in [
            True,
            -(2**63),
            0.1,
            "é'; DROP TABLE events; --",
            datetime.date(2024, 2, 29),
            types_table.at(2025, 3, 1, 9, 30, 0, 123456),
        ]:
            with self.subTest(value=value):
                sql = "SELECT $1 AS v"
                if not isinstance(value, str):
                    kind = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE",
                            datetime.date: "DATE", datetime.datetime: "TIMESTAMP"}[type(value)]
                    sql = f"SELECT CAST($1 AS {kind}) AS v"
                self.assertEqual(self.table(sql, (value,)).column("v")[0].as_py(), value)

    def test_many_at_once(self):
        sql = "SELECT $1 || $2 AS t, CAST($3 AS BIGINT) + 1 AS n"
        self.assertEqual(self.table(sql, ("a", "b", 41)).to_pylist(), [{"t": "ab", "n": 42}])

    def test_null(self):
        table = self.table("SELECT CAST($1 AS BIGINT) IS NULL AS v", (None,))
        self.assertEqual(table.column("v").to_pylist(), [True])

    def test_a_statement_is_prepared_once(self):
        with self.connection.cursor() as cursor:
            schema = cursor.adbc_prepare("SELECT CAST($1 AS BIGINT) * 2 AS v")
            self.assertEqual(len(schema), 1)
            for number in range(3):
                cursor.execute("SELECT CAST($1 AS BIGINT) * 2 AS v", (number,))
                self.assertEqual(cursor.fetchall(), [(2 * number,)])

    def test_arrow_values(self):
        batch = pa.record_batch({"0": pa.array([7], pa.int64())})
        self.assertEqual(self.table("SELECT CAST($1 AS BIGINT) AS v", batch).to_pydict(), {"v": [7]})

    def test_several_rows_of_values_are_refused(self):
        batch = pa.record_batch({"0": pa.array([7, 8], pa.int64())})
        with self.assertRaises(dbapi.Error) as raised:
            self.table("SELECT CAST($1 AS BIGINT) AS v", batch)
        self.assertIn("row", str(raised.exception))

    def test_executemany_is_an_update_and_refused(self):
        """ADBC runs it as an update, whatever the statement is; SQL here only reads."""
        with self.connection.cursor() as cursor:
            with self.assertRaises(dbapi.Error) as raised:
                cursor.executemany("SELECT CAST($1 AS BIGINT)", [(1,), (2,)])
        self.assertIn("only reads", str(raised.exception))

    def test_a_question_mark_is_a_placeholder(self):
        sql = "SELECT CAST(? AS BIGINT) - CAST(? AS BIGINT) AS v"
        self.assertEqual(self.table(sql, (5, 3)).to_pydict(), {"v": [2]})

    def test_a_missing_one_is_named(self):
        with self.assertRaises(dbapi.Error) as raised:
            self.table("SELECT $1 || $2 AS v", ("a",))
        self.assertRegex(str(raised.exception), r"\$2|2 placeholders|2 parameters|1 value")


class Ingest(Adbc):
    def test_a_retry_adds_nothing(self):
        prefix = server.new_id("ingest")
        data = events(prefix, 1_000)
        self.assertEqual(self.ingest(data), 1_000)
        self.assertEqual(self.count(prefix), 1_000)
        self.assertEqual(self.ingest(data), 0)
        self.assertEqual(self.count(prefix), 1_000)
        columns = ", ".join(data.schema.names)
        found = self.table(
            f"SELECT {columns} FROM events WHERE starts_with(event_id, $1) ORDER BY seq", (prefix,)
        )
        self.assertEqual(found.to_pylist(), data.to_pylist())

    def test_polars_and_pandas(self):
        for name, frame in [
            ("polars", lambda table: pl.from_arrow(table)),
            ("pandas", lambda table: table.to_pandas()),
        ]:
            prefix = server.new_id(name)
            data = frame(events(prefix, 30))
            if name == "pandas":
                data = pa.Table.from_pandas(data, preserve_index=False)
            with self.subTest(name):
                self.ingest(data)
                self.assertEqual(self.count(prefix), 30)

    def test_a_reader_of_batches(self):
        prefix = server.new_id("reader")
        data = events(prefix, 20_000)
        reader = pa.RecordBatchReader.from_batches(INGEST, data.to_batches(max_chunksize=1_000))
        self.ingest(reader)
        self.assertEqual(self.count(prefix), 20_000)

    def test_a_wrong_column_is_named(self):
        data = pa.table({"event": ["login"], "acount_id": ["acme"]})
        with self.assertRaises(dbapi.Error) as raised:
            self.ingest(data)
        self.assertIn("acount_id", str(raised.exception))

    def test_rejected_rows_are_named_and_the_others_are_in(self):
        prefix = server.new_id("rejected")
        data = events(prefix, 3).to_pylist()
        data[1]["event"] = "$none"
        with self.assertRaises(dbapi.Error) as raised:
            self.ingest(pa.Table.from_pylist(data, INGEST))
        self.assertRegex(str(raised.exception), r"(?s)\b1\b.*reserved_name")
        self.assertEqual(self.count(prefix), 2)

    def test_only_events_take_rows(self):
        data = pa.table({"event": ["login"]})
        for table, mode in [("accounts", "append"), ("events", "create"), ("events", "replace")]:
            with self.subTest(f"{table} {mode}"), self.connection.cursor() as cursor:
                with self.assertRaises(dbapi.Error):
                    cursor.adbc_ingest(table, data, mode=mode)


class Catalogue(Adbc):
    def objects(self, depth, **filters):
        return self.connection.adbc_get_objects(depth=depth, **filters).read_all().to_pylist()

    def tables(self, **filters):
        """The tables of all schemas, by name."""
        return {
            table["table_name"]: table
            for catalog in self.objects("all", **filters)
            for schema in catalog["catalog_db_schemas"] or []
            for table in schema["db_schema_tables"] or []
        }

    def test_every_depth(self):
        (catalog,) = self.objects("catalogs")
        self.assertIsNone(catalog["catalog_db_schemas"])
        (catalog,) = self.objects("db_schemas")
        schemas = {schema["db_schema_name"]: schema for schema in catalog["catalog_db_schemas"]}
        self.assertIn("public", schemas)
        self.assertIsNone(schemas["public"]["db_schema_tables"])
        (catalog,) = self.objects("tables", db_schema_filter="public")
        (schema,) = catalog["catalog_db_schemas"]
        names = {table["table_name"] for table in schema["db_schema_tables"]}
        self.assertLessEqual({"events", "accounts", "users"}, names)
        self.assertIn("events", self.tables())

    def test_columns_are_those_of_an_answer(self):
        schema = self.table("SELECT * FROM events LIMIT 0").schema
        columns = self.tables(table_name_filter="events")["events"]["table_columns"]
        self.assertEqual([column["column_name"] for column in columns], schema.names)
        self.assertEqual(
            [column["ordinal_position"] for column in columns], list(range(1, len(schema) + 1))
        )

    def test_filters(self):
        self.assertEqual(set(self.tables(table_name_filter="acc%")), {"accounts"})
        self.assertEqual(self.tables(table_name_filter="nothing"), {})
        (column,) = self.tables(table_name_filter="events", column_name_filter="seq")["events"][
            "table_columns"
        ]
        self.assertEqual(column["column_name"], "seq")

    def test_table_schema(self):
        schema = self.connection.adbc_get_table_schema("events")
        self.assertEqual(schema, self.table("SELECT * FROM events LIMIT 0").schema)
        with self.assertRaises(dbapi.Error):
            self.connection.adbc_get_table_schema("nothing")

    def test_table_types(self):
        types = self.connection.adbc_get_table_types()
        self.assertIn("TABLE", [name.upper().removeprefix("BASE ") for name in types])

    def test_info(self):
        info = self.connection.adbc_get_info()
        self.assertEqual(info["vendor_name"].lower(), "vitalog")
        self.assertRegex(info["vendor_version"], r"^\d+\.\d+\.\d+")


class Cancelling(Adbc):
    def test_a_running_statement_ends(self):
        for pause in [0.5, 5, 50]:
            found = self.cancelled(pause)
            # A cancel may come before the server runs the statement; the next one comes later.
            if found:
                break
        # It ended because its reader went, and not by itself or at a limit.
        self.assertEqual(found, ["abandoned"])

    def cancelled(self, pause):
        """The states in which the server lists a statement that was cancelled every `pause` seconds
        until it ended: none where it was only planned."""
        sql = server.ENDLESS.replace("AS n", f'AS "{server.new_id("n")}"')
        ended = threading.Event()
        with self.connection.cursor() as cursor:
            canceller = threading.Thread(target=cancel, args=(cursor, pause, ended))
            canceller.start()
            try:
                with self.assertRaises(adbc_driver_manager.Error):
                    cursor.execute(sql).fetch_arrow_table()
            finally:
                ended.set()
                canceller.join()
        # The server runs nothing more of it, and the connection still answers.
        self.assertEqual(self.table("SELECT 1 AS n").to_pydict(), {"n": [1]})
        wait_until_idle(self)
        listed = self.table(f"SELECT state FROM system.queries WHERE sql = '{sql}'")
        return listed["state"].to_pylist()

    def test_a_statement_that_is_dropped_ends(self):
        cursor = self.connection.cursor()
        sql = "SELECT a.value AS n, repeat('z', 1000) AS z FROM range(2000000000) a"
        reader = cursor.execute(sql).fetch_record_batch()
        self.assertGreater(reader.read_next_batch().num_rows, 0)
        reader.close()
        cursor.close()
        wait_until_idle(self)

    def test_a_timeout_of_the_client_is_one_of_the_server(self):
        with self.connection.cursor() as cursor:
            cursor.adbc_statement.set_options(
                **{
                    StatementOptions.TIMEOUT_FETCH.value: "1.5",
                    StatementOptions.TIMEOUT_QUERY.value: "1.5",
                }
            )
            with self.assertRaises(adbc_driver_manager.Error):
                cursor.execute(server.ENDLESS).fetch_arrow_table()
        wait_until_idle(self)


def cancel(cursor, pause, ended):
    """Cancels what the cursor does, every `pause` seconds until that has ended."""
    while not ended.wait(pause):
        # One that fails is followed by another.
        with contextlib.suppress(adbc_driver_manager.Error):
            cursor.adbc_cancel()


def wait_until_idle(case):
    """Waits until the server runs no statement but the one that asks."""
    for _ in range(1200):
        sql = "SELECT * FROM system.queries WHERE state IN ('queued', 'planning', 'running')"
        running = case.table(sql).num_rows
        if running <= 1:
            return
        time.sleep(0.1)
    case.fail(f"{running} statements are still running")


class Rights(unittest.TestCase):
    def test_no_token_and_a_wrong_one(self):
        for header in [None, "Bearer wrong"]:
            options = {DatabaseOptions.AUTHORIZATION_HEADER.value: header} if header else {}
            with self.subTest(header=header):
                with self.assertRaises(dbapi.Error) as raised:
                    with dbapi.connect(
                        f"grpc://{server.GRPC}", db_kwargs=options, autocommit=True
                    ) as connection, connection.cursor() as cursor:
                        cursor.execute("SELECT 1")
                self.assertRegex(str(raised.exception), "(?i)unauthenticated|token")
                self.assertNotIn(server.TOKEN, str(raised.exception))

    def test_a_password_is_a_token(self):
        options = {"username": "bi", "password": server.TOKEN}
        with dbapi.connect(
            f"grpc://{server.GRPC}", db_kwargs=options, autocommit=True
        ) as connection, connection.cursor() as cursor:
            self.assertEqual(cursor.execute("SELECT 1").fetchall(), [(1,)])


#: What pandas makes of a column where it is not pyarrow's value.
PANDAS = {
    "timestamp": pd.Timestamp("2025-03-01T09:30:00.123456Z"),
    "duration": pd.Timedelta(days=1, hours=1, minutes=1, seconds=1),
    "interval": pd.DateOffset(months=14, days=3, nanoseconds=4_500_000_000),
}
#: What Polars makes of a column where it is not pyarrow's value.
POLARS = {"map": {"a": 1, "b": 2}}


class Types(Adbc):
    def test_pyarrow(self):
        types_table.check(self, self.table)

    def test_refusals(self):
        types_table.check_refusals(self, self.table, dbapi.Error)

    def test_pandas(self):
        for one in types_table.TYPES:
            with self.subTest(one.name), self.connection.cursor() as cursor:
                frame = cursor.execute(f"SELECT {one.sql} AS v").fetch_df()
                found = frame["v"].iloc[0]
                wanted = PANDAS.get(one.name, one.value)
                if wanted is None:
                    self.assertTrue(found is None or pd.isna(found), repr(found))
                elif isinstance(wanted, list) and one.name != "map":
                    self.assertEqual(as_lists(found), as_lists(wanted))
                else:
                    self.assertTrue(types_table.same(as_plain(found), wanted), f"{found!r:.200}")

    def test_polars(self):
        for one in types_table.TYPES:
            with self.subTest(one.name), self.connection.cursor() as cursor:
                cursor.execute(f"SELECT {one.sql} AS v")
                if one.polars is types_table.REFUSED:
                    with self.assertRaises(BaseException) as raised:
                        cursor.fetch_polars()
                    self.assertNotEqual(str(raised.exception), "")
                    continue
                found = cursor.fetch_polars()["v"][0]
                if isinstance(found, pl.Series):
                    found = found.to_list()
                wanted = POLARS.get(one.name, one.value)
                self.assertTrue(types_table.same(found, wanted), f"{found!r:.200}")

    def test_every_column_of_events(self):
        event_id = server.new_id("columns")
        row = {**types_table.EVENT, "event_id": event_id}
        self.ingest(pa.Table.from_pylist([row], INGEST))
        table = self.table("SELECT * FROM events WHERE event_id = $1", (event_id,))
        types_table.check_event(self, table, event_id)


def as_plain(value):
    """A NumPy number as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {name: as_plain(part) for name, part in value.items()}
    return value


def as_lists(value):
    """Nested arrays as nested lists, NaN in the place of a NULL as NULL."""
    if isinstance(value, (list, np.ndarray)):
        return [as_lists(part) for part in value]
    if isinstance(value, dict):
        return {name: as_lists(part) for name, part in value.items()}
    plain = as_plain(value)
    return None if isinstance(plain, float) and plain != plain else plain


if __name__ == "__main__":
    unittest.main()
