"""A client of the data API made from the proto alone: grpcio and protobuf, and no line of Switchyard's.

usage: client.py DESCRIPTORS HOST:PORT      (DESCRIPTORS: a FileDescriptorSet, as "buf build" writes it)

Calls what a service would call and prints one line for each; the test compares them.
"""

import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

descriptors, address = sys.argv[1:]
files = descriptor_pb2.FileDescriptorSet()
with open(descriptors, "rb") as opened:
    files.ParseFromString(opened.read())
pool = descriptor_pool.DescriptorPool()
for file in files.file:
    pool.Add(file)
factory = message_factory.MessageFactory(pool)
service = pool.FindServiceByName("switchyard.data.v1.DataService")
channel = grpc.insecure_channel(address)


def message(name):
    return factory.GetPrototype(pool.FindMessageTypeByName(name))


def method(name):
    found = service.methods_by_name[name]
    answer = factory.GetPrototype(found.output_type)
    streams = {"StreamQuery": channel.unary_stream, "Watch": channel.unary_stream, "Transact": channel.stream_stream}
    return streams.get(name, channel.unary_unary)(
        f"/{service.full_name}/{name}",
        request_serializer=lambda request: request.SerializeToString(),
        response_deserializer=answer.FromString,
    )


data = "switchyard.data.v1."
Value, Row = message(data + "Value"), message(data + "Row")


def row(**cells):
    return Row(cells=cells)


def integer(value):
    return Value(int64_value=value)


def text(value):
    return Value(text_value=value)


def key(value):
    return row(id=integer(value))


insert, get, update, aggregate = method("Insert"), method("Get"), method("Update"), method("Aggregate")
InsertRequest, GetRequest, UpdateRequest = (message(data + name + "Request") for name in ("Insert", "Get", "Update"))

big = 2**62 + 1
for number in (1, 2, big):
    insert(InsertRequest(table="item", row=row(id=integer(number), name=text(f"item {number}"), price=Value(decimal_value="0.10"))), timeout=5)
found = get(GetRequest(table="item", key=key(big)), timeout=5).row.cells
print("get", found["id"].int64_value == big, found["name"].text_value, found["price"].decimal_value)

request = UpdateRequest(table="item", key=key(1), add=row(price=Value(decimal_value="1.00")), returning=["price"], request_id="python-1")
answers = [update(request, timeout=5, metadata=[("switchyard-caller", "python")]).row.cells["price"].decimal_value for _ in range(2)]
print("once", *answers)

streamed = method("StreamQuery")(message(data + "StreamQueryRequest")(table="item", columns=["id"]), timeout=5)
print("stream", *[len(piece.rows) for piece in streamed])

Aggregation = message(data + "Aggregation")
groups = aggregate(message(data + "AggregateRequest")(table="item", aggregations=[Aggregation(count={}), Aggregation(sum="price")]), timeout=5).groups
print("aggregate", groups[0].values[0].int64_value, groups[0].values[1].decimal_value)

TransactRequest = message(data + "TransactRequest")
steps = [
    TransactRequest(begin={}),
    TransactRequest(get=GetRequest(table="item", key=key(2)), lock=2),
    TransactRequest(update=UpdateRequest(table="item", key=key(2), row=row(name=text("changed")))),
    TransactRequest(commit={}),
]
kinds = [answer.WhichOneof("kind") for answer in method("Transact")(iter(steps), timeout=5)]
print("transact", *kinds, get(GetRequest(table="item", key=key(2), columns=["name"]), timeout=5).row.cells["name"].text_value)

try:
    insert(InsertRequest(table="item", row=row(id=integer(1), name=text("again"), price=Value(decimal_value="1"))), timeout=5)
except grpc.RpcError as error:
    status = message("google.rpc.Status").FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    info = message("google.rpc.ErrorInfo").FromString(status.details[0].value)
    print("error", error.code().name, info.reason, info.domain, info.metadata["table"], info.metadata["columns"])
