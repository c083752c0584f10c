package builtin_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ottavo-runtime/ottavo/internal/logtest"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/runtime"
	"github.com/ottavo-runtime/ottavo/runtime/builtin"
	"github.com/ottavo-runtime/ottavo/runtime/config"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
)

// nobody is an address where no server is.
const nobody = "127.0.0.1:1"

const rightPassword, wrongPassword = "r1ght-Horse", "wr0ng-Staple"

// startLimit is how long a start may take to fail.
const startLimit = 15 * time.Second

// A failedStart is a runtime that is to be refused, because of c.
type failedStart struct {
	c      faultComponent
	cfg    *config.Config
	secret string   // must not appear
	want   []string // must
}

// refused starts runtimes side by side, none of which may come up.
func refused(t *testing.T, starts []failedStart) {
	t.Helper()
	var wg sync.WaitGroup
	for _, s := range starts {
		wg.Go(func() {
			what := s.c.kind + "/" + s.c.typ
			log := new(logtest.Log)
			var err error
			testserver.OnceOf(t, func(int) error {
				begin := time.Now()
				var rt *runtime.Runtime
				rt, err = runtime.New(t.Context(), runtime.Options{Config: s.cfg, Tables: builtin.Tables(), Log: slog.New(slog.NewTextHandler(log, nil))})
				took := time.Since(begin)
				if err == nil {
					rt.Close(t.Context())
					return nil
				}
				t.Logf("%s, after %s: %v", what, took.Round(time.Millisecond), err)
				if took > startLimit {
					return fmt.Errorf("%s: it took %s", what, took)
				}
				return nil
			})
			if err == nil {
				t.Errorf("%s: the runtime started", what)
				return
			}
			for _, want := range append([]string{s.c.kind, `"one"`, s.c.typ}, s.want...) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v: does not say %q", what, err, want)
				}
			}
			if s.secret != "" && (strings.Contains(err.Error(), s.secret) || strings.Contains(log.String(), s.secret)) {
				t.Errorf("%s: the error or the log holds the password: %v\n%s", what, err, log)
			}
		})
	}
	wg.Wait()
}

// TestFaultsAtStart: without its server a component is an error that names it, its
// type, the address and the cause; and what had been opened before is closed.
func TestFaultsAtStart(t *testing.T) {
	t.Parallel()
	var starts []failedStart
	for _, row := range faultRows {
		for _, c := range row.components {
			if c.skip[awayAtStart] != "" {
				continue
			}
			// A file that only one may have open at a time stands beside it.
			file := faultFile(nobody, "", c) + "    a_file: {type: embedded}\n"
			want := []string{nobody}
			if c.cause != "" {
				want = append(want, c.cause)
			}
			starts = append(starts, failedStart{c: c, cfg: runtimetest.Load(t, file, builtin.Tables()), want: want})
		}
	}
	refused(t, starts)
	for _, s := range starts {
		// The file is free again.
		cfg := runtimetest.Load(t, faultFile("", "")+"    a_file: {type: embedded}\n", builtin.Tables())
		cfg.Runtime.DataDir = s.cfg.Runtime.DataDir
		begin := time.Now()
		rt, err := runtime.New(t.Context(), runtime.Options{Config: cfg, Tables: builtin.Tables(), Log: slog.New(slog.DiscardHandler)})
		if err != nil || time.Since(begin) > time.Minute {
			t.Errorf("%s/%s: after the start that failed, the file beside it cannot be had, for %s: %v", s.c.kind, s.c.typ, time.Since(begin), err)
		}
		if err == nil {
			rt.Close(t.Context())
		}
	}
}

// TestFaultsCredentials: a wrong password is told of without it; one that is
// changed later turns the component DOWN.
func TestFaultsCredentials(t *testing.T) {
	t.Parallel()
	for _, row := range faultRows {
		if row.lock == nil {
			continue
		}
		t.Run(row.server, func(t *testing.T) {
			t.Parallel()
			row.wrongPassword(t)
		})
	}
}

// wrongPassword does what TestFaultsCredentials says.
func (row faultRow) wrongPassword(t *testing.T) {
	t.Helper()
	addr, change := row.lock(t, rightPassword)
	var starts []failedStart
	var cs []faultComponent
	var kinds []string
	for _, c := range row.components {
		if c.skip[credentials] != "" {
			continue
		}
		cs = append(cs, c)
		if !c.blind {
			kinds = append(kinds, c.kind)
		}
		if c.skip[awayAtStart] != noConnection {
			starts = append(starts, failedStart{c: c, cfg: runtimetest.Load(t, faultFile(addr, wrongPassword, c), builtin.Tables()), secret: wrongPassword, want: row.denied})
		}
	}
	refused(t, starts)
	p := newPatient(t, faultFile(addr, rightPassword, cs...))
	p.works(cs, testserver.Patience)
	p.up(testserver.Patience)
	if change == nil {
		return
	}
	change(t)
	p.fails(cs, 15*time.Second, true)
	p.down(testserver.Patience, kinds...)
	if log := p.rt.Log.String(); strings.Contains(log, rightPassword) {
		t.Errorf("the log holds the password:\n%s", log)
	}
}
