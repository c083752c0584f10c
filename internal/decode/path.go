package decode

import "strconv"

// Join returns the path of key inside the section at path: `state.orders`.
// A key that is not a plain word is quoted: `state["eu.orders"]`.
func Join(path, key string) string {
	if !plain(key) {
		return path + "[" + strconv.Quote(key) + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// At returns the path of element i of the list at path: `servers[0]`.
func At(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

// plain reports whether a key can stand in a path as it is.
func plain(key string) bool {
	for _, r := range key {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
		default:
			return false
		}
	}
	return key != ""
}
