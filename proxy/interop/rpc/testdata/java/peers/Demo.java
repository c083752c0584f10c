package peers;

/** The service that the servers have, and the clients call. */
public interface Demo {
    /** Returns the name that the service was exported under. */
    String who();

    String echo(String text);

    Order change(Order order);

    void fail(String text) throws Trouble;

    /** Returns text after some milliseconds. */
    String slow(String caller, int millis, String text);

    /** Returns how many calls of slow are under way, of one caller. */
    int waiting(String caller);

    /** Is called one-way. */
    void note(String caller);

    /** Returns how often note was called by a caller. */
    int notes(String caller);
}
