// Package headertometadata turns header fields of a request into labels that
// the host must have: with a rule for the field "version", a request with
// version: v2 goes to hosts labelled version=v2 only.
//
// The filter stands before the router. It notes the labels on the request under
// the name variable.RouterMeta, together with those that were noted before, and
// the router adds them to what the route demands.
package headertometadata
