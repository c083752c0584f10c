// Package later gives delays to brokers that have none: messages for later wait in a
// file of this process (bbolt), and are published when they are due. It is asked for
// with `delayStore: embedded` among a broker's settings.
//
// A message that was taken is on the disk, and outlives the process, also one that is
// killed. It is removed after the broker has it, so that it may arrive twice when the
// process ends in between. What was due while no process ran is published with the
// next start. A broker that is away is tried again until it is back; a message that it
// refuses stands in nobody's way.
//
// How many may wait, and how large they may be together, has a limit: what is more is
// refused (pubsub.ErrFull), before it is taken.
//
// Due is by the clock of this machine. The file belongs to one process at a time, and
// to one machine: with the disk its messages are lost. Nobody else publishes them.
package later
