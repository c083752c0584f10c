package decode

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// show describes a value for a message: `the text "x"`, `the number 5`.
func show(v reflect.Value, hide bool) string {
	for depth := 0; v.Kind() == reflect.Interface && depth < maxDepth; depth++ {
		v = v.Elem()
	}
	kind, text := "", ""
	switch v.Kind() {
	case reflect.Invalid:
		return "null"
	case reflect.Map, reflect.Struct:
		return "a section"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Bool:
		kind, text = "the boolean", strconv.FormatBool(v.Bool())
	case reflect.String:
		if isNumberText(v) {
			kind, text = "the number", clip(v.String())
		} else {
			kind, text = "the text", strconv.Quote(clip(v.String()))
		}
	default:
		if !v.CanInt() && !v.CanUint() && !v.CanFloat() {
			return "a " + v.Type().String()
		}
		kind, text = "the number", fmt.Sprint(v.Interface())
	}
	if hide || v.Kind() == reflect.String && SecretText(v.String()) {
		return "a " + strings.TrimPrefix(kind, "the ") + " that is not shown here"
	}
	return kind + " " + text
}

// clip keeps a message readable when a value is long.
func clip(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// isNumberText reports whether v is a json.Number: text that is a number.
func isNumberText(v reflect.Value) bool { return v.Type() == reflect.TypeFor[json.Number]() }

func (w *walker) text(dst, src reflect.Value, p place) {
	if src.Kind() != reflect.String || isNumberText(src) {
		remedy := ""
		if src.CanInt() || src.CanUint() || src.CanFloat() || src.Kind() == reflect.Bool || src.Kind() == reflect.String {
			remedy = "put it in quotes"
		}
		w.fail(p, remedy, "must be a text, not %s", show(src, p.hide))
		return
	}
	s := src.String()
	if list, ok := p.tag.Lookup("enum"); ok {
		allowed := strings.Split(list, "|")
		found := false
		for _, a := range allowed {
			if strings.EqualFold(a, s) {
				s, found = a, true
				break
			}
		}
		if !found {
			w.fail(p, oneOf(s, allowed), "unknown value%s", shown(src, p.hide))
			return
		}
	}
	dst.SetString(s)
}

// shown is ` "value"`, or nothing when the value must not be shown.
func shown(src reflect.Value, hide bool) string {
	if hide || SecretText(src.String()) {
		return ""
	}
	return " " + strconv.Quote(clip(src.String()))
}

// oneOf is the remedy for a value that is not in a list.
func oneOf(s string, allowed []string) string {
	var names []string
	for _, a := range allowed {
		if a != "" {
			names = append(names, a)
		}
	}
	remedy := "known: " + strings.Join(names, ", ")
	if near := Nearest(s, names); near != "" {
		remedy = fmt.Sprintf("did you mean %q? ", near) + remedy
	}
	return remedy
}

func (w *walker) boolean(dst, src reflect.Value, p place) {
	switch {
	case src.Kind() == reflect.Bool:
		dst.SetBool(src.Bool())
	case src.Kind() == reflect.String && strings.EqualFold(strings.TrimSpace(src.String()), "true"):
		dst.SetBool(true)
	case src.Kind() == reflect.String && strings.EqualFold(strings.TrimSpace(src.String()), "false"):
		dst.SetBool(false)
	default:
		w.fail(p, "", "must be true or false, not %s", show(src, p.hide))
	}
}

// number fills an integer or a float.
func (w *walker) number(dst, src reflect.Value, p place) {
	text := ""
	switch {
	case src.Kind() == reflect.String:
		text = strings.TrimSpace(src.String())
	case src.CanInt():
		text = strconv.FormatInt(src.Int(), 10)
	case src.CanUint():
		text = strconv.FormatUint(src.Uint(), 10)
	case src.CanFloat():
		text = strconv.FormatFloat(src.Float(), 'f', -1, 64)
	default:
		w.fail(p, "", "must be a number, not %s", show(src, p.hide))
		return
	}
	bits := dst.Type().Bits()
	if dst.CanFloat() {
		f, err := strconv.ParseFloat(text, bits)
		switch {
		case err != nil && isRange(err) || math.IsInf(f, 0):
			w.fail(p, "", "is too large: %s", show(src, p.hide))
		case err != nil || math.IsNaN(f):
			w.fail(p, "", "must be a number, not %s", show(src, p.hide))
		case w.inRange(p, src, func(bound string) int { return compareFloat(f, bound) }):
			dst.SetFloat(f)
		}
		return
	}
	text = whole(text)
	if dst.CanInt() {
		n, err := strconv.ParseInt(text, 10, bits)
		if w.parsed(err, dst, src, p) && w.inRange(p, src, func(bound string) int { return compareFloat(float64(n), bound) }) {
			dst.SetInt(n)
		}
		return
	}
	n, err := strconv.ParseUint(text, 10, bits)
	if err != nil && strings.HasPrefix(text, "-") {
		if _, negative := strconv.ParseInt(text, 10, 64); negative == nil || isRange(negative) {
			w.fail(p, "", "must not be negative: %s", show(src, p.hide))
			return
		}
	}
	if w.parsed(err, dst, src, p) && w.inRange(p, src, func(bound string) int { return compareFloat(float64(n), bound) }) {
		dst.SetUint(n)
	}
}

// whole turns a float's text that is a whole number ("3.0", "1e3") into an
// integer's; any other text comes back as it is.
func whole(text string) string {
	if !strings.ContainsAny(text, ".eE") {
		return text
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return text
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}

// parsed reports whether an integer could be read, and if not, why.
func (w *walker) parsed(err error, dst, src reflect.Value, p place) bool {
	switch {
	case err == nil:
		return true
	case isRange(err):
		w.fail(p, "", "is out of the range of a %d-bit number: %s", dst.Type().Bits(), show(src, p.hide))
	default:
		w.fail(p, "", "must be a whole number, not %s", show(src, p.hide))
	}
	return false
}

func isRange(err error) bool {
	return errors.Is(err, strconv.ErrRange)
}

// inRange checks the tags min and max. compare says how the value stands to a bound.
func (w *walker) inRange(p place, src reflect.Value, compare func(bound string) int) bool {
	low, hasLow := p.tag.Lookup("min")
	high, hasHigh := p.tag.Lookup("max")
	if (!hasLow || compare(low) >= 0) && (!hasHigh || compare(high) <= 0) {
		return true
	}
	want := ""
	switch {
	case hasLow && hasHigh:
		want = fmt.Sprintf("must be from %s to %s", low, high)
	case hasLow:
		want = "must be at least " + low
	default:
		want = "must be at most " + high
	}
	w.fail(p, "", "%s, not %s", want, show(src, p.hide))
	return false
}

func compareFloat(f float64, bound string) int {
	b, err := strconv.ParseFloat(bound, 64)
	switch {
	case err != nil, f == b:
		return 0
	case f < b:
		return -1
	default:
		return 1
	}
}

// units are the values of the tag unit.
var units = map[string]time.Duration{"ns": time.Nanosecond, "ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour}

func (w *walker) duration(dst, src reflect.Value, p place) {
	d, ok := w.readDuration(src, p)
	if !ok {
		return
	}
	within := w.inRange(p, src, func(bound string) int {
		b, err := time.ParseDuration(bound)
		switch {
		case err != nil || d == b:
			return 0
		case d < b:
			return -1
		default:
			return 1
		}
	})
	if within {
		dst.SetInt(int64(d))
	}
}

func (w *walker) readDuration(src reflect.Value, p place) (time.Duration, bool) {
	const form = `write a number with a unit: "500ms", "30s", "5m", "1h30m"`
	var number float64
	switch {
	case src.Kind() == reflect.String:
		text := strings.TrimSpace(src.String())
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			d, err := time.ParseDuration(text)
			if err != nil {
				w.fail(p, form, "is not a duration: %s", show(src, p.hide))
				return 0, false
			}
			return d, true
		}
		number = f
	case src.Type() == durationType:
		return time.Duration(src.Int()), true
	case src.CanInt():
		number = float64(src.Int())
	case src.CanUint():
		number = float64(src.Uint())
	case src.CanFloat():
		number = src.Float()
	default:
		w.fail(p, form, "is not a duration: %s", show(src, p.hide))
		return 0, false
	}
	unit, ok := units[p.tag.Get("unit")]
	if !ok {
		if number == 0 {
			return 0, true
		}
		w.fail(p, form, "needs a unit: %s", show(src, p.hide))
		return 0, false
	}
	ns := number * float64(unit)
	if math.IsNaN(ns) || math.Abs(ns) >= math.MaxInt64 {
		w.fail(p, "", "is too large: %s", show(src, p.hide))
		return 0, false
	}
	return time.Duration(ns), true
}
