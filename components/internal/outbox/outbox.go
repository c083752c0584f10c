// Package outbox keeps messages in a file instead of sending them: what the local
// senders of mail, short messages and calls share. It is for development and tests
// of applications; whoever reads the file sees what would have been sent.
package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ottavo-runtime/ottavo/components"
)

// Metadata are the settings.
type Metadata struct {
	File string `json:"file" doc:"Where messages are kept, one JSON object in a line. Default <data_dir>/outbox/<name>.jsonl."`
}

// Outbox appends messages to a file. It is safe for concurrent use.
type Outbox struct {
	path string
	mu   sync.Mutex
	file *os.File // nil once it is closed
}

// Open opens the file that the component's settings name, and makes it if need be.
func Open(env components.Env, cfg components.Config) (*Outbox, error) {
	var m Metadata
	if err := cfg.Decode(&m); err != nil {
		return nil, err
	}
	if m.File == "" {
		m.File = filepath.Join(env.DataDir, "outbox", filepath.Base(cfg.Name)+".jsonl")
	}
	if err := os.MkdirAll(filepath.Dir(m.File), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the outbox: %w (choose another with %s.file)", err, cfg.SettingsPath())
	}
	f, err := os.OpenFile(m.File, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the outbox: %w (choose another with %s.file)", err, cfg.SettingsPath())
	}
	return &Outbox{path: m.File, file: f}, nil
}

// record is a line of the file.
type record struct {
	RequestID string    `json:"request_id"`
	Time      time.Time `json:"time"`
	Message   any       `json:"message"`
}

// Put appends a message and returns the id that it got. When it returns an error
// nothing but perhaps a part of a line was written.
func (o *Outbox) Put(ctx context.Context, message any) (id string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	id = uuid.NewString()
	line, err := json.Marshal(record{id, time.Now().UTC(), message})
	if err != nil {
		return "", fmt.Errorf("message for the outbox %s: %w", o.path, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil {
		return "", fmt.Errorf("the outbox %s is closed", o.path)
	}
	if _, err := o.file.Write(append(line, '\n')); err != nil {
		return "", fmt.Errorf("writing to the outbox: %w", err)
	}
	return id, nil
}

// Close closes the file. It is safe twice.
func (o *Outbox) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil {
		return nil
	}
	err := o.file.Close()
	o.file = nil
	return err
}
