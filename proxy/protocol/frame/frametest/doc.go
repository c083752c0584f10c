// Package frametest holds what every codec of package frame has to pass: Run
// takes samples of the protocol's frames, and looks at the codec alone and at
// both ends of connections that are made of it. Connections are pipes and time
// is fake, so that a run takes no time.
//
// It is used by tests only.
package frametest
