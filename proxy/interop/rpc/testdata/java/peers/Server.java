package peers;

import java.net.ServerSocket;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;

/** What the servers have in common. */
final class Server {
    /** The names that each server has the service under. */
    static final String[] NAMES = {"a", "b", "hasty"};

    private Server() {}

    static final class Service implements Demo {
        private final String name;
        private final Map<String, AtomicInteger> waiting = new ConcurrentHashMap<>();
        private final Map<String, AtomicInteger> notes = new ConcurrentHashMap<>();

        Service(String name) {
            this.name = name;
        }

        private static AtomicInteger of(Map<String, AtomicInteger> counts, String caller) {
            return counts.computeIfAbsent(caller, c -> new AtomicInteger());
        }

        @Override
        public String who() {
            return name;
        }

        @Override
        public String echo(String text) {
            return text;
        }

        @Override
        public Order change(Order order) {
            order.id++;
            order.items.add("größer");
            return order;
        }

        @Override
        public void fail(String text) throws Trouble {
            throw new Trouble(text);
        }

        @Override
        public String slow(String caller, int millis, String text) {
            of(waiting, caller).incrementAndGet();
            try {
                Thread.sleep(millis);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            } finally {
                of(waiting, caller).decrementAndGet();
            }
            return text;
        }

        @Override
        public int waiting(String caller) {
            return of(waiting, caller).get();
        }

        @Override
        public void note(String caller) {
            of(notes, caller).incrementAndGet();
        }

        @Override
        public int notes(String caller) {
            return of(notes, caller).get();
        }
    }

    /** Prints the port, and ends the program when its standard input ends. */
    static void serve(int port) throws Exception {
        System.out.println(port);
        while (System.in.read() >= 0) {}
        Runtime.getRuntime().halt(0);
    }

    /** Returns a port that was free just now. */
    static int freePort() throws Exception {
        try (ServerSocket s = new ServerSocket(0)) {
            return s.getLocalPort();
        }
    }
}
