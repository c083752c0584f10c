package peers;

import com.alipay.remoting.InvokeCallback;
import com.alipay.remoting.InvokeContext;
import com.alipay.remoting.rpc.RpcClient;
import com.alipay.sofa.rpc.config.ConsumerConfig;
import com.alipay.sofa.rpc.config.MethodConfig;
import com.alipay.sofa.rpc.context.RpcInvokeContext;
import com.alipay.sofa.rpc.core.exception.SofaRpcException;
import com.alipay.sofa.rpc.core.invoke.SofaResponseCallback;
import com.alipay.sofa.rpc.core.request.RequestBase;
import com.alipay.sofa.rpc.core.request.SofaRequest;
import com.alipay.sofa.rpc.core.response.SofaResponse;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Calls of SOFA RPC, which speaks version 1 of Bolt, and of SOFA Bolt alone, which
 * speaks version 2 with checksums: BoltClient ADDRESS VERSION.
 */
public final class BoltClient {
    private BoltClient() {}

    public static void main(String[] args) throws Exception {
        SofaRpc rpc = new SofaRpc(args[0]);
        Calls.run(args[1].equals("1") ? rpc : new SofaBolt(args[0], rpc));
        Runtime.getRuntime().halt(0);
    }

    private static final Pattern STATUS = Pattern.compile("(?:invocation exception: |responseCommand )([A-Z_]+)");

    /** Returns the exception with the status of the frame, which only its text has. */
    static String told(Throwable e) {
        Matcher status = STATUS.matcher(String.valueOf(e.getMessage()));
        return e.getClass().getSimpleName() + (status.find() ? " " + status.group(1) : "");
    }

    private static final class SofaRpc implements Calls.Client {
        private final String address;
        private final Map<String, Demo> services = new HashMap<>();

        SofaRpc(String address) {
            this.address = address;
        }

        private Demo refer(String name, String slowly, int timeout) {
            return services.computeIfAbsent(name + slowly + timeout, key -> {
                MethodConfig note = new MethodConfig();
                note.setName("note");
                note.setInvokeType("oneway");
                MethodConfig slow = new MethodConfig();
                slow.setName("slow");
                slow.setInvokeType(slowly);
                slow.setTimeout(timeout);
                return new ConsumerConfig<Demo>()
                        .setInterfaceId(Demo.class.getName())
                        .setUniqueId(name)
                        .setDirectUrl("bolt://" + address)
                        .setMethods(List.of(note, slow))
                        .setRegister(false)
                        .setRepeatedReferLimit(-1)
                        .setTimeout(timeout)
                        .refer();
            });
        }

        @Override
        public Demo service(String name) {
            return refer(name, "sync", 60_000);
        }

        @Override
        public void impatient(String name, int millis) {
            refer(name, "sync", 300).slow(Calls.ME, millis, "late");
        }

        @Override
        public String told(Throwable e) {
            return BoltClient.told(e);
        }

        @Override
        public CompletableFuture<String> later(String name, int millis, String text) {
            CompletableFuture<String> done = new CompletableFuture<>();
            RpcInvokeContext.getContext().setResponseCallback(new SofaResponseCallback<String>() {
                @Override
                public void onAppResponse(Object answer, String method, RequestBase request) {
                    done.complete((String) answer);
                }

                @Override
                public void onAppException(Throwable e, String method, RequestBase request) {
                    done.completeExceptionally(e);
                }

                @Override
                public void onSofaException(SofaRpcException e, String method, RequestBase request) {
                    done.completeExceptionally(e);
                }
            });
            refer(name, "callback", 60_000).slow(Calls.ME, millis, text);
            return done;
        }
    }

    /** Frames of version 2, with checksums. */
    private static final class SofaBolt implements Calls.Client {
        private final String address;
        private final RpcClient client = new RpcClient();

        /** SOFA RPC has what makes bytes of its requests, which is there once it has made a call. */
        SofaBolt(String address, SofaRpc rpc) {
            this.address = address + "?_PROTOCOL=2&_VERSION=2";
            rpc.service("a").who();
            client.startup();
        }

        private SofaRequest request(String name, Method method, Object[] args) {
            SofaRequest r = new SofaRequest();
            r.setInterfaceName(Demo.class.getName());
            r.setTargetServiceUniqueName(Demo.class.getName() + ":1.0:" + name);
            r.setMethod(method);
            r.setMethodName(method.getName());
            Class<?>[] types = method.getParameterTypes();
            String[] names = new String[types.length];
            for (int i = 0; i < types.length; i++) {
                names[i] = types[i].getName();
            }
            r.setMethodArgSigs(names);
            r.setMethodArgs(args == null ? new Object[0] : args);
            r.setSerializeType((byte) 1);
            r.setInvokeType(method.getName().equals("note") ? "oneway" : "sync");
            return r;
        }

        private static InvokeContext context() {
            InvokeContext c = new InvokeContext();
            c.put(InvokeContext.BOLT_CUSTOM_SERIALIZER, (byte) 1);
            c.put(InvokeContext.BOLT_CRC_SWITCH, true);
            return c;
        }

        private static Object result(Object answer) throws Throwable {
            SofaResponse r = (SofaResponse) answer;
            if (r.isError()) {
                throw new IllegalStateException(r.getErrorMsg());
            }
            if (r.getAppResponse() instanceof Throwable e) {
                throw e;
            }
            return r.getAppResponse();
        }

        private Demo refer(String name, int timeout) {
            return (Demo) Proxy.newProxyInstance(Demo.class.getClassLoader(), new Class<?>[] {Demo.class}, (self, method, args) -> {
                SofaRequest r = request(name, method, args);
                if (method.getName().equals("note")) {
                    client.oneway(address, r, context());
                    return null;
                }
                return result(client.invokeSync(address, r, context(), timeout));
            });
        }

        @Override
        public Demo service(String name) {
            return refer(name, 60_000);
        }

        @Override
        public void impatient(String name, int millis) {
            refer(name, 300).slow(Calls.ME, millis, "late");
        }

        @Override
        public String told(Throwable e) {
            return BoltClient.told(e);
        }

        @Override
        public CompletableFuture<String> later(String name, int millis, String text) {
            CompletableFuture<String> done = new CompletableFuture<>();
            try {
                SofaRequest r = request(name, Demo.class.getMethod("slow", String.class, int.class, String.class), new Object[] {Calls.ME, millis, text});
                client.invokeWithCallback(address, r, context(), new InvokeCallback() {
                    @Override
                    public void onResponse(Object answer) {
                        try {
                            done.complete((String) result(answer));
                        } catch (Throwable e) {
                            done.completeExceptionally(e);
                        }
                    }

                    @Override
                    public void onException(Throwable e) {
                        done.completeExceptionally(e);
                    }

                    @Override
                    public Executor getExecutor() {
                        return null;
                    }
                }, 60_000);
            } catch (Exception e) {
                done.completeExceptionally(e);
            }
            return done;
        }
    }
}
