package peers;

import java.util.Map;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;

/** A server of Dubbo. */
public final class DubboServer {
    private DubboServer() {}

    public static void main(String[] args) throws Exception {
        int port = Server.freePort();
        ProtocolConfig protocol = new ProtocolConfig("dubbo", port);
        protocol.setHost("127.0.0.1");
        protocol.setThreads(100);
        protocol.setQueues(20_000);
        protocol.setParameters(Map.of("heartbeat", "1000", "heartbeat.timeout", "60000"));
        DubboBootstrap dubbo = DubboBootstrap.getInstance().application(application("server")).protocol(protocol)
                .registry(new RegistryConfig(RegistryConfig.NO_AVAILABLE));
        for (String name : Server.NAMES) {
            ServiceConfig<Demo> service = new ServiceConfig<>();
            service.setInterface(Demo.class);
            service.setGroup(name);
            service.setVersion("1.0");
            service.setRef(new Server.Service(name));
            dubbo.service(service);
        }
        dubbo.start();
        Server.serve(port);
    }

    static ApplicationConfig application(String name) {
        ApplicationConfig app = new ApplicationConfig("peers-" + name);
        app.setQosEnable(false);
        app.setRegisterConsumer(false);
        return app;
    }
}
