"""What SQL makes of each type, and what a client must hold in its hands.

A row is a name, an expression, the Arrow type at the border and the Python value of pyarrow, and
whether Polars refuses it.
"""

import datetime
import decimal
import math
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

UTC = datetime.UTC
MEBIBYTE = 1024 * 1024
#: Polars has no such type and says so.
REFUSED = object()
#: Polars shows what pyarrow shows.
SAME = object()


@dataclass(frozen=True)
class Type:
    """One type of an answer."""

    name: str
    sql: str
    arrow: pa.DataType
    value: Any
    polars: Any = SAME


def at(*parts):
    return datetime.datetime(*parts, tzinfo=UTC)


TYPES = [
    Type("boolean", "true", pa.bool_(), True),
    Type("int8", "arrow_cast(-128, 'Int8')", pa.int8(), -128),
    Type("int16", "arrow_cast(-32768, 'Int16')", pa.int16(), -32768),
    Type("int32", "CAST(-2147483648 AS INT)", pa.int32(), -(2**31)),
    Type("int64", "9223372036854775807", pa.int64(), 2**63 - 1),
    Type("uint8", "arrow_cast(255, 'UInt8')", pa.int16(), 255),
    Type("uint16", "arrow_cast(65535, 'UInt16')", pa.int32(), 65535),
    Type("uint32", "arrow_cast(4294967295, 'UInt32')", pa.int64(), 2**32 - 1),
    Type("uint64", "arrow_cast(7, 'UInt64')", pa.int64(), 7),
    Type("float16", "arrow_cast(1.5, 'Float16')", pa.float32(), 1.5),
    Type("float32", "CAST(0.5 AS REAL)", pa.float32(), 0.5),
    Type("float64", "CAST(0.1 AS DOUBLE)", pa.float64(), 0.1),
    Type("nan", "CAST('NaN' AS DOUBLE)", pa.float64(), math.nan),
    Type("infinity", "CAST('-Infinity' AS DOUBLE)", pa.float64(), -math.inf),
    Type(
        "decimal",
        "CAST(-12345.67 AS DECIMAL(12, 2))",
        pa.decimal128(12, 2),
        decimal.Decimal("-12345.67"),
    ),
    Type(
        "wide_decimal",
        "CAST('12345678901234567890123456789012345.678' AS DECIMAL(38, 3))",
        pa.decimal128(38, 3),
        decimal.Decimal("12345678901234567890123456789012345.678"),
    ),
    Type(
        "decimal256",
        "arrow_cast('1234567890123456789012345678901234567890.5', 'Decimal256(50, 1)')",
        pa.decimal256(50, 1),
        decimal.Decimal("1234567890123456789012345678901234567890.5"),
        polars=REFUSED,
    ),
    Type("text", "'é ∀ 🦀'", pa.string(), "é ∀ 🦀"),
    Type("empty_text", "''", pa.string(), ""),
    Type("large_text", "arrow_cast('a', 'LargeUtf8')", pa.string(), "a"),
    Type("text_view", "arrow_cast('b', 'Utf8View')", pa.string(), "b"),
    Type("dictionary", "arrow_cast('c', 'Dictionary(Int32, Utf8)')", pa.string(), "c"),
    Type("long_text", "repeat('x', 3 * 1024 * 1024)", pa.string(), "x" * 3 * MEBIBYTE),
    Type("binary", "arrow_cast(decode('00ff', 'hex'), 'Binary')", pa.binary(), b"\x00\xff"),
    Type("date", "DATE '2024-02-29'", pa.date32(), datetime.date(2024, 2, 29)),
    Type(
        "time",
        "arrow_cast('12:34:56.789012', 'Time64(Microsecond)')",
        pa.time64("us"),
        datetime.time(12, 34, 56, 789012),
    ),
    Type(
        "timestamp",
        "TIMESTAMP '2025-03-01T09:30:00.123456789Z'",
        pa.timestamp("us", "UTC"),
        at(2025, 3, 1, 9, 30, 0, 123456),
    ),
    Type(
        "interval",
        "INTERVAL '14 months 3 days 4.5 seconds'",
        pa.month_day_nano_interval(),
        pa.MonthDayNano([14, 3, 4_500_000_000]),
        polars=REFUSED,
    ),
    Type(
        "duration",
        "arrow_cast(90061000000, 'Duration(Microsecond)')",
        pa.duration("us"),
        datetime.timedelta(days=1, hours=1, minutes=1, seconds=1),
    ),
    Type("list", "make_array(1, NULL, 3)", pa.list_(pa.int64()), [1, None, 3]),
    Type("text_list", "make_array('a', '')", pa.list_(pa.string()), ["a", ""]),
    Type("empty_list", "arrow_cast(make_array(), 'List(Int64)')", pa.list_(pa.int64()), []),
    Type(
        "nested_list",
        "make_array(make_array(1), make_array(2, 3))",
        pa.list_(pa.list_(pa.int64())),
        [[1], [2, 3]],
    ),
    Type(
        "struct",
        "named_struct('a', 1, 'b', 'x', 'c', CAST(NULL AS DOUBLE))",
        pa.struct([("a", pa.int64()), ("b", pa.string()), ("c", pa.float64())]),
        {"a": 1, "b": "x", "c": None},
    ),
    Type(
        "structs",
        "make_array(named_struct('day', DATE '2025-01-01', 'n', 1))",
        pa.list_(pa.struct([("day", pa.date32()), ("n", pa.int64())])),
        [{"day": datetime.date(2025, 1, 1), "n": 1}],
    ),
    Type(
        "map",
        "MAP {'a': 1, 'b': 2}",
        pa.map_(pa.string(), pa.int64()),
        [("a", 1), ("b", 2)],
    ),
    Type("null", "NULL", pa.null(), None),
    Type("null_integer", "CAST(NULL AS BIGINT)", pa.int64(), None),
    Type("null_double", "CAST(NULL AS DOUBLE)", pa.float64(), None),
    Type("null_text", "CAST(NULL AS TEXT)", pa.string(), None),
    Type("null_boolean", "CAST(NULL AS BOOLEAN)", pa.bool_(), None),
    Type("null_date", "CAST(NULL AS DATE)", pa.date32(), None),
    Type("null_timestamp", "CAST(NULL AS TIMESTAMP)", pa.timestamp("us", "UTC"), None),
    Type("null_decimal", "CAST(NULL AS DECIMAL(9, 4))", pa.decimal128(9, 4), None),
    Type("null_list", "arrow_cast(NULL, 'List(Int64)')", pa.list_(pa.int64()), None),
    Type(
        "json",
        """'{"plan":{"n":1}}' -> 'plan'""",
        pa.string(),
        '{"n":1}',
    ),
]

#: A row that no message can hold, and a number that no type at the border can.
REFUSALS = [
    ("a row past 4 MiB", "SELECT repeat('x', 5 * 1024 * 1024) AS v", "4194304"),
    ("a number past BIGINT", "SELECT arrow_cast('18446744073709551615', 'UInt64') AS v", "Int64"),
    ("a statement that writes", "DROP TABLE events", "DROP"),
    ("a column that is not there", "SELECT acount_id FROM events", "account_id"),
]


def same(found, wanted):
    """Whether two values are equal, NaN to NaN."""
    if isinstance(wanted, float) and math.isnan(wanted):
        return isinstance(found, float) and math.isnan(found)
    return found == wanted


def check(case, ask):
    """Asks for every type alone with `ask`, which returns an Arrow table, and for all in one row."""
    for one in TYPES:
        with case.subTest(one.name):
            check_column(case, ask(f"SELECT {one.sql} AS v"), "v", one)
    columns = ", ".join(f'{one.sql} AS "{one.name}"' for one in TYPES)
    together = ask(f"SELECT {columns}")
    case.assertEqual(together.num_rows, 1)
    for one in TYPES:
        with case.subTest(f"{one.name} among the others"):
            check_column(case, together, one.name, one)


def check_column(case, table, name, one):
    found = table.schema.field(name).type
    case.assertTrue(plain(found).equals(plain(one.arrow)), f"{found}, not {one.arrow}")
    value = table.column(name)[0].as_py()
    case.assertTrue(same(value, one.value), f"{value!r:.200}, not {one.value!r:.200}")


def plain(arrow):
    """The type with its parts' names and nullability as Arrow's libraries make them."""
    if pa.types.is_list(arrow):
        return pa.list_(plain(arrow.value_type))
    if pa.types.is_struct(arrow):
        return pa.struct([(part.name, plain(part.type)) for part in arrow])
    if pa.types.is_map(arrow):
        return pa.map_(plain(arrow.key_type), plain(arrow.item_type))
    return arrow


def check_refusals(case, ask, errors):
    """Each refusal fails with one of `errors`, whose text has the reason."""
    for name, sql, reason in REFUSALS:
        with case.subTest(name):
            with case.assertRaises(errors) as raised:
                ask(sql)
            case.assertIn(reason, str(raised.exception))


#: An event with every field, and what each column of `events` then holds; seq, received_at and
#: the promoted columns are the server's.
EVENT = {
    "event_time": at(2025, 3, 1, 9, 30, 0, 123456),
    "event": "report_created",
    "account_id": "acmé",
    "user_id": "ada",
    "value": 12.5,
    "properties": '{"big":9007199254740993,"plan":"pro"}',
}
#: The columns of `events` that every store has, with their types.
EVENT_COLUMNS = {
    "seq": pa.int64(),
    "event_id": pa.string(),
    "event_time": pa.timestamp("us", "UTC"),
    "received_at": pa.timestamp("us", "UTC"),
    "event": pa.string(),
    "account_id": pa.string(),
    "user_id": pa.string(),
    "value": pa.float64(),
    "properties": pa.string(),
}


def check_event(case, table, event_id):
    """The one row of `table` is [`EVENT`] under `event_id`, in every column of `events`."""
    case.assertEqual(table.num_rows, 1)
    types = {part.name: part.type for part in table.schema}
    case.assertEqual({name: types.get(name) for name in EVENT_COLUMNS}, EVENT_COLUMNS)
    row = table.to_pylist()[0]
    case.assertEqual({name: row[name] for name in EVENT}, EVENT)
    case.assertEqual(row["event_id"], event_id)
    case.assertGreater(row["seq"], 0)
    case.assertGreater(row["received_at"], at(2025, 1, 1))
