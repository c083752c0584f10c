package builtin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ottavo-runtime/ottavo/internal/testserver"
	"github.com/ottavo-runtime/ottavo/runtime/builtin"
	"github.com/ottavo-runtime/ottavo/runtime/runtimetest"
)

// The faults that are tried. Each component is put to each, or says why not.
const (
	awayAtStart = "away at start" // TestFaultsAtStart
	awayLater   = "away later"    // TestFaultsLater
	slow        = "slow"          // TestFaultsLater
	back        = "back"          // TestFaultsLater
	credentials = "credentials"   // TestFaultsCredentials
	full        = "full"          // TestFaultsFull, TestFaultsDiskFull
)

var faults = []string{awayAtStart, awayLater, slow, back, credentials, full}

// A faultServer is what a test lets fail.
type faultServer interface {
	Start()
	Stop()
	Pause()
	Resume()
}

// A faultComponent is a component on such a server.
type faultComponent struct {
	kind, typ string
	// config is what stands beside its type, for a server at an address with a
	// password, which is "" where none is asked for.
	config func(addr, password string) string
	// cause is what an error at the start has to say when the server is away
	// (besides its address).
	cause string
	// blind says that health only looks whether somebody answers: that a password is
	// wrong is told by calls.
	blind bool
	// skip says why a fault is not tried.
	skip map[string]string
}

// A faultRow is a server and the components on it.
type faultRow struct {
	server     string
	start      func(t *testing.T) (s faultServer, addr string)
	components []faultComponent
	// lock starts a server that asks for a password, and returns how to change it
	// and throw everybody out. denied is what an error says then.
	lock   func(t *testing.T, password string) (addr string, change func(t *testing.T))
	denied []string
	// guarded says that start's server asks for a password, too.
	guarded bool
	// fill makes a server full, and what it returns makes room again. noRoom is what
	// an error says then.
	fill   func(t *testing.T, s faultServer, addr string) (free func())
	noRoom string
}

// faultFile is a configuration with the components, each named "one", beside one
// that needs no server.
func faultFile(addr, password string, cs ...faultComponent) string {
	var b strings.Builder
	b.WriteString("runtime:\n  listen: 127.0.0.1:0\n  actuator: {listen: \"127.0.0.1:0\"}\n  app: {app_id: app}\n")
	state := "    beside: {type: in-memory}\n"
	for _, c := range cs {
		line := fmt.Sprintf("    one: {type: %s, %s}\n", c.typ, c.config(addr, password))
		if c.kind == "state" {
			state += line
			continue
		}
		fmt.Fprintf(&b, "  %s:\n%s", faultKinds[c.kind].section, line)
	}
	fmt.Fprintf(&b, "  state:\n%s", state)
	return b.String()
}

// TestFaultsTable: every kind has components here, and each is put to every fault
// or says why not. With -v it prints the table.
func TestFaultsTable(t *testing.T) {
	tried := map[string]int{}
	for _, row := range faultRows {
		for _, c := range row.components {
			line := fmt.Sprintf("%-14s %-16s", c.kind, c.typ)
			for fault, why := range c.skip {
				if !slices.Contains(faults, fault) || why == "" {
					t.Errorf("%s/%s: no fault, or no reason: %q: %q", c.kind, c.typ, fault, why)
				}
			}
			for _, fault := range faults {
				why := c.skip[fault]
				switch {
				case why == "" && fault == credentials && row.lock == nil && !row.guarded, why == "" && fault == full && row.fill == nil:
					t.Errorf("%s/%s: %s is neither tried nor said why not", c.kind, c.typ, fault)
				case why == "":
					tried[c.kind+"/"+fault]++
					line += " | " + fault
				default:
					line += " | (" + fault + ": " + why + ")"
				}
			}
			t.Log(line)
		}
	}
	for kind := range faultKinds {
		for _, fault := range faults {
			if tried[kind+"/"+fault] == 0 && kindSkips[kind+"/"+fault] == "" {
				t.Errorf("%s: %s is tried with no component, and no reason is given", kind, fault)
			}
		}
	}
}

// health is what the actuator says.
type health struct {
	Status     string
	Components map[string]struct {
		Status  string
		Details map[string]string
	}
}

// askHealth asks for "readiness" or "liveness" over HTTP.
func askHealth(ctx context.Context, addr, what string) (int, health, error) {
	var h health
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/actuator/health/"+what, nil)
	if err != nil {
		return 0, h, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, h, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, h, err
	}
	return resp.StatusCode, h, json.Unmarshal(data, &h)
}

// A patient is a runtime whose components fail.
type patient struct {
	t    *testing.T
	rt   *runtimetest.Runtime
	cc   *grpc.ClientConn
	http string
}

func newPatient(t *testing.T, file string) *patient {
	t.Helper()
	rt := runtimetest.Start(t, file)
	return &patient{t: t, rt: rt, cc: rt.Client(t), http: rt.Addr(t, "actuator")}
}

// down waits until readiness names these components, and no others, with a reason.
func (p *patient) down(limit time.Duration, kinds ...string) {
	p.t.Helper()
	eventually(p.t, limit, fmt.Sprintf("readiness names %v", kinds), func(ctx context.Context) error {
		code, h, err := askHealth(ctx, p.http, "readiness")
		if err != nil {
			return err
		}
		for _, kind := range kinds {
			if c := h.Components[kind+"/one"]; code != http.StatusInternalServerError || h.Status != "DOWN" || c.Status != "DOWN" || c.Details["reason"] == "" {
				return fmt.Errorf("%s is not told of: %d %+v", kind, code, h)
			}
		}
		for name, c := range h.Components {
			if kind, one := strings.CutSuffix(name, "/one"); c.Status != "UP" && (!one || !slices.Contains(kinds, kind)) {
				return fmt.Errorf("%s is %s, too: %+v", name, c.Status, c)
			}
		}
		return nil
	})
	code, h, err := askHealth(p.t.Context(), p.http, "liveness")
	if err != nil || code != http.StatusOK || h.Status != "UP" {
		p.t.Errorf("liveness: %d %+v, %v", code, h, err)
	}
	p.beside()
}

// up waits until readiness is UP.
func (p *patient) up(limit time.Duration) {
	p.t.Helper()
	eventually(p.t, limit, "readiness is UP", func(ctx context.Context) error {
		code, h, err := askHealth(ctx, p.http, "readiness")
		if err == nil && (code != http.StatusOK || h.Status != "UP") {
			err = fmt.Errorf("%d %+v", code, h)
		}
		return err
	})
}

// beside makes sure that the component without a server works.
func (p *patient) beside() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), testserver.Patience)
	defer cancel()
	if err := saveState(ctx, p.cc, "beside", "v"); err != nil {
		p.t.Errorf("another component: %v", err)
	}
}

// each calls f for the components side by side.
func each(cs []faultComponent, f func(c faultComponent, call faultCall)) {
	var wg sync.WaitGroup
	for _, c := range cs {
		for _, call := range faultKinds[c.kind].calls {
			wg.Go(func() { f(c, call) })
		}
	}
	wg.Wait()
}

// works waits until all calls succeed.
func (p *patient) works(cs []faultComponent, limit time.Duration) {
	p.t.Helper()
	eventually(p.t, limit, "all calls succeed", func(ctx context.Context) error {
		for _, c := range cs {
			kind := faultKinds[c.kind]
			if c.kind == "file" || c.kind == "objectstore" { // what is not there cannot be read
				if err := kind.save(ctx, p.cc, "one", "v"); err != nil {
					return fmt.Errorf("writing to %s: %w", c.typ, err)
				}
			}
			for _, call := range kind.calls {
				if err := call.do(ctx, p.cc, "one"); err != nil {
					return fmt.Errorf("%s on %s: %w", call.name, c.typ, err)
				}
			}
		}
		return nil
	})
}

// fails makes sure that calls without a deadline end soon, as Layotto has it; denied
// says that it is because of the password.
func (p *patient) fails(cs []faultComponent, limit time.Duration, denied bool) {
	p.t.Helper()
	each(cs, func(c faultComponent, call faultCall) {
		ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Minute)
		defer cancel()
		var err error
		begin := time.Now()
		testserver.OnceOf(p.t, func(int) error {
			begin = time.Now()
			// The deadline is the test's own: the runtime does not get to know it.
			err = call.do(noDeadline{ctx}, p.cc, "one") //nolint:contextcheck // it is ctx, and does not say when it ends
			if took := time.Since(begin); took > limit {
				return fmt.Errorf("%s on %s ended after %s: %w", call.name, c.typ, took, err)
			}
			return nil
		})
		code := call.code
		if other := faultKinds[c.kind].denied; denied && other != codes.OK {
			code = other
		}
		if s := status.Convert(err); s.Code() != code || !strings.HasPrefix(s.Message(), call.text) || len(s.Message()) == len(call.text) {
			p.t.Errorf("%s on %s: %v, want %s %q with a cause", call.name, c.typ, err, code, call.text)
		} else {
			p.t.Logf("%s on %s, after %s: %v", call.name, c.typ, time.Since(begin).Round(time.Millisecond), err)
		}
	})
}

// noDeadline is a context that ends, and does not say when.
type noDeadline struct{ context.Context }

// Deadline implements context.Context.
func (noDeadline) Deadline() (time.Time, bool) { return time.Time{}, false }

// rowLabel is the label of the goroutines that a row's runtime and its clients start.
const rowLabel = "fault-row"

// label gives the goroutine of the test, and those that it starts from now on, the
// label.
func label(t *testing.T, row string) {
	pprof.SetGoroutineLabels(pprof.WithLabels(t.Context(), pprof.Labels(rowLabel, row)))
}

// goroutines counts those with the label of a row.
func goroutines(t *testing.T, row string) int {
	t.Helper()
	var text strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		t.Fatal(err)
	}
	n := 0
	for stack := range strings.SplitSeq(text.String(), "\n\n") {
		if count, _, ok := strings.Cut(stack, " @ "); ok && strings.Contains(stack, fmt.Sprintf("%q:%q", rowLabel, row)) {
			if c, err := strconv.Atoi(count[strings.LastIndexByte(count, '\n')+1:]); err == nil {
				n += c
			}
		}
	}
	return n
}

// hangs makes sure that the caller's deadline is obeyed, and that calls do not pile
// up behind a server that does not answer.
func (p *patient) hangs(cs []faultComponent, row string) {
	p.t.Helper()
	const patience, calls = 300 * time.Millisecond, 40
	before := goroutines(p.t, row)
	if before < 10 {
		p.t.Errorf("%d goroutines only are seen: the test does not see them", before)
	}
	each(cs, func(c faultComponent, call faultCall) {
		wrong := make([]string, calls)
		var own atomic.Int32
		var wg sync.WaitGroup
		for i := range calls {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(p.t.Context(), patience)
				defer cancel()
				begin := time.Now()
				err := call.do(ctx, p.cc, "one")
				took := time.Since(begin)
				switch code := status.Code(err); {
				case took > patience+30*time.Second, code != codes.DeadlineExceeded && code != call.code:
					wrong[i] = fmt.Sprintf("after %s %v", took, err)
				case code == call.code: // a driver may remember that others could not connect in time
					own.Add(1)
				}
			})
		}
		wg.Wait()
		if wrong = slices.DeleteFunc(wrong, func(s string) bool { return s == "" }); len(wrong) > 0 || own.Load() > calls/2 {
			p.t.Errorf("%s on %s, which hangs: of %d calls with a deadline of %s, %d failed otherwise, and %d did what they should not: %v", call.name, c.typ, calls, patience, own.Load(), len(wrong), wrong)
		}
	})
	p.beside()
	eventually(p.t, testserver.Patience, "calls that nobody waits for end", func(context.Context) error {
		// A connection over HTTP that waits for the next call has two, and there may be
		// as many as there were calls at a time.
		if now := goroutines(p.t, row); now > before+3*calls {
			return fmt.Errorf("%d goroutines, %d before", now, before)
		}
		return nil
	})
}

// TestFaultsLater lets the server of running components hang, go away and come
// back: deadlines are obeyed, errors are Layotto's, health names who is down, the
// others work, and afterwards everything does, subscriptions too.
func TestFaultsLater(t *testing.T) {
	t.Parallel()
	for _, row := range faultRows {
		t.Run(row.server, func(t *testing.T) {
			t.Parallel()
			row.later(t)
		})
	}
}

// later does what TestFaultsLater says.
func (row faultRow) later(t *testing.T) {
	t.Helper()
	var cs []faultComponent
	for _, c := range row.components {
		if c.skip[awayLater] == "" {
			cs = append(cs, c)
		}
	}
	if row.start == nil || len(cs) == 0 {
		t.Skip("no component of it can lose its server")
	}
	s, addr := row.start(t)
	label(t, row.server)
	p := newPatient(t, faultFile(addr, "", cs...))
	p.works(cs, testserver.Patience)
	p.up(testserver.Patience)
	ears := p.listeners(cs)
	p.heard(ears, s, "first", testserver.Patience)
	if row.guarded {
		var starts []failedStart
		for _, c := range cs {
			starts = append(starts, failedStart{c: c, cfg: runtimetest.Load(t, faultFile(addr, wrongPassword, c), builtin.Tables()), secret: wrongPassword, want: row.denied})
		}
		refused(t, starts)
	}

	slowOnes := slices.DeleteFunc(slices.Clone(cs), func(c faultComponent) bool { return c.skip[slow] != "" })
	if len(slowOnes) > 0 {
		s.Pause()
		p.hangs(slowOnes, row.server)
		s.Resume()
		p.works(cs, testserver.Patience)
		p.up(testserver.Patience)
		p.heard(ears, s, "resumed", testserver.Patience)
	}

	p.say(ears, s, "cut", testserver.Patience) // acknowledged, and perhaps on their way only
	s.Stop()
	var kinds []string
	for _, c := range cs {
		kinds = append(kinds, c.kind)
	}
	p.fails(cs, 15*time.Second, false)
	p.down(testserver.Patience, kinds...)

	s.Start()
	p.works(cs, testserver.Patience)
	p.up(testserver.Patience)
	p.hears(ears, "cut", testserver.Patience)
	p.heard(ears, s, "back", testserver.Patience)
}

// An ear is a listener on a component.
type ear struct {
	faultComponent
	*listener
}

// listeners subscribes to what can be subscribed to.
func (p *patient) listeners(cs []faultComponent) []ear {
	p.t.Helper()
	var ears []ear
	for _, c := range cs {
		switch c.kind {
		case "pubsub":
			ears = append(ears, ear{c, subscribeTopic(p.t.Context(), p.t, p.cc, "one")})
		case "configuration":
			ears = append(ears, ear{c, subscribeConfiguration(p.t.Context(), p.t, p.cc, "one")})
		}
	}
	return ears
}

// heard writes values, and waits until they are heard.
func (p *patient) heard(ears []ear, s faultServer, prefix string, limit time.Duration) {
	p.t.Helper()
	p.say(ears, s, prefix, limit)
	p.hears(ears, prefix, limit)
}

// said are the values that a prefix stands for.
func said(prefix string) []string { return values(prefix, 10) }

// say writes values until all are acknowledged.
func (p *patient) say(ears []ear, s faultServer, prefix string, limit time.Duration) {
	p.t.Helper()
	for _, e := range ears {
		for _, v := range said(prefix) {
			eventually(p.t, limit, "writing", func(ctx context.Context) error { return faultKinds[e.kind].save(ctx, p.cc, "one", v) })
		}
	}
}

// hears waits until what was acknowledged is heard: of events each, of a
// configuration the last.
func (p *patient) hears(ears []ear, prefix string, limit time.Duration) {
	p.t.Helper()
	for _, e := range ears {
		all := said(prefix)
		if e.kind == "configuration" {
			all = all[len(all)-1:]
		}
		eventually(p.t, limit, "what was written to "+e.typ+" is heard", func(context.Context) error { return e.missing(all) })
	}
}

// kindSkips are faults that no component of a kind on a server is put to, and why.
var kindSkips = map[string]string{
	"secret/" + awayAtStart:      noConnection,
	"cryption/" + awayAtStart:    noConnection,
	"file/" + awayAtStart:        noConnection,
	"objectstore/" + awayAtStart: noConnection,
	"secret/" + full:             "nothing is written",
	"cryption/" + full:           "nothing is kept",
}
