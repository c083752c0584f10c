import org.apache.activemq.artemis.core.config.impl.ConfigurationImpl;
import org.apache.activemq.artemis.core.server.embedded.EmbeddedActiveMQ;

/** A broker of AMQP 1.0 in memory that lets everybody in, on the port that is its only argument. */
public class Main {
    public static void main(String[] args) throws Exception {
        var configuration = new ConfigurationImpl()
            .setPersistenceEnabled(false)
            .setSecurityEnabled(false)
            .setJMXManagementEnabled(false)
            .addAcceptorConfiguration("amqp", "tcp://127.0.0.1:" + args[0] + "?protocols=AMQP;multicastPrefix=topic://;anycastPrefix=queue://");
        new EmbeddedActiveMQ().setConfiguration(configuration).start();
    }
}
