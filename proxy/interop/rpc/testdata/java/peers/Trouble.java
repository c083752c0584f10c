package peers;

/** An exception that is part of the service. */
public class Trouble extends Exception {
    private static final long serialVersionUID = 1;

    public Trouble(String text) {
        super(text);
    }
}
