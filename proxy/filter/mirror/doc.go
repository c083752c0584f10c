// Package mirror is the stream filter "mirror": it says how many copies the
// routes of its listener make of a request that they mirror, and whether every
// host of the mirror's cluster gets them. Which requests are mirrored, and where
// to, is in the routes; the copies themselves are made by proxy/mirror, behind
// all filters. Without the filter there is one copy, for one host.
package mirror
