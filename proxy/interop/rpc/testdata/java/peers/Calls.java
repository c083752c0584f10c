package peers;

import java.lang.reflect.UndeclaredThrowableException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/**
 * The calls that the clients do, and print the outcomes of. On the lines "idle",
 * "awake" and "cut", the test that reads them does something.
 */
final class Calls {
    /** What a client can do. */
    interface Client {
        /** Returns a service by its name, whose note is one-way. */
        Demo service(String name);

        /** Calls slow without waiting for it. A call may take 20 seconds. */
        CompletableFuture<String> later(String name, int millis, String text);

        /** Calls slow, and does not wait longer than 300 milliseconds. */
        void impatient(String name, int millis) throws Exception;

        /** Returns what a failure is, in the framework's terms. */
        String told(Throwable e);
    }

    /** What this program is told apart by from others that call the same server. */
    static final String ME = "caller " + ProcessHandle.current().pid();

    private Calls() {}

    static void say(String text) {
        System.out.println(text);
    }

    /** Says what became of a call, and whether that took between two times. */
    private static void outcome(Client client, String what, int from, int to, Callable<?> call) throws Exception {
        long start = System.nanoTime();
        String text;
        try {
            text = String.valueOf(call.call());
        } catch (Exception ex) {
            Throwable e = ex instanceof UndeclaredThrowableException ? ex.getCause() : ex;
            System.err.println(what + ": " + e);
            text = e instanceof Trouble ? "Trouble " + e.getMessage() : client.told(e);
        }
        long took = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
        say(what + ": " + text + (took < from || took > to ? " after " + took + " ms" : ""));
    }

    /** Asks until the answer is yes. */
    private static boolean until(BooleanSupplier good) throws Exception {
        for (long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60); System.nanoTime() < end; Thread.sleep(20)) {
            if (good.getAsBoolean()) {
                return true;
            }
        }
        return false;
    }

    private static int right(List<CompletableFuture<String>> calls) throws Exception {
        int right = 0;
        for (int i = 0; i < calls.size(); i++) {
            try {
                if (calls.get(i).get(60, TimeUnit.SECONDS).equals(String.valueOf(i))) {
                    right++;
                }
            } catch (Exception e) {
                System.err.println("call " + i + ": " + e);
            }
        }
        return right;
    }

    static void run(Client client) throws Exception {
        Demo a = client.service("a");
        Demo b = client.service("b");
        say("who: " + a.who() + " " + b.who());
        say("echo: " + a.echo("größer 网商"));
        Order order = new Order();
        order.id = 7;
        order.total = 12.5;
        order.items.add("tea");
        say("object: " + a.change(order));
        String big = "x".repeat(300_000);
        say("big: " + b.echo(big).equals(big));
        outcome(client, "an exception of its own", 0, 15_000, () -> {
            a.fail("no money");
            return "none";
        });
        outcome(client, "nobody serves it", 0, 15_000, () -> client.service("nowhere").who());
        outcome(client, "host is gone", 0, 15_000, () -> client.service("gone").who());
        outcome(client, "too slow for the route", 250, 7500, () -> client.service("hasty").slow(ME, 8000, "late"));
        outcome(client, "too slow for the caller", 250, 7500, () -> {
            client.impatient("a", 8000);
            return "in time";
        });
        say("after all that: " + a.who());

        int before = b.notes(ME);
        for (int i = 0; i < 50; i++) {
            b.note(ME);
        }
        say("behind them: " + b.who());
        say("one-way: " + until(() -> b.notes(ME) == before + 50));

        say("idle");
        Thread.sleep(5000);
        say("awake");
        say("afterwards: " + a.who() + " " + b.who());

        // All at a time, to two hosts, and one in ten is slow.
        List<CompletableFuture<String>> many = new ArrayList<>();
        for (int i = 0; i < 10_000; i++) {
            many.add(client.later(i % 3 == 0 ? "b" : "a", i % 10 == 0 ? 20 : 0, String.valueOf(i)));
        }
        say("many: " + right(many));

        // The connection to one host breaks off.
        if (!until(() -> a.waiting(ME) == 0)) {
            say("calls are under way that should be over");
        }
        List<CompletableFuture<String>> lost = new ArrayList<>();
        List<CompletableFuture<String>> others = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            lost.add(client.later("a", 8000, String.valueOf(i)));
            others.add(client.later("b", 1000, String.valueOf(i)));
        }
        say("under way: " + until(() -> a.waiting(ME) == 20));
        long start = System.nanoTime();
        say("cut");
        say("not broken off: " + right(lost));
        say("at once: " + (System.nanoTime() - start < TimeUnit.MILLISECONDS.toNanos(7500)));
        say("the others: " + right(others));
        say("afterwards: " + a.who());
    }
}
