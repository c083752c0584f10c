// Package mongonode connects locks and sequencers to MongoDB. It holds the
// settings, under Layotto's names, the odd ones of its sample included. What is
// stored is not its business.
package mongonode
