// Package outlier takes hosts out of use at which requests fail, going by the
// requests that are made anyway (passive health checking): it sets and clears
// upstream.Ejected. It asks hosts nothing and chooses none.
//
// A host goes out when a number of requests in a row failed there, or when its
// rate of success over an interval is far below that of the others. It comes
// back after a while by itself; each time in a row that it goes out it stays
// out longer.
//
// However bad things are, not more than a part of the hosts is out at a time,
// and never the last one that is healthy.
package outlier
