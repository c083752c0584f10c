// Package greeting is the built-in greeter, type "helloworld": it answers with
// a fixed greeting, followed by ", " and the name when one is given. It keeps
// nothing and calls nobody.
package greeting
