package decode

import "encoding/json"

// Into is a placeholder that the owner of this package replaces.
func Into(dst any, src any, path string) (warnings Problems, err error) {
	b, err := json.Marshal(src)
	if err != nil {
		return nil, err
	}
	return nil, json.Unmarshal(b, dst)
}

// Nearest is a placeholder that the owner of this package replaces.
func Nearest(name string, known []string) string { return "" }
