// Package hessian turns JSON into Hessian 2 and back, as far as both say the
// same: null, booleans, numbers, text, lists, maps.
//
// Single values (numbers, text, dates, bytes) are written and read by
// dubbo-go-hessian2. What holds values (lists, maps, objects) is done here: the
// library's decoder notes the names of classes and fields that it meets in tables
// of the process, which a hostile peer could fill, and its maps have no order.
//
// # JSON to Hessian
//
// A Writer is told the Java type of each value, by its name as in a program
// ("int", "java.lang.String", "long[]", "com.shop.Order") or as in a class file
// ("I", "[J", "Lcom/shop/Order;"). JSON that the type does not take is an error
// that says where it stands. A class that is not Java's own is made of an object, by
// the names of its fields, or is an enum's constant, made of text.
//
// # Hessian to JSON
//
// A Reader makes objects of maps and of instances of any class, in the order of
// their fields. Dates become text (RFC 3339, UTC), bytes text in base64, a
// java.math.BigDecimal or BigInteger a number, and numbers that JSON does not have
// text ("NaN"). What is referred to is written again; what holds itself is an error.
//
// Bytes of either side may be hostile. Depth is limited to MaxDepth, a Reader's
// output to what the caller says; time and memory are linear in input and output,
// but for values nested in one another, whose depth is limited.
package hessian
