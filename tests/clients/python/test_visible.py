"""What is acknowledged is seen: each client appends an event, and as soon as its acknowledgement is
there, every client asks for it, once, and finds it."""

import json
import os
import subprocess
import unittest
import urllib.parse

import duckdb
import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as pq
import server
import sqlalchemy
import test_flight
from flightsql.sqlalchemy import DataFusionDialect
from grpc_services import Services

assert DataFusionDialect.name == "datafusion", "importing it registers the dialect"

ROUNDS = 5


def question(event_id):
    return f"SELECT count(*) AS n FROM events WHERE event_id = '{event_id}'"


class Node:
    """The clients of Node, in a process that answers one line for each."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            ["node", "visible.mjs"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, action, event_id):
        self.process.stdin.write(json.dumps({"do": action, "id": event_id}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise AssertionError(f"{action}: {answer['error']}")
        return answer["n"]

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)


class Visible(unittest.TestCase):
    def setUp(self):
        self.services = Services()
        self.addCleanup(self.services.close)
        self.adbc = server.adbc()
        self.addCleanup(self.adbc.close)
        token = urllib.parse.quote(server.TOKEN, safe="")
        self.engine = sqlalchemy.create_engine(
            f"datafusion+flightsql://{server.GRPC}?insecure=true&token={token}"
        )
        self.addCleanup(self.engine.dispose)
        self.flight = flight.FlightClient(f"grpc://{server.GRPC}")
        self.addCleanup(self.flight.close)
        header = (b"authorization", f"Bearer {server.TOKEN}".encode())
        self.options = flight.FlightCallOptions(headers=[header])
        self.writers = {
            "grpc": self.write_grpc,
            "grpc arrow": self.write_arrow,
            "adbc": self.write_adbc,
            "stream": self.write_stream,
        }
        self.readers = {
            "grpc": lambda event_id: self.services.table(question(event_id))["n"][0].as_py(),
            "grpc read": self.read_log,
            "adbc": self.read_adbc,
            "adbc parameters": self.read_parameters,
            "pyarrow.flight": self.read_flight,
            "sqlalchemy": self.read_sqlalchemy,
            "http json": lambda event_id: server.rows(question(event_id))[0]["n"],
            "http csv": lambda event_id: int(server.post(question(event_id), "csv").split()[1]),
            "duckdb of parquet": self.read_duckdb,
        }
        if "VITALOG_CLIENTS_NODE" in os.environ:
            node = Node(os.environ["VITALOG_CLIENTS_NODE"])
            self.addCleanup(node.close)
            self.writers["node"] = lambda event_id: node.ask("append", event_id)
            for name in ["grpc", "flight_bearer", "flight_password"]:
                self.readers[f"node {name}"] = lambda event_id, name=name: node.ask(name, event_id)

    def event(self, event_id):
        return self.services.event(
            event_id, event="login", account_id="acme", event_time=server.now()
        )

    def row(self, event_id):
        row = {
            "event_id": event_id,
            "event": "login",
            "account_id": "acme",
            "event_time": server.now(),
        }
        return pa.Table.from_pylist([row])

    def write_grpc(self, event_id):
        self.services.append(self.event(event_id))

    def write_arrow(self, event_id):
        sink = pa.BufferOutputStream()
        table = self.row(event_id)
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        request = self.services.message("AppendRequest", arrow_ipc=sink.getvalue().to_pybytes())
        self.services.method("EventService/Append")(request)

    def write_adbc(self, event_id):
        with self.adbc.cursor() as cursor:
            cursor.adbc_ingest("events", self.row(event_id), mode="append")

    def write_stream(self, event_id):
        """A stream of its own for each event, so that its acknowledgement is the first."""
        message = self.services.message
        batch = message("EventBatch", events=[self.event(event_id)])
        append = message("AppendRequest", events=batch)
        requests = [
            message("AppendStreamRequest", open=message("AppendStreamOpen", writer_id=event_id)),
            message(
                "AppendStreamRequest", batch=message("AppendStreamBatch", number=1, append=append)
            ),
        ]
        answers = self.services.method("EventService/AppendStream")(iter(requests))
        acks = [answer.ack for answer in answers if answer.HasField("ack")]
        self.assertEqual([ack.appended.accepted for ack in acks], [1])

    def read_log(self, event_id):
        """The log from a little before its end, up to the end."""
        last = self.services.table("SELECT max(seq) AS n FROM events")["n"][0].as_py()
        request = self.services.message("ReadRequest", from_seq=max(1, last - 1))
        answers = self.services.method("EventService/Read")(request)
        found = [stored.event.event_id for answer in answers for stored in answer.events]
        return found.count(event_id)

    def read_adbc(self, event_id):
        with self.adbc.cursor() as cursor:
            return cursor.execute(question(event_id)).fetchone()[0]

    def read_parameters(self, event_id):
        with self.adbc.cursor() as cursor:
            sql = "SELECT count(*) AS n FROM events WHERE event_id = $1"
            return cursor.execute(sql, (event_id,)).fetchone()[0]

    def read_flight(self, event_id):
        info = self.flight.get_flight_info(test_flight.statement(question(event_id)), self.options)
        table = self.flight.do_get(info.endpoints[0].ticket, self.options).read_all()
        return table["n"][0].as_py()

    def read_sqlalchemy(self, event_id):
        with self.engine.connect() as connection:
            return connection.execute(sqlalchemy.text(question(event_id))).scalar()

    def read_duckdb(self, event_id):
        body = server.post(question(event_id), "parquet")
        answer = pq.read_table(pa.BufferReader(body))
        with duckdb.connect() as database:
            database.register("answer", answer)
            return database.sql("SELECT n FROM answer").fetchone()[0]

    def test_every_client_sees_what_any_client_appended(self):
        for number in range(ROUNDS):
            for writer, write in self.writers.items():
                for reader, read in self.readers.items():
                    with self.subTest(f"{writer}, then {reader}, round {number}"):
                        event_id = server.new_id(f"visible-{number}")
                        write(event_id)
                        self.assertEqual(read(event_id), 1)


if __name__ == "__main__":
    unittest.main()
