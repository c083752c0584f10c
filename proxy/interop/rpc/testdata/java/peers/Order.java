package peers;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/** An object of a class that only the two ends know. */
public class Order implements Serializable {
    private static final long serialVersionUID = 1;

    public long id;
    public double total;
    public List<String> items = new ArrayList<>();

    @Override
    public String toString() {
        return id + " " + items + " " + total;
    }
}
