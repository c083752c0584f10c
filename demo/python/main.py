"""What any gRPC client can do with the runtime, with code that protoc made from spec/proto.

README.md has the commands. Nothing here is known to Ottavo only: the messages are those of Layotto's API.
"""

import argparse
import queue

import grpc
from google.protobuf import any_pb2
from spec.proto.runtime.v1 import appcallback_pb2
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


def lock(runtime):
    def try_lock(owner):
        return runtime.TryLock(
            pb.TryLockRequest(store_name="lock_demo", resource_id="order-1", lock_owner=owner, expire=10), timeout=TIMEOUT
        ).success

    print("TryLock:      ", try_lock("worker-1"), try_lock("worker-2"))
    runtime.LockKeepAlive(
        pb.LockKeepAliveRequest(store_name="lock_demo", resource_id="order-1", lock_owner="worker-1", expire=10), timeout=TIMEOUT
    )
    answer = runtime.Unlock(
        pb.UnlockRequest(store_name="lock_demo", resource_id="order-1", lock_owner="worker-1"), timeout=TIMEOUT
    )
    print("Unlock:       ", pb.UnlockResponse.Status.Name(answer.status))


def sequencer(runtime):
    def next_id():
        options = pb.SequencerOptions(increment=pb.SequencerOptions.STRONG)
        return runtime.GetNextId(
            pb.GetNextIdRequest(store_name="sequencer_demo", key="python", options=options), timeout=TIMEOUT
        ).next_id

    first, second = next_id(), next_id()
    print("GetNextId:     greater than the one before:", second > first)


def events(runtime):
    """Publishes an event, and gets it over a stream: a request first, then an answer for each event."""
    requests = queue.Queue()
    initial = pb.SubscribeTopicEventsRequestInitial(pubsub_name="pub_subs_demo", topic="python")
    requests.put(pb.SubscribeTopicEventsRequest(initial_request=initial))
    stream = runtime.SubscribeTopicEvents(iter(requests.get, None), timeout=TIMEOUT)
    next(stream)  # it stands
    runtime.PublishEvent(
        pb.PublishEventRequest(pubsub_name="pub_subs_demo", topic="python", data=b"3 apples"), timeout=TIMEOUT
    )
    event = next(stream).event_message
    done = pb.SubscribeTopicEventsRequestProcessed(
        id=event.id, status=appcallback_pb2.TopicEventResponse(status=appcallback_pb2.TopicEventResponse.SUCCESS)
    )
    requests.put(pb.SubscribeTopicEventsRequest(event_processed=done))
    requests.put(None)  # ends our side; the runtime ends its own
    for _ in stream:
        pass
    print("PublishEvent: ", event.topic, "got", event.data.decode())


def file(runtime):
    def pieces():
        yield pb.PutFileRequest(store_name="file_demo", name="python/notes.txt", data=b"buy ")
        yield pb.PutFileRequest(data=b"apples")

    runtime.PutFile(pieces(), timeout=TIMEOUT)
    stream = runtime.GetFile(pb.GetFileRequest(store_name="file_demo", name="python/notes.txt"), timeout=TIMEOUT)
    print("GetFile:      ", b"".join(piece.data for piece in stream).decode())
    request = pb.FileRequest(store_name="file_demo", name="python/notes.txt")
    runtime.DelFile(pb.DelFileRequest(request=request), timeout=TIMEOUT)
    try:
        runtime.GetFileMeta(pb.GetFileMetaRequest(request=request), timeout=TIMEOUT)
        raise SystemExit("a file that was deleted is there")
    except grpc.RpcError as error:
        print("GetFileMeta:  ", error.code().name)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="127.0.0.1:34904", help="where the runtime's API listens")
    parser.add_argument("--store", default="state_demo", help="name of the state store in the runtime's configuration")
    arguments = parser.parse_args()
    with grpc.insecure_channel(arguments.address) as channel:
        runtime = runtime_pb2_grpc.RuntimeStub(channel)
        say_hello(runtime)
        state(runtime, arguments.store)
        lock(runtime)
        sequencer(runtime)
        events(runtime)
        file(runtime)
        invoke(runtime)


if __name__ == "__main__":
    main()
