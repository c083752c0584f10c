// package misnamed begins with a small letter.
package misnamed // want package-comment
