// Package contrib makes the backends of github.com/dapr/components-contrib
// components of ours: one adapter per kind, under their own type names and with
// their own metadata keys. It imports contrib's interfaces only; which backends
// ship is decided in runtime/builtin, which hands their constructors over.
//
// An adapter hides contrib's two steps, New and Init, behind one constructor that
// returns a ready value; brings contrib's errors into those of the kind; and gives
// every call of a backend that takes no context, or does not heed it, an end.
package contrib
