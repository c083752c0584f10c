import io.camunda.zeebe.process.test.engine.EngineFactory;

/** Zeebe in memory, with its gateway on the port that is its only argument. */
public class Main {
    public static void main(String[] args) throws Exception {
        EngineFactory.create(Integer.parseInt(args[0])).start();
        Thread.currentThread().join();
    }
}
