package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestCounters builds a program with the file that the overlay puts into the
// sidecar, and asks it.
func TestCounters(t *testing.T) {
	var overlay struct{ Replace map[string]string }
	text, err := os.ReadFile("overlay.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &overlay); err != nil {
		t.Fatal(err)
	}
	if len(overlay.Replace) != 1 || overlay.Replace["cmd/ottavo/counters.go"] != "tools/bench/counters.go.txt" {
		t.Fatalf("overlay.json replaces %v", overlay.Replace)
	}
	if _, err := os.Stat("../../cmd/ottavo/main.go"); err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("counters.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"counters.go": string(source),
		"main.go":     "package main\n\nimport \"time\"\n\nfunc main() { time.Sleep(time.Hour) }\n",
		"go.mod":      "module counted\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", "program", ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "program"))
	cmd.Env = append(os.Environ(), countersVariable+"="+socket)
	p, err := start(dir, "program", cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.stop() }()
	side := &sidecar{process: p, counters: socket}
	deadline := time.Now().Add(time.Minute)
	for !side.collect(t.Context()) {
		if time.Now().After(deadline) {
			t.Fatal("does not answer")
		}
		pause(t.Context(), time.Millisecond)
	}
	before := side.used(t.Context())
	for range 10 { // each is a few allocations there
		side.used(t.Context())
	}
	spent := side.used(t.Context()).since(before)
	if !spent.counted || spent.allocs < 10 || spent.allocs > 10_000 {
		t.Errorf("used %+v", spent)
	}
	s := series{calls: 10}
	s.add(spent)
	s.add(usage{allocs: 7, bytes: 70, counted: true})
	columns := s.perCall()
	if got, want := columns[2].n, float64(spent.allocs+7)/10; got != want || columns[2].format == "" {
		t.Errorf("%g allocations per call, want %g", got, want)
	}
	if columns[0].format != "" {
		t.Error("CPU time is said to be known, although the second round's is not")
	}
}
