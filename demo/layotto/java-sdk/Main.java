import io.mosn.layotto.v1.RuntimeClientBuilder;
import io.mosn.layotto.v1.RuntimeServerGrpc;
import io.mosn.layotto.v1.callback.component.pubsub.Subscriber;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import spec.sdk.runtime.v1.client.RuntimeClient;
import spec.sdk.runtime.v1.domain.file.DelFileRequest;
import spec.sdk.runtime.v1.domain.file.GetFileRequest;
import spec.sdk.runtime.v1.domain.file.GetMetaRequest;
import spec.sdk.runtime.v1.domain.file.ListFileRequest;
import spec.sdk.runtime.v1.domain.file.PutFileRequest;
import spec.sdk.runtime.v1.domain.pubsub.TopicEventRequest;
import spec.sdk.runtime.v1.domain.pubsub.TopicEventResponse;
import spec.sdk.runtime.v1.domain.pubsub.TopicEventResponseStatus;
import spec.sdk.runtime.v1.domain.pubsub.TopicSubscription;
import spec.sdk.runtime.v1.domain.state.State;

/** A program for Layotto, with Layotto's own client as its users have it from Maven. Nothing in it is for this runtime. */
public final class Main {
  private static final int TIMEOUT = 10_000; // milliseconds

  public static void main(String[] args) throws Exception {
    int port = args.length > 0 ? Integer.parseInt(args[0]) : 34904;
    int callbackPort = args.length > 1 ? Integer.parseInt(args[1]) : 9999;
    RuntimeClient client = new RuntimeClientBuilder().withPort(port).withTimeout(TIMEOUT).build();
    System.out.println("hello: " + client.sayHello("helloworld"));
    state(client);
    invoke(client);
    file(client);
    events(client, callbackPort);
    client.shutdown();
    System.exit(0); // the server has threads that it does not end
  }

  private static void state(RuntimeClient client) {
    client.saveState("state_demo", "java-1", "3 apples");
    System.out.println("state: " + client.getState("state_demo", "java-1", String.class).getValue());
    client.saveState("state_demo", "java-2", "1 pear");
    int found = 0;
    for (State<String> state : client.getBulkState("state_demo", Arrays.asList("java-1", "java-2", "java-3"), String.class)) {
      found += state.getValue() == null ? 0 : 1;
    }
    System.out.println("state in bulk: " + found);
    client.deleteState("state_demo", "java-1");
    client.deleteState("state_demo", "java-2");
    System.out.println("state after delete: " + client.getState("state_demo", "java-1", String.class).getValue());
  }

  private static void invoke(RuntimeClient client) {
    Map<String, String> header = new HashMap<>();
    byte[] answer = client.invokeMethod("HelloService:1.0", "/hello", bytes("{\"name\":\"java\"}"), header).getData();
    System.out.println("invoke: " + new String(answer, StandardCharsets.UTF_8));
  }

  private static void file(RuntimeClient client) throws Exception {
    PutFileRequest put = new PutFileRequest();
    put.setStoreName("file_demo");
    put.setFileName("java/notes.txt");
    put.setMetaData(new HashMap<>());
    put.setIn(new ByteArrayInputStream(bytes("buy apples")));
    client.putFile(put, TIMEOUT);

    GetFileRequest get = new GetFileRequest();
    get.setStoreName("file_demo");
    get.setFileName("java/notes.txt");
    get.setMetaData(new HashMap<>());
    System.out.println("file: " + new String(client.getFile(get, TIMEOUT).getIn().readAllBytes(), StandardCharsets.UTF_8));

    GetMetaRequest meta = new GetMetaRequest();
    meta.setStoreName("file_demo");
    meta.setFileName("java/notes.txt");
    meta.setMetaData(new HashMap<>());
    System.out.println("file's size: " + client.getFileMeta(meta, TIMEOUT).getSize());

    ListFileRequest list = new ListFileRequest();
    list.setStoreName("file_demo");
    list.setName("java");
    list.setMarker("");
    list.setMetaData(new HashMap<>());
    System.out.println("files: " + client.listFile(list, TIMEOUT).getFiles().length);

    DelFileRequest delete = new DelFileRequest();
    delete.setStoreName("file_demo");
    delete.setFileName("java/notes.txt");
    delete.setMetaData(new HashMap<>());
    client.delFile(delete, TIMEOUT);
  }

  private static void events(RuntimeClient client, int callbackPort) throws Exception {
    CompletableFuture<String> received = new CompletableFuture<>();
    RuntimeServerGrpc server = new RuntimeServerGrpc(callbackPort);
    server.registerPubSubCallback("pub_subs_demo", new Subscriber() {
      @Override
      public String getComponentName() {
        return "pub_subs_demo";
      }

      @Override
      public Set<TopicSubscription> listTopicSubscriptions() {
        TopicSubscription subscription = new TopicSubscription();
        subscription.setPubsubName("pub_subs_demo");
        subscription.setTopic("java");
        subscription.setMetadata(new HashMap<>());
        return Collections.singleton(subscription);
      }

      @Override
      public TopicEventResponse onTopicEvent(TopicEventRequest event) {
        received.complete(event.getTopic() + " got " + new String(event.getData(), StandardCharsets.UTF_8));
        TopicEventResponse response = new TopicEventResponse();
        response.setStatus(TopicEventResponseStatus.SUCCESS);
        return response;
      }
    });
    server.start();
    // The runtime looks for the application from time to time.
    for (int i = 0; i < 200 && !received.isDone(); i++) {
      client.publishEvent("pub_subs_demo", "java", bytes("{\"apples\":3}"), "application/json", new HashMap<>());
      TimeUnit.MILLISECONDS.sleep(100);
    }
    System.out.println("event: " + received.get(1, TimeUnit.SECONDS));
    server.stop();
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
