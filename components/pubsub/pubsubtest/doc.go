// Package pubsubtest is the suite that every broker passes: it tells what the
// doc comments of package pubsub mean, in code. A broker's own tests are one call
// of Run and whatever is special about it.
//
// What a broker declares in its Features and by its optional interfaces is tested.
// A broker of somebody else's that cannot keep the rest of the contract names the
// tests that it fails, with the reason, in Options.Skip.
//
// The package only uses a broker from the outside and is not for production code.
package pubsubtest
