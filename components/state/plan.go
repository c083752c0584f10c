package state

// Plan is what a transaction comes to for one key.
type Plan struct {
	Key string
	// First is the key's first operation. Its precondition is about what is stored;
	// those of later ones have been decided.
	First Op
	// Last is the key's last operation, which is all that has to be written.
	Last Op
}

// Plans folds the operations of a transaction into one write for each key, in the
// order in which the keys appear, for backends that take a key once only. It fails
// with ErrETagMismatch when an operation's precondition cannot hold after those
// before it. The operations have been checked.
func Plans(ops []Op) ([]Plan, error) {
	plans := make([]Plan, 0, len(ops))
	place := make(map[string]int, len(ops))
	for _, op := range ops {
		i, again := place[op.Key]
		if !again {
			place[op.Key] = len(plans)
			plans = append(plans, Plan{Key: op.Key, First: op, Last: op})
			continue
		}
		// The etag that the write before gets is known to nobody yet.
		if err := op.Precondition(!plans[i].Last.Delete, ""); err != nil {
			return nil, err
		}
		plans[i].Last = op
	}
	return plans, nil
}
