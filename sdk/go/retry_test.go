package ottavo_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

func TestRetryReads(t *testing.T) {
	for name, c := range map[string]struct {
		attempts, fail, calls int
		call                  func(*testing.T, *ottavo.Client) error
		want                  codes.Code
	}{
		"a read":                 {3, 2, 3, read, codes.OK},
		"a read, once too few":   {2, 2, 2, read, codes.Unavailable},
		"a read without":         {0, 1, 1, read, codes.Unavailable},
		"more than there can be": {100, 1, 2, read, codes.OK},
		"a write": {3, 1, 1, func(t *testing.T, c *ottavo.Client) error {
			return c.State("s").Save(timeout(t), "k", nil)
		}, codes.Unavailable},
		"a call of a service": {3, 1, 1, func(t *testing.T, c *ottavo.Client) error {
			_, err := c.Invoke(timeout(t), "s", &ottavo.Request{Method: "/"})
			return err
		}, codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, client := serve(t, ottavo.RetryReads(c.attempts))
			f.fail = c.fail
			if err := c.call(t, client); status.Code(err) != c.want || f.calls != c.calls {
				t.Errorf("%v after %d calls, want %v after %d", err, f.calls, c.want, c.calls)
			}
		})
	}
}

func read(t *testing.T, c *ottavo.Client) error {
	_, err := c.State("s").Get(timeout(t), "k")
	return err
}
