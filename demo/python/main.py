"""What any gRPC client can do with the runtime, with code that protoc made from spec/proto.

README.md has the commands. Nothing here is known to Ottavo only: the messages are those of Layotto's API.
"""

import argparse

import grpc
from google.protobuf import any_pb2
from spec.proto.runtime.v1 import runtime_pb2 as pb
from spec.proto.runtime.v1 import runtime_pb2_grpc

TIMEOUT = 10  # seconds; without one, a call may wait for ever


def say_hello(runtime):
    answer = runtime.SayHello(pb.SayHelloRequest(service_name="helloworld", name="eva"), timeout=TIMEOUT)
    print("SayHello:     ", answer.hello)


def state(runtime, store):
    def save(value, **conditions):
        item = pb.StateItem(key="python-1", value=value, **conditions)
        runtime.SaveState(pb.SaveStateRequest(store_name=store, states=[item]), timeout=TIMEOUT)

    save(b"3 apples")
    read = runtime.GetState(pb.GetStateRequest(store_name=store, key="python-1"), timeout=TIMEOUT)
    print("GetState:     ", read.data.decode())

    old = pb.Etag(value=read.etag)
    save(b"4 apples", etag=old)
    try:
        save(b"2 apples", etag=old)
        raise SystemExit("a write with an old etag was carried out")
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.ABORTED:
            raise
        print("SaveState:     refused with an old etag:", error.code().name)
    runtime.DeleteState(pb.DeleteStateRequest(store_name=store, key="python-1"), timeout=TIMEOUT)


def invoke(runtime):
    request = pb.InvokeServiceRequest(
        id="HelloService:1.0",
        message=pb.CommonInvokeRequest(
            method="/hello",
            content_type="application/json",
            data=any_pb2.Any(value=b'{"name": "eva"}'),
            http_extension=pb.HTTPExtension(verb=pb.HTTPExtension.POST),
        ),
    )
    # The metadata become headers of the HTTP request, and the answer's headers metadata.
    answer, call = runtime.InvokeService.with_call(request, timeout=TIMEOUT, metadata=[("x-token", "t-1")])
    token = dict(call.initial_metadata())["x-token"]
    print("InvokeService:", answer.data.value.decode(), f"({answer.content_type}, X-Token: {token})")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="127.0.0.1:34904", help="where the runtime's API listens")
    parser.add_argument("--store", default="state_demo", help="name of the state store in the runtime's configuration")
    arguments = parser.parse_args()
    with grpc.insecure_channel(arguments.address) as channel:
        runtime = runtime_pb2_grpc.RuntimeStub(channel)
        say_hello(runtime)
        state(runtime, arguments.store)
        invoke(runtime)


if __name__ == "__main__":
    main()
