// Package traffic holds no code, but the tests of traffic management as a
// whole: from a configuration to the wire, through a running core. Each is named
// after the row of the table of behaviour that it proves (G11, H18, I9, …);
// docs/traffic.md lists them with an example each.
package traffic
