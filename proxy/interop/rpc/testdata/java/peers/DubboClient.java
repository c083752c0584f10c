package peers;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.apache.dubbo.config.MethodConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;
import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.RpcException;

/** Calls of Dubbo: DubboClient ADDRESS. */
public final class DubboClient implements Calls.Client {
    private final String address;
    private final Map<String, Demo> services = new HashMap<>();

    private DubboClient(String address) {
        this.address = address;
    }

    public static void main(String[] args) throws Exception {
        DubboBootstrap.getInstance().application(DubboServer.application("client"));
        Calls.run(new DubboClient(args[0]));
        Runtime.getRuntime().halt(0);
    }

    private Demo refer(String name, boolean async, int timeout) {
        return services.computeIfAbsent(name + async + timeout, key -> {
            MethodConfig note = new MethodConfig();
            note.setName("note");
            note.setReturn(false);
            ReferenceConfig<Demo> r = new ReferenceConfig<>();
            r.setInterface(Demo.class);
            r.setGroup(name);
            r.setVersion("1.0");
            // Dubbo puts the machine's address in the place of 127.0.0.1, but not of its number.
            r.setUrl("dubbo://" + address.replace("127.0.0.1", "2130706433"));
            r.setMethods(List.of(note));
            r.setRetries(0);
            r.setAsync(async);
            r.setTimeout(timeout);
            r.setCheck(false);
            r.setParameters(Map.of("heartbeat", "1000", "heartbeat.timeout", "60000"));
            return r.get();
        });
    }

    @Override
    public Demo service(String name) {
        return refer(name, false, 60_000);
    }

    @Override
    public void impatient(String name, int millis) {
        refer(name, false, 300).slow(Calls.ME, millis, "late");
    }

    @Override
    public String told(Throwable e) {
        return e.getClass().getSimpleName() + " " + ((RpcException) e).getCode();
    }

    @Override
    public CompletableFuture<String> later(String name, int millis, String text) {
        refer(name, true, 60_000).slow(Calls.ME, millis, text);
        return RpcContext.getServiceContext().getCompletableFuture();
    }
}
