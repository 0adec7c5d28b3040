"""pyarrow.flight as it comes: Basic for a bearer, commands of Flight SQL as bytes, GetFlightInfo,
GetSchema and DoGet, the actions, and the size of every message."""

import unittest

import pyarrow as pa
import pyarrow.flight as flight
import server
import types_table

PREFIX = "type.googleapis.com/arrow.flight.protocol.sql."


def field(number, data):
    """A field of a protobuf message that is text or bytes."""
    length, varint = len(data), b""
    while length > 127:
        varint += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + varint + bytes([length]) + data


def command(name, **fields):
    """A command of Flight SQL, packed as an `Any`; `fields` by number, as `f1=`."""
    body = b"".join(field(int(name[1:]), data) for name, data in fields.items())
    return field(1, (PREFIX + name).encode()) + field(2, body)


def statement(sql):
    return flight.FlightDescriptor.for_command(command("CommandStatementQuery", f1=sql.encode()))


class SmallMessages(flight.ClientMiddlewareFactory):
    """Takes nothing away; it is there so that a client with middleware is tried, too."""

    def start_call(self, info):
        return flight.ClientMiddleware()


class Flight(unittest.TestCase):
    def setUp(self):
        # gRPC's default limit of a received message, which pyarrow lifts unless it is told.
        options = [("grpc.max_receive_message_length", 4 * types_table.MEBIBYTE)]
        self.client = flight.FlightClient(
            f"grpc://{server.GRPC}", generic_options=options, middleware=[SmallMessages()]
        )
        self.addCleanup(self.client.close)
        header = self.client.authenticate_basic_token("bi", server.TOKEN)
        self.options = flight.FlightCallOptions(headers=[header], timeout=60)

    def info(self, sql):
        return self.client.get_flight_info(statement(sql), self.options)

    def table(self, sql):
        info = self.info(sql)
        tables = []
        for endpoint in info.endpoints:
            self.assertEqual(endpoint.locations, [], "the server itself has the rows")
            tables.append(self.client.do_get(endpoint.ticket, self.options).read_all())
        for table in tables:
            self.assertTrue(table.schema.equals(info.schema), f"{table.schema} {info.schema}")
        return pa.concat_tables(tables)


class Rights(Flight):
    def test_the_handshake_gives_a_bearer(self):
        name, value = self.client.authenticate_basic_token("anyone", server.TOKEN)
        self.assertEqual(name, b"authorization")
        self.assertTrue(value.startswith(b"Bearer "), value[:7])

    def test_no_token_and_a_wrong_one(self):
        for headers in [[], [(b"authorization", b"Bearer wrong")]]:
            with self.subTest(headers=headers):
                options = flight.FlightCallOptions(headers=headers)
                with self.assertRaises(flight.FlightUnauthenticatedError):
                    self.client.get_flight_info(statement("SELECT 1"), options)
        with self.assertRaises(flight.FlightUnauthenticatedError):
            self.client.authenticate_basic_token("bi", "wrong")


class Questions(Flight):
    def test_the_schema_of_the_info_is_that_of_the_stream(self):
        for sql in [
            "SELECT * FROM events",
            "SELECT * FROM accounts",
            "SELECT count(*) AS n, NULL AS nothing, 'a' AS t",
            "SELECT event, count(*) FROM events GROUP BY event",
        ]:
            with self.subTest(sql):
                info = self.info(sql)
                stream = self.client.do_get(info.endpoints[0].ticket, self.options)
                self.assertTrue(info.schema.equals(stream.schema), f"{info.schema} {stream.schema}")
                asked = self.client.get_schema(statement(sql), self.options).schema
                self.assertTrue(info.schema.equals(asked), f"{info.schema} {asked}")
                stream.read_all()

    def test_a_ticket_is_good_twice(self):
        ticket = self.info("SELECT value AS n FROM range(10)").endpoints[0].ticket
        first, second = (self.client.do_get(ticket, self.options).read_all() for _ in range(2))
        self.assertEqual(first.num_rows, 10)
        self.assertEqual(first, second)

    def test_no_message_is_larger_than_4_mebibytes(self):
        # The client's limit is 4 MiB: one message above it ends the stream with an error.
        table = self.table("SELECT value AS n, repeat('m', 1000000) AS m FROM range(20)")
        self.assertEqual(table.num_rows, 20)
        wide = ", ".join(f"repeat('w', 60000) AS w{number}" for number in range(64))
        self.assertEqual(self.table(f"SELECT {wide} FROM range(3)").num_rows, 3)
        table = self.table("SELECT repeat('b', 4194304 - 4096) AS b")
        self.assertEqual(len(table.column("b")[0].as_py()), 4_194_304 - 4_096)

    def test_a_forged_ticket_is_refused(self):
        ticket = self.info("SELECT 1 AS n").endpoints[0].ticket.ticket
        for bad in [b"", b"\xff" * 64, ticket[:-1], ticket[:-1] + bytes([ticket[-1] ^ 1])]:
            with self.subTest(length=len(bad)):
                with self.assertRaises((pa.ArrowException, flight.FlightError)):
                    self.client.do_get(flight.Ticket(bad), self.options).read_all()

    def test_the_actions_are_listed(self):
        names = {action.type for action in self.client.list_actions(self.options)}
        self.assertLessEqual(
            {"CreatePreparedStatement", "ClosePreparedStatement", "CancelFlightInfo"}, names
        )

    def test_the_catalogue(self):
        for name in ["CommandGetCatalogs", "CommandGetDbSchemas", "CommandGetTables",
                     "CommandGetTableTypes", "CommandGetXdbcTypeInfo", "CommandGetSqlInfo"]:
            with self.subTest(name):
                descriptor = flight.FlightDescriptor.for_command(command(name))
                info = self.client.get_flight_info(descriptor, self.options)
                table = self.client.do_get(info.endpoints[0].ticket, self.options).read_all()
                self.assertTrue(table.schema.equals(info.schema))
                self.assertGreater(table.num_rows, 0)


class Types(Flight):
    def test_every_type(self):
        types_table.check(self, self.table)

    def test_refusals(self):
        types_table.check_refusals(self, self.table, (pa.ArrowException, flight.FlightError))

    def test_every_column_of_events(self):
        event_id = server.new_id("columns")
        row = {**types_table.EVENT, "event_id": event_id}
        with server.adbc() as connection, connection.cursor() as cursor:
            cursor.adbc_ingest("events", pa.Table.from_pylist([row]), mode="append")
        table = self.table(f"SELECT * FROM events WHERE event_id = '{event_id}'")
        types_table.check_event(self, table, event_id)


if __name__ == "__main__":
    unittest.main()
