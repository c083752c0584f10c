import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;

/** A server of Dubbo that greets, on the port that is its only argument. */
public class Main {
    public interface Greeter {
        String hello(String name);
    }

    public static class Service implements Greeter {
        @Override
        public String hello(String name) {
            return "hello " + name;
        }
    }

    public static void main(String[] args) throws Exception {
        Thread.currentThread().setContextClassLoader(Main.class.getClassLoader()); // which has them in memory
        ApplicationConfig application = new ApplicationConfig("greeter");
        application.setQosEnable(false);
        ProtocolConfig protocol = new ProtocolConfig("dubbo", Integer.parseInt(args[0]));
        protocol.setHost("127.0.0.1");
        ServiceConfig<Greeter> service = new ServiceConfig<>();
        service.setApplication(application);
        service.setRegistry(new RegistryConfig(RegistryConfig.NO_AVAILABLE));
        service.setProtocol(protocol);
        service.setInterface(Greeter.class);
        service.setProxy("jdk"); // javassist does not find classes that were compiled in memory
        service.setRef(new Service());
        service.export();
        Thread.currentThread().join();
    }
}
