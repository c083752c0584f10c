import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import java.util.Iterator;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import spec.proto.runtime.v1.AppCallbackProto.TopicEventRequest;
import spec.proto.runtime.v1.AppCallbackProto.TopicEventResponse;
import spec.proto.runtime.v1.RuntimeGrpc;
import spec.proto.runtime.v1.RuntimeProto.*;

/** What any gRPC client can do with the runtime, with code that protoc made from spec/proto. README.md has the commands. */
public final class Main {
  private static final long TIMEOUT = 10; // seconds; without one, a call may wait for ever

  private final ManagedChannel channel;

  private Main(ManagedChannel channel) {
    this.channel = channel;
  }

  /** A client for one call, or for calls that follow at once: its deadline begins now. */
  private RuntimeGrpc.RuntimeBlockingStub runtime() {
    return RuntimeGrpc.newBlockingStub(channel).withDeadlineAfter(TIMEOUT, TimeUnit.SECONDS);
  }

  private RuntimeGrpc.RuntimeStub streams() {
    return RuntimeGrpc.newStub(channel).withDeadlineAfter(TIMEOUT, TimeUnit.SECONDS);
  }

  private static String codeOf(Runnable call) {
    try {
      call.run();
      return "OK";
    } catch (StatusRuntimeException e) {
      return e.getStatus().getCode().toString();
    }
  }

  private void hello() {
    SayHelloRequest request = SayHelloRequest.newBuilder().setServiceName("helloworld").setName("eva").build();
    System.out.println("SayHello:      " + runtime().sayHello(request).getHello());
  }

  private void save(String value, String etag) {
    StateItem.Builder item = StateItem.newBuilder().setKey("java-1").setValue(ByteString.copyFromUtf8(value));
    if (!etag.isEmpty()) {
      item.setEtag(Etag.newBuilder().setValue(etag));
    }
    runtime().saveState(SaveStateRequest.newBuilder().setStoreName("state_demo").addStates(item).build());
  }

  private void state() {
    save("3 apples", "");
    GetStateResponse read = runtime().getState(GetStateRequest.newBuilder().setStoreName("state_demo").setKey("java-1").build());
    System.out.println("GetState:      " + read.getData().toStringUtf8());
    save("4 apples", read.getEtag());
    System.out.println("SaveState:     with an old etag: " + codeOf(() -> save("2 apples", read.getEtag())));
    runtime().deleteState(DeleteStateRequest.newBuilder().setStoreName("state_demo").setKey("java-1").build());
  }

  private boolean tryLock(String owner) {
    return runtime().tryLock(TryLockRequest.newBuilder()
        .setStoreName("lock_demo").setResourceId("java").setLockOwner(owner).setExpire(10).build()).getSuccess();
  }

  private void lock() {
    System.out.println("TryLock:       " + tryLock("worker-1") + " " + tryLock("worker-2"));
    System.out.println("Unlock:        " + runtime().unlock(UnlockRequest.newBuilder()
        .setStoreName("lock_demo").setResourceId("java").setLockOwner("worker-1").build()).getStatus());
  }

  private long nextId() {
    return runtime().getNextId(GetNextIdRequest.newBuilder().setStoreName("sequencer_demo").setKey("java")
        .setOptions(SequencerOptions.newBuilder().setIncrement(SequencerOptions.AutoIncrement.STRONG)).build()).getNextId();
  }

  private void sequencer() {
    long first = nextId();
    System.out.println("GetNextId:     greater than the one before: " + (nextId() > first));
  }

  /** Publishes an event, and gets it over a stream. */
  private void events() throws Exception {
    CompletableFuture<Void> stands = new CompletableFuture<>();
    CompletableFuture<TopicEventRequest> event = new CompletableFuture<>();
    CompletableFuture<Void> ended = new CompletableFuture<>();
    StreamObserver<SubscribeTopicEventsRequest> stream = streams().subscribeTopicEvents(new Receiver<SubscribeTopicEventsResponse>(ended) {
      @Override
      public void onNext(SubscribeTopicEventsResponse message) {
        if (message.hasInitialResponse()) {
          stands.complete(null);
        } else {
          event.complete(message.getEventMessage());
        }
      }
    });
    stream.onNext(SubscribeTopicEventsRequest.newBuilder().setInitialRequest(
        SubscribeTopicEventsRequestInitial.newBuilder().setPubsubName("pub_subs_demo").setTopic("java")).build());
    stands.get(TIMEOUT, TimeUnit.SECONDS);
    runtime().publishEvent(PublishEventRequest.newBuilder()
        .setPubsubName("pub_subs_demo").setTopic("java").setData(ByteString.copyFromUtf8("3 apples")).build());
    TopicEventRequest got = event.get(TIMEOUT, TimeUnit.SECONDS);
    System.out.println("PublishEvent:  " + got.getTopic() + " got " + got.getData().toStringUtf8());
    stream.onNext(SubscribeTopicEventsRequest.newBuilder().setEventProcessed(SubscribeTopicEventsRequestProcessed.newBuilder()
        .setId(got.getId())
        .setStatus(TopicEventResponse.newBuilder().setStatus(TopicEventResponse.TopicEventResponseStatus.SUCCESS))).build());
    stream.onCompleted();
    ended.get(TIMEOUT, TimeUnit.SECONDS);
  }

  private void file() throws Exception {
    CompletableFuture<Void> written = new CompletableFuture<>();
    StreamObserver<PutFileRequest> put = streams().putFile(new Receiver<>(written));
    put.onNext(PutFileRequest.newBuilder()
        .setStoreName("file_demo").setName("java/notes.txt").setData(ByteString.copyFromUtf8("buy ")).build());
    put.onNext(PutFileRequest.newBuilder().setData(ByteString.copyFromUtf8("apples")).build());
    put.onCompleted();
    written.get(TIMEOUT, TimeUnit.SECONDS);

    StringBuilder text = new StringBuilder();
    Iterator<GetFileResponse> pieces = runtime().getFile(
        GetFileRequest.newBuilder().setStoreName("file_demo").setName("java/notes.txt").build());
    while (pieces.hasNext()) {
      text.append(pieces.next().getData().toStringUtf8());
    }
    System.out.println("GetFile:       " + text);
    FileRequest file = FileRequest.newBuilder().setStoreName("file_demo").setName("java/notes.txt").build();
    runtime().delFile(DelFileRequest.newBuilder().setRequest(file).build());
    System.out.println("GetFileMeta:   "
        + codeOf(() -> runtime().getFileMeta(GetFileMetaRequest.newBuilder().setRequest(file).build())));
  }

  private void invoke() {
    InvokeResponse answer = runtime().invokeService(InvokeServiceRequest.newBuilder().setId("HelloService:1.0")
        .setMessage(CommonInvokeRequest.newBuilder().setMethod("/hello").setContentType("application/json")
            .setData(Any.newBuilder().setValue(ByteString.copyFromUtf8("{\"name\": \"eva\"}")))
            .setHttpExtension(HTTPExtension.newBuilder().setVerb(HTTPExtension.Verb.POST))).build());
    System.out.println("InvokeService: " + answer.getData().getValue().toStringUtf8() + " (" + answer.getContentType() + ")");
  }

  /** Tells a future how a stream ends. */
  private static class Receiver<T> implements StreamObserver<T> {
    private final CompletableFuture<Void> ended;

    Receiver(CompletableFuture<Void> ended) {
      this.ended = ended;
    }

    @Override
    public void onNext(T message) {}

    @Override
    public void onError(Throwable error) {
      ended.completeExceptionally(error);
    }

    @Override
    public void onCompleted() {
      ended.complete(null);
    }
  }

  public static void main(String[] args) throws Exception {
    String address = args.length > 0 ? args[0] : "127.0.0.1:34904";
    ManagedChannel channel = ManagedChannelBuilder.forTarget(address).usePlaintext().build();
    try {
      Main main = new Main(channel);
      main.hello();
      main.state();
      main.lock();
      main.sequencer();
      main.events();
      main.file();
      main.invoke();
    } finally {
      channel.shutdownNow().awaitTermination(TIMEOUT, TimeUnit.SECONDS);
    }
  }
}
