package hessian

import (
	"fmt"
	"strings"
)

// Type is a Java type, as a parameter has it. The zero value is java.lang.Object:
// any value.
type Type struct {
	name string // of what it is, or of what an array has at last; "" is java.lang.Object
	dims int    // of an array
}

// maxDims is how many dimensions an array may have; Java's own limit is 255.
const maxDims = 16

// letters are the names of primitive types in class files.
var letters = map[string]byte{
	"boolean": 'Z', "byte": 'B', "char": 'C', "short": 'S', "int": 'I', "long": 'J', "float": 'F', "double": 'D',
}

const (
	object     = "java.lang.Object"
	text       = "java.lang.String"
	list       = "java.util.List"
	dictionary = "java.util.Map"
	decimal    = "java.math.BigDecimal"
	integer    = "java.math.BigInteger"
)

// short are names that may be written without their package.
var short = map[string]string{
	"String": text, "Object": object, "Boolean": "java.lang.Boolean", "Byte": "java.lang.Byte", "Character": "java.lang.Character",
	"Short": "java.lang.Short", "Integer": "java.lang.Integer", "Long": "java.lang.Long", "Float": "java.lang.Float",
	"Double": "java.lang.Double", "List": list, "Map": dictionary, "Set": "java.util.Set", "Date": "java.util.Date", "BigDecimal": decimal,
}

// ParseType reads the name of a type in one of Java's two forms. Of the packages
// that every program has, names need no package: "String", "List".
func ParseType(name string) (Type, error) {
	s := strings.TrimSpace(name)
	if inner, _, generic := strings.Cut(s, "<"); generic { // List<String>: the rest is not there at run time
		dims := s[strings.LastIndexByte(s, '>')+1:]
		s = inner + dims
	}
	var t Type
	for strings.HasPrefix(s, "[") {
		s, t.dims = s[1:], t.dims+1
	}
	if t.dims > 0 || strings.HasSuffix(s, ";") || len(s) == 1 {
		var ok bool
		if s, ok = fromClassFile(s); !ok {
			return Type{}, fmt.Errorf("%q is no Java type", name)
		}
	}
	for strings.HasSuffix(s, "[]") {
		s, t.dims = strings.TrimSpace(s[:len(s)-2]), t.dims+1
	}
	if full, ok := short[s]; ok {
		s = full
	}
	if !isName(s) || t.dims > maxDims {
		return Type{}, fmt.Errorf("%q is no Java type", name)
	}
	if s != object {
		t.name = s
	}
	return t, nil
}

// fromClassFile returns the name in a program for that in a class file.
func fromClassFile(s string) (string, bool) {
	if class, ok := strings.CutPrefix(s, "L"); ok && strings.HasSuffix(class, ";") {
		return strings.ReplaceAll(class[:len(class)-1], "/", "."), true
	}
	for name, letter := range letters {
		if s == string(letter) {
			return name, true
		}
	}
	return s, len(s) > 1 // "[com.shop.Order", as some write it
}

// isName reports whether s may be the name of a type.
func isName(s string) bool {
	if s == "" || len(s) > 512 {
		return false
	}
	for i, r := range s {
		switch {
		case r == '_', r == '$', 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', r >= 0x80:
		case (r == '.' || '0' <= r && r <= '9') && i > 0:
		default:
			return false
		}
	}
	return s[len(s)-1] != '.'
}

// String returns the name as in a program: "long[]".
func (t Type) String() string {
	name := t.name
	if name == "" {
		name = object
	}
	return name + strings.Repeat("[]", t.dims)
}

// Descriptor returns the name as in a class file: "[J".
func (t Type) Descriptor() string {
	prefix := strings.Repeat("[", t.dims)
	if letter, ok := letters[t.name]; ok {
		return prefix + string(letter)
	}
	name := t.name
	if name == "" {
		name = object
	}
	return prefix + "L" + strings.ReplaceAll(name, ".", "/") + ";"
}

// listName is the name of an array's type in Hessian.
func (t Type) listName() string {
	name := t.name
	switch name {
	case "":
		name = "object"
	case text:
		name = "string"
	}
	return strings.Repeat("[", t.dims) + name
}

// element is the type of an array's elements.
func (t Type) element() Type { return Type{t.name, t.dims - 1} }

// kind says what JSON a type takes.
type kind uint8

const (
	anything kind = iota
	boolean
	whole // numbers without a fraction, in bits
	fraction
	character
	textual
	dated
	bigDecimal
	listed
	mapped
	class // one of a program's own
)

// kinds are those of the types that Java itself has, with the bits of whole
// numbers. What has no row is a class.
var kinds = map[string]struct {
	kind      kind
	bits      int
	primitive bool
}{
	"":                                       {},
	"java.io.Serializable":                   {},
	"java.lang.Comparable":                   {},
	"java.lang.Number":                       {},
	"java.lang.CharSequence":                 {kind: textual},
	"boolean":                                {kind: boolean, primitive: true},
	"java.lang.Boolean":                      {kind: boolean},
	"byte":                                   {whole, 8, true},
	"java.lang.Byte":                         {kind: whole, bits: 8},
	"short":                                  {whole, 16, true},
	"java.lang.Short":                        {kind: whole, bits: 16},
	"int":                                    {whole, 32, true},
	"java.lang.Integer":                      {kind: whole, bits: 32},
	"long":                                   {whole, 64, true},
	"java.lang.Long":                         {kind: whole, bits: 64},
	"float":                                  {kind: fraction, primitive: true},
	"java.lang.Float":                        {kind: fraction},
	"double":                                 {kind: fraction, primitive: true},
	"java.lang.Double":                       {kind: fraction},
	"char":                                   {kind: character, primitive: true},
	"java.lang.Character":                    {kind: character},
	text:                                     {kind: textual},
	"java.util.Date":                         {kind: dated},
	decimal:                                  {kind: bigDecimal},
	"java.lang.Iterable":                     {kind: listed},
	"java.util.Collection":                   {kind: listed},
	list:                                     {kind: listed},
	"java.util.ArrayList":                    {kind: listed},
	"java.util.LinkedList":                   {kind: listed},
	"java.util.Vector":                       {kind: listed},
	"java.util.Queue":                        {kind: listed},
	"java.util.Deque":                        {kind: listed},
	"java.util.Set":                          {kind: listed},
	"java.util.HashSet":                      {kind: listed},
	"java.util.LinkedHashSet":                {kind: listed},
	"java.util.SortedSet":                    {kind: listed},
	"java.util.TreeSet":                      {kind: listed},
	dictionary:                               {kind: mapped},
	"java.util.HashMap":                      {kind: mapped},
	"java.util.LinkedHashMap":                {kind: mapped},
	"java.util.SortedMap":                    {kind: mapped},
	"java.util.TreeMap":                      {kind: mapped},
	"java.util.Hashtable":                    {kind: mapped},
	"java.util.concurrent.ConcurrentMap":     {kind: mapped},
	"java.util.concurrent.ConcurrentHashMap": {kind: mapped},
}

// Infer returns the type that a method most likely has for a JSON value.
func Infer(value []byte) Type {
	s := strings.TrimLeft(string(value[:min(len(value), 64)]), " \t\r\n")
	if s == "" {
		return Type{}
	}
	switch s[0] {
	case '"':
		return Type{name: text}
	case '{':
		return Type{name: dictionary}
	case '[':
		return Type{name: list}
	case 't', 'f':
		return Type{name: "boolean"}
	case 'n':
		return Type{}
	}
	number := strings.TrimSpace(string(value))
	switch n, isWhole := wholeNumber(number); {
	case !isWhole:
		if _, ok := doubleOf(number); !ok {
			return Type{} // writing it is an error
		}
		return Type{name: "double"}
	case int64(int32(n)) == n:
		return Type{name: "int"}
	}
	return Type{name: "long"}
}
