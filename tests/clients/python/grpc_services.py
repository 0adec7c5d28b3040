"""vitalog.v1 by reflection: no generated file, no `.proto`.

Messages and methods come from the server's own description, so that this is also a test of it.
"""

import grpc
import pyarrow as pa
import server
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

BEARER = (("authorization", f"Bearer {server.TOKEN}"),)


class Services:
    """The services of one server; `close` it."""

    def __init__(self, metadata=BEARER):
        self.channel = grpc.insecure_channel(server.GRPC)
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = descriptor_pool.DescriptorPool(self.database)
        self.metadata = metadata

    def close(self):
        self.channel.close()

    def message(self, name, **fields):
        """A message of `vitalog.v1` or, by its full name, of another package."""
        full = name if "." in name else f"vitalog.v1.{name}"
        kind = message_factory.GetMessageClass(self.pool.FindMessageTypeByName(full))
        return kind(**fields)

    def method(self, path):
        """The method `Service/Method`, ready to be called with a message."""
        service, name = path.split("/")
        described = self.pool.FindServiceByName(f"vitalog.v1.{service}").FindMethodByName(name)
        many_in, many_out = described.client_streaming, described.server_streaming
        kinds = {
            (False, False): self.channel.unary_unary,
            (False, True): self.channel.unary_stream,
            (True, True): self.channel.stream_stream,
        }
        answer = message_factory.GetMessageClass(described.output_type)
        call = kinds[many_in, many_out](
            f"/vitalog.v1.{service}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return lambda request, **options: call(
            request, **{"metadata": self.metadata, "timeout": 60, **options}
        )

    def event(self, event_id, **fields):
        """An event, its time given as a datetime."""
        time = fields.pop("event_time", None)
        event = self.message("Event", event_id=event_id, **fields)
        if time is not None:
            event.event_time.FromDatetime(time)
        return event

    def append(self, *events, **fields):
        """Appends a batch; the answer."""
        batch = self.message("EventBatch", events=events)
        return self.method("EventService/Append")(
            self.message("AppendRequest", events=batch, **fields)
        )

    def query(self, sql, parameters=(), **fields):
        """The whole answer of a statement as an Arrow table, and its statistics."""
        request = self.message("QueryRequest", sql=sql, parameters=parameters, **fields)
        arrow, statistics = b"", None
        for answer in self.method("QueryService/Query")(request):
            arrow += answer.arrow_ipc
            if answer.HasField("statistics"):
                statistics = answer.statistics
        if statistics is None:
            raise AssertionError("the answer ended without statistics")
        return pa.ipc.open_stream(arrow).read_all(), statistics

    def table(self, sql):
        """The answer of a statement."""
        return self.query(sql)[0]

    def value(self, **kind):
        """A parameter."""
        return self.message("Value", **kind)

