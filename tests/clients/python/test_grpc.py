"""grpcio with reflection on vitalog.v1: append, the stream of a writer, questions with parameters,
scores, and the tail of the log. No file of the contract is read."""

import queue
import threading
import unittest

import grpc
import server
import types_table
from grpc_services import Services


class Grpc(unittest.TestCase):
    """One channel for each test."""

    def setUp(self):
        self.services = Services()
        self.addCleanup(self.services.close)

    def events(self, prefix, count):
        return [
            self.services.event(
                f"{prefix}-{number}",
                event="login",
                account_id="acme",
                event_time=types_table.at(2025, 3, 2, 0, 0, 0, number),
            )
            for number in range(count)
        ]


class Contract(Grpc):
    def test_reflection_lists_the_services(self):
        found = set(self.services.database.get_services())
        wanted = {f"vitalog.v1.{name}Service" for name in ["Event", "Query", "Health", "Catalog"]}
        self.assertLessEqual(wanted, found)

    def test_a_call_without_a_token_is_refused(self):
        nobody = Services(metadata=())
        self.addCleanup(nobody.close)
        with self.assertRaises(grpc.RpcError) as raised:
            nobody.table("SELECT 1")
        self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAUTHENTICATED)

    def test_a_wrong_statement_says_where(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.services.table("SELECT acount_id FROM events")
        error = raised.exception
        self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        self.assertIn(b"INVALID_SQL", details)


class Appending(Grpc):
    def test_a_retry_adds_nothing(self):
        events = self.events(server.new_id("grpc"), 100)
        first = self.services.append(*events)
        self.assertEqual((first.accepted, first.duplicates), (100, 0))
        again = self.services.append(*events)
        self.assertEqual((again.accepted, again.duplicates), (0, 100))

    def test_a_rejected_event_is_named(self):
        good, bad = self.events(server.new_id("rejected"), 2)
        bad.event = "$none"
        answer = self.services.append(good, bad)
        self.assertEqual(answer.accepted, 1)
        (rejected,) = answer.rejected
        self.assertEqual((rejected.index, rejected.code), (1, "reserved_name"))

    def test_every_column(self):
        event_id = server.new_id("columns")
        self.services.append(self.services.event(event_id, **types_table.EVENT))
        table, _ = self.services.query(
            "SELECT * FROM events WHERE event_id = $1",
            [self.services.value(string_value=event_id)],
        )
        types_table.check_event(self, table, event_id)


class Asking(Grpc):
    def test_parameters(self):
        value = self.services.value
        null = self.services.message("Value")
        null.null_value = 0
        table, statistics = self.services.query(
            "SELECT $1 + 1 AS n, $2 AS t, $3 IS NULL AS nothing, $4 AS flag, $5 * 2 AS d,"
            " CAST($6 AS DATE) AS day",
            [
                value(integer_value=41),
                value(string_value="é'--"),
                null,
                value(boolean_value=True),
                value(double_value=0.25),
                value(date_value=1),
            ],
        )
        row = table.to_pylist()[0]
        self.assertEqual(row.pop("day").isoformat(), "1970-01-02")
        self.assertEqual(
            row, {"n": 42, "t": "é'--", "nothing": True, "flag": True, "d": 0.5}
        )
        self.assertEqual(statistics.rows, 1)

    def test_every_type(self):
        types_table.check(self, self.services.table)

    def test_refusals(self):
        types_table.check_refusals(self, self.services.table, grpc.RpcError)

    def test_an_answer_of_the_past(self):
        prefix = server.new_id("past")
        first, second = self.events(prefix, 2)
        seq = self.services.append(first).last_seq
        self.services.append(second)
        sql = f"SELECT count(*) AS n FROM events WHERE starts_with(event_id, '{prefix}')"
        then, statistics = self.services.query(sql, as_of_seq=seq)
        self.assertEqual((then.to_pylist(), statistics.seq), ([{"n": 1}], seq))
        self.assertEqual(self.services.table(sql).to_pylist(), [{"n": 2}])

    def test_a_cancelled_call_ends(self):
        request = self.services.message("QueryRequest", sql=server.ENDLESS)
        call = self.services.method("QueryService/Query")(request)
        timer = threading.Timer(0.5, call.cancel)
        timer.start()
        with self.assertRaises(grpc.RpcError) as raised:
            list(call)
        self.assertEqual(raised.exception.code(), grpc.StatusCode.CANCELLED)
        timer.join()


class Reading(Grpc):
    def test_the_tail_follows(self):
        prefix = server.new_id("tail")
        events = self.events(prefix, 10)
        end = self.services.append(events[0]).last_seq
        request = self.services.message("ReadRequest", from_seq=end, follow=True, limit=10)
        stream = self.services.method("EventService/Read")(request)
        found = []
        for answer in stream:
            found += [stored.event.event_id for stored in answer.events]
            if 0 < len(found) < 10:
                self.services.append(events[len(found)])
        self.assertEqual(found, [event.event_id for event in events])


class Scores(Grpc):
    def test_pages(self):
        account = server.new_id("scored")
        events = self.events(account, 3)
        for event in events:
            event.account_id = account
            event.event_time.FromDatetime(server.now())
        self.services.append(*events)
        request = self.services.message("GetScoresRequest", account_ids=[account])
        request.max_staleness.FromSeconds(0)
        answer = self.services.method("HealthService/GetScores")(request)
        self.assertEqual([score.account_id for score in answer.scores], [account])
        self.assertNotEqual(answer.picture.token, "")


class Streaming(Grpc):
    """AppendStream: ordered acknowledgements of a writer's numbered batches."""

    def open(self, writer):
        """What sends the next request, the answers, and the last durable number of the writer."""
        requests = queue.SimpleQueue()
        self.addCleanup(requests.put, None)
        answers = self.services.method("EventService/AppendStream")(iter(requests.get, None))
        message = self.services.message
        opening = message("AppendStreamOpen", writer_id=writer)
        requests.put(message("AppendStreamRequest", open=opening))
        opened = next(answers).opened
        self.assertGreater(opened.credit_bytes, 0)
        return requests, answers, opened.last_number

    def batch(self, number, events):
        message = self.services.message
        append = message("AppendRequest", events=message("EventBatch", events=events))
        batch = message("AppendStreamBatch", number=number, append=append)
        return message("AppendStreamRequest", batch=batch)

    def state(self, writer):
        request = self.services.message("GetWriterStateRequest", writer_id=writer)
        return self.services.method("EventService/GetWriterState")(request)

    def test_acks_come_in_order_and_a_writer_resumes(self):
        writer = server.new_id("writer")
        events = self.events(writer, 60)
        requests, answers, last = self.open(writer)
        self.assertEqual(last, 0)
        for number in range(1, 5):
            requests.put(self.batch(number, events[10 * number - 10 : 10 * number]))
        acks = [next(answers).ack for _ in range(4)]
        self.assertEqual([ack.number for ack in acks], [1, 2, 3, 4])
        self.assertEqual([ack.appended.accepted for ack in acks], [10] * 4)
        self.assertEqual(self.state(writer).last_number, 4)
        requests.put(None)
        self.assertEqual(list(answers), [])

        requests, answers, last = self.open(writer)
        self.assertEqual(last, 4)
        requests.put(self.batch(4, events[30:40]))
        replayed = next(answers).ack
        self.assertEqual(replayed.status.code, grpc.StatusCode.ALREADY_EXISTS.value[0])
        requests.put(self.batch(6, events[50:]))
        gap = next(answers).ack
        self.assertEqual(gap.status.code, grpc.StatusCode.OUT_OF_RANGE.value[0])
        requests.put(self.batch(5, events[40:50]))
        self.assertEqual(next(answers).ack.appended.accepted, 10)
        sql = f"SELECT count(*) AS n FROM events WHERE starts_with(event_id, '{writer}')"
        self.assertEqual(self.services.table(sql).to_pylist(), [{"n": 50}])


if __name__ == "__main__":
    unittest.main()
