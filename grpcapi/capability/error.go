package capability

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ottavo-runtime/ottavo/components"
)

// Kind says in what way a call failed. The edges turn it into their codes.
type Kind uint8

// The kinds of failure.
const (
	Internal         Kind = iota // the component failed, or this side has a defect
	NotConfigured                // no component of this capability is configured
	UnknownComponent             // components are configured, but none by the name that was asked for
	InvalidArgument              // the request itself is wrong
	IllegalKey                   // a key holds the separator of prefixes
	ETagMismatch                 // the item was changed by another writer
	ETagInvalid                  // the etag cannot be one of this component's
	NotSupported                 // the component, or this side, cannot do what is asked
	Unavailable                  // the other side could not be reached, or did not answer properly
	Deadline                     // a time limit passed
	Canceled                     // the caller went away
	TooLarge                     // a limit on size was passed
	CalleeStatus                 // the service answered, with a status that is no success
	Unknown                      // a component failed in a way of its own
	NotFound                     // what is asked for is not there
	Exists                       // what is to be made is there already
	PermissionDenied             // the component does not let us
	Expired                      // what is asked for is there no longer
)

var kindNames = [...]string{
	Internal: "INTERNAL", NotConfigured: "NOT_CONFIGURED", UnknownComponent: "UNKNOWN_COMPONENT",
	InvalidArgument: "INVALID_ARGUMENT", IllegalKey: "ILLEGAL_KEY", ETagMismatch: "ETAG_MISMATCH",
	ETagInvalid: "ETAG_INVALID", NotSupported: "NOT_SUPPORTED", Unavailable: "UNAVAILABLE", Deadline: "DEADLINE",
	Canceled: "CANCELED", TooLarge: "TOO_LARGE", CalleeStatus: "CALLEE_STATUS", Unknown: "UNKNOWN",
	NotFound: "NOT_FOUND", Exists: "EXISTS", PermissionDenied: "PERMISSION_DENIED", Expired: "EXPIRED",
}

// String returns the kind as a word in capitals, fit for a program to compare:
// ETAG_MISMATCH.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("KIND_%d", uint8(k))
}

// Name is the name of a capability in an Error.
type Name string

// The capabilities.
const (
	HelloName         Name = "hello"
	RPCName           Name = "rpc"
	ConfigurationName Name = "configuration"
	LockName          Name = "lock"
	SequencerName     Name = "sequencer"
	StateName         Name = "state"
	PubSubName        Name = "pubsub"
	FileName          Name = "file"
	BindingName       Name = "binding"
	SecretName        Name = "secret"
	LifecycleName     Name = "lifecycle"
	ObjectsName       Name = "oss"
	CryptionName      Name = "cryption"
	EmailName         Name = "email"
	PhoneName         Name = "phone"
	SMSName           Name = "sms"
)

// Error is the one way in which a call of this package fails. It holds facts
// rather than words: an edge makes the text that its clients know of them.
type Error struct {
	Kind Kind
	// Capability is where it happened.
	Capability Name
	// Op is which operation failed, one of the constants of the capability; ""
	// when the failure has nothing to do with the operation.
	Op Op
	// Component is the name that the caller asked for.
	Component string
	// Key is the key concerned, as the caller wrote it; "" when there is none
	// or when it is not only one.
	Key string
	// Msg says what is wrong; "" when Err says it all.
	Msg string
	// Known are the names of the components that are configured, sorted; filled
	// for UnknownComponent.
	Known []string
	// Err is the cause; it may be nil.
	Err error
}

// Op is the name of an operation in an Error.
type Op string

// Error returns the whole failure in neutral words.
func (e *Error) Error() string {
	s := string(e.Capability)
	if e.Op != "" {
		s += ": " + string(e.Op)
	}
	if e.Component != "" {
		s += fmt.Sprintf(" %q", e.Component)
	}
	if e.Key != "" {
		s += fmt.Sprintf(" key %q", e.Key)
	}
	return s + ": " + e.Cause()
}

// Cause returns what is wrong, without where.
func (e *Error) Cause() string {
	switch {
	case e.Msg != "" && e.Err != nil:
		return e.Msg + ": " + e.Err.Error()
	case e.Err != nil:
		return e.Err.Error()
	case e.Msg != "":
		return e.Msg
	}
	return e.Kind.String()
}

// brief is what a message says of a caller's text, such as a key: a long one must
// not leave no room for what is wrong with it.
func brief(text string) string { return Excerpt([]byte(text), maxBrief) }

// maxBrief is how much of a caller's text a message has, in bytes.
const maxBrief = 256

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// AsError returns err as an *Error if it is one or wraps one.
func AsError(err error) (*Error, bool) { return errors.AsType[*Error](err) }

// find returns the component of that name, or the Error that says that there is
// none.
func find[T any](components map[string]T, capability Name, op Op, name string) (T, error) {
	c, ok := components[name]
	if ok {
		return c, nil
	}
	if len(components) == 0 {
		return c, &Error{
			Kind: NotConfigured, Capability: capability, Op: op, Component: name,
			Msg: "no component is configured",
		}
	}
	return c, &Error{
		Kind: UnknownComponent, Capability: capability, Op: op, Component: name,
		Msg: "there is no such component", Known: slices.Sorted(maps.Keys(components)),
	}
}

// contextKind returns the kind of failure that the end of ctx stands for; false
// when ctx has not ended, and so cannot be the reason.
func contextKind(ctx context.Context) (Kind, bool) {
	switch err := ctx.Err(); {
	case err == nil:
		// Components go by the clock, and a busy machine ends ctx a little late.
		if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
			return Deadline, true
		}
		return Internal, false
	case errors.Is(err, context.DeadlineExceeded):
		return Deadline, true
	default:
		return Canceled, true
	}
}

// lateKind is the kind of a component's failure in which time plays a part: the
// caller's own end, or Deadline when the backend has not answered within a limit of
// the component. Of two limits that are about equal it does not matter which one
// passes first. false: time is not the reason.
func lateKind(ctx context.Context, err error) (Kind, bool) {
	if kind, ended := contextKind(ctx); ended {
		return kind, true
	}
	return Deadline, components.IsLate(err)
}

// failureKind is the kind of a component's failure that says nothing else: the
// caller's own end, or Internal. Here a "deadline exceeded" of the component is one
// of many ways to fail, unless the caller's time is up: what it stands for only the
// backend behind it knows.
func failureKind(ctx context.Context) Kind {
	kind, _ := contextKind(ctx)
	return kind
}
