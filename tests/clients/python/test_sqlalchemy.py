"""flightsql-dbapi: the DB-API and SQLAlchemy with reflection, as Superset uses them."""

import datetime
import decimal
import math
import unittest
import urllib.parse

import pandas as pd
import pyarrow as pa
import server
import sqlalchemy
import types_table
from flightsql import FlightSQLClient, connect
from flightsql.sqlalchemy import DataFusionDialect
from sqlalchemy import Column, MetaData, Table, create_engine, func, inspect, select, text, types

assert DataFusionDialect.name == "datafusion", "importing it registers the dialect"

HOST, PORT = server.GRPC.rsplit(":", 1)


def engine(**query):
    token = urllib.parse.quote(server.TOKEN, safe="")
    more = "".join(f"&{name}={value}" for name, value in query.items())
    return create_engine(
        f"datafusion+flightsql://{server.GRPC}?insecure=true&token={token}{more}"
    )


class Dbapi(unittest.TestCase):
    def setUp(self):
        client = FlightSQLClient(host=HOST, port=int(PORT), token=server.TOKEN, insecure=True)
        self.connection = connect(client)
        self.addCleanup(self.connection.close)

    def rows(self, sql, parameters=None):
        return self.connection.cursor().execute(sql, parameters).fetchall()

    def test_questions(self):
        self.assertEqual(self.rows("SELECT value AS n FROM range(3) ORDER BY n"), [[0], [1], [2]])

    def test_parameters(self):
        sql = "SELECT $1 || $2 AS t, CAST($3 AS BIGINT) + 1 AS n, CAST($4 AS DOUBLE) AS d"
        self.assertEqual(self.rows(sql, ["a", "b", 41, 0.5]), [["ab", 42, 0.5]])

    def test_a_wrong_statement_says_why(self):
        with self.assertRaises(pa.ArrowException) as raised:
            self.rows("SELECT acount_id FROM events")
        self.assertIn("account_id", str(raised.exception))

    def test_keys_are_empty(self):
        self.assertEqual(self.connection.flightsql_get_primary_keys("events"), [])
        self.assertEqual(self.connection.flightsql_get_foreign_keys("events"), [])

    def test_every_type(self):
        for one in types_table.TYPES:
            with self.subTest(one.name):
                ((value,),) = self.rows(f"SELECT {one.sql} AS v")
                wanted = SHOWN.get(one.name, one.value)
                if wanted is None or wanted != wanted:
                    self.assertTrue(value is None or pd.isna(value), f"{value!r}")
                elif isinstance(wanted, list) and one.name != "map":
                    self.assertEqual(as_list(value), wanted)
                else:
                    self.assertEqual(value, wanted)

    def test_refusals(self):
        types_table.check_refusals(self, self.rows, pa.ArrowException)


#: What the client makes of a value where it is not pyarrow's: it goes through pandas.
SHOWN = {
    "structs": [{"day": datetime.datetime(2025, 1, 1), "n": 1}],
    "date": pd.Timestamp("2024-02-29"),
    "timestamp": pd.Timestamp("2025-03-01T09:30:00.123456Z"),
    "duration": pd.Timedelta(days=1, hours=1, minutes=1, seconds=1),
    "interval": pd.DateOffset(months=14, days=3, nanoseconds=4_500_000_000),
}


def as_list(value):
    """Nested arrays as nested lists."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [as_list(part) for part in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dict):
        return {name: as_list(part) for name, part in value.items()}
    return value


class Reflection(unittest.TestCase):
    def setUp(self):
        self.engine = engine()
        self.addCleanup(self.engine.dispose)

    def test_names(self):
        inspector = inspect(self.engine)
        self.assertIn("public", inspector.get_schema_names())
        names = inspector.get_table_names("public")
        self.assertLessEqual({"events", "accounts", "users"}, set(names))
        self.assertTrue(sqlalchemy.inspect(self.engine).has_table("events", "public"))
        self.assertFalse(sqlalchemy.inspect(self.engine).has_table("nothing", "public"))

    def test_columns(self):
        columns = {
            column["name"]: column for column in inspect(self.engine).get_columns("events", "public")
        }
        wanted = {
            "seq": types.BIGINT,
            "event_id": types.TEXT,
            "event_time": types.TIMESTAMP,
            "received_at": types.TIMESTAMP,
            "event": types.TEXT,
            "account_id": types.TEXT,
            "user_id": types.TEXT,
            "value": types.FLOAT,
            "properties": types.TEXT,
        }
        for name, kind in wanted.items():
            with self.subTest(name):
                self.assertIsInstance(columns[name]["type"], kind)
        self.assertFalse(columns["event_id"]["nullable"])
        self.assertTrue(columns["value"]["nullable"])

    def test_a_reflected_table_is_asked(self):
        prefix = server.new_id("alchemy")
        rows = [
            {**types_table.EVENT, "event_id": f"{prefix}-{number}", "value": float(number)}
            for number in range(4)
        ]
        with server.adbc() as connection, connection.cursor() as cursor:
            cursor.adbc_ingest("events", pa.Table.from_pylist(rows), mode="append")
        with self.engine.connect() as connection:
            events = Table("events", MetaData(), autoload_with=self.engine, schema="public")
            self.assertIsInstance(events.c.event_time, Column)
            question = (
                select(func.count(), func.sum(events.c.value))
                .where(events.c.event_id.startswith(prefix))
                .where(events.c.account_id == types_table.EVENT["account_id"])
            )
            self.assertEqual(connection.execute(question).fetchall(), [(4, 6.0)])

    def test_prepared_statements(self):
        self.engine.dispose()
        prepared = engine(**{"feature-sqlalchemy-prepared-statements": "on"})
        self.addCleanup(prepared.dispose)
        with prepared.connect() as connection:
            events = Table("events", MetaData(), autoload_with=prepared, schema="public")
            question = select(func.count()).where(events.c.event == "it's no event")
            self.assertEqual(connection.execute(question).fetchall(), [(0,)])

    def test_the_statements_of_superset(self):
        """What it sends to try a connection, to show a chart by week, and to page a table."""
        with self.engine.connect() as connection:
            for sql in [
                "SELECT 1",
                "SELECT DATE_TRUNC('week', event_time) AS __timestamp, COUNT(*) AS count"
                " FROM public.events WHERE event_time >= TIMESTAMP '2025-01-01 00:00:00'"
                " AND event_time < TIMESTAMP '2026-01-01 00:00:00'"
                " GROUP BY DATE_TRUNC('week', event_time) ORDER BY count DESC LIMIT 10000",
                "SELECT account_id AS account_id, COUNT(DISTINCT user_id) AS users"
                " FROM (SELECT * FROM events) AS virtual_table GROUP BY account_id"
                " ORDER BY users DESC LIMIT 100",
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
            ]:
                with self.subTest(sql):
                    connection.execute(text(sql)).fetchall()

    def test_decimals_and_text(self):
        with self.engine.connect() as connection:
            found = connection.execute(
                text("SELECT CAST(1.5 AS DECIMAL(9, 2)) AS d, 'it''s' AS t, NULL AS n")
            ).fetchall()
        self.assertEqual(found, [(decimal.Decimal("1.50"), "it's", None)])


if __name__ == "__main__":
    unittest.main()
