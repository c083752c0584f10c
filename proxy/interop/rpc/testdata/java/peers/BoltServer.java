package peers;

import com.alipay.sofa.rpc.config.ProviderConfig;
import com.alipay.sofa.rpc.config.ServerConfig;

/** A server of SOFA RPC, over Bolt. */
public final class BoltServer {
    private BoltServer() {}

    public static void main(String[] args) throws Exception {
        int port = Server.freePort();
        ServerConfig server = new ServerConfig()
                .setProtocol("bolt")
                .setHost("127.0.0.1")
                .setPort(port)
                .setCoreThreads(100)
                .setMaxThreads(100)
                .setQueues(20_000);
        for (String name : Server.NAMES) {
            new ProviderConfig<Demo>()
                    .setInterfaceId(Demo.class.getName())
                    .setUniqueId(name)
                    .setRef(new Server.Service(name))
                    .setServer(server)
                    .setRegister(false)
                    .export();
        }
        Server.serve(port);
    }
}
