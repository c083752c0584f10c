package embedded

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"
)

// changes is what one commit does, gathered in memory first: requests are
// checked against it one after the other, one that fails leaves it as it was,
// and a key that is written many times goes to the file once.
type changes struct {
	items, expiry *bolt.Bucket
	now           time.Time
	floor         uint64
	slots         map[string]*slot
	dirty         bool // flush wrote something
}

// slot is one key that the commit touches.
type slot struct {
	storedEnd int64 // end of the item as stored in the file; 0: none
	stored    bool  // there is a record in the file
	value
	changed bool
}

// value is what a key holds by now.
type value struct {
	exists  bool
	version uint64
	expires int64
	buf     []byte // sealed record, when it was changed
	err     error  // the record in the file is damaged, and was not overwritten
}

// slot returns the slot of key, made from the file when needed.
func (c *changes) slot(key string) *slot {
	if s := c.slots[key]; s != nil {
		return s
	}
	s := &slot{}
	if raw := c.items.Get([]byte(key)); raw != nil {
		r, err := decodeRecord(raw)
		s.stored, s.storedEnd = true, r.expires
		s.value = value{exists: err == nil, version: r.version, expires: r.expires, err: err}
	}
	c.slots[key] = s
	return s
}

// apply carries out req's writes and fills in its errors.
func (c *changes) apply(req *request) {
	type step struct {
		s       *slot
		before  value
		changed bool
	}
	var undo []step
	for i := range req.writes {
		s := c.slot(req.writes[i].op.Key)
		before := step{s, s.value, s.changed}
		if req.errs[i] = c.write(s, &req.writes[i]); req.errs[i] == nil {
			if req.atomic {
				undo = append(undo, before)
			}
			continue
		}
		if req.atomic {
			for _, u := range slices.Backward(undo) {
				u.s.value, u.s.changed = u.before, u.changed
			}
			return
		}
	}
}

// write carries out one operation on its slot. What stands under the key may
// be damaged: that is in the way of an operation that depends on it only.
func (c *changes) write(s *slot, w *write) error {
	if s.err != nil && w.op.Conditional() {
		return fmt.Errorf("key %q: %w; a write or delete without an etag replaces it", w.op.Key, s.err)
	}
	live := s.exists && (s.expires == 0 || c.now.UnixNano() < s.expires)
	var etag string
	if live && w.op.HasETag {
		etag = strconv.FormatUint(s.version, 10)
	}
	if err := w.op.Precondition(live, etag); err != nil {
		return err
	}
	if s.exists && (w.op.Delete || !live) {
		c.floor = max(c.floor, s.version)
	}
	s.changed = true
	if w.op.Delete {
		s.value = value{}
		return nil
	}
	v := value{exists: true, version: c.floor + 1, buf: w.buf}
	if live {
		v.version = s.version + 1
	}
	if w.op.TTL > 0 {
		v.expires = endOf(c.now, w.op.TTL)
	}
	seal(v.buf, w.sum, v.version, v.expires)
	s.value = v
	return nil
}

// endOf returns now + ttl in Unix nanoseconds, or the last moment that can be
// written so.
func endOf(now time.Time, ttl time.Duration) int64 {
	n := now.UnixNano()
	if end := n + int64(ttl); end > n {
		return end
	}
	return 1<<63 - 1
}

// sweep removes some of the items that have expired.
func (c *changes) sweep() error {
	cur := c.expiry.Cursor()
	removed := 0
	for k, _ := cur.First(); k != nil && removed < sweepOps; k, _ = cur.Next() {
		expires, key, err := splitExpiryKey(k)
		if err != nil {
			return err
		}
		if expires > c.now.UnixNano() {
			return nil
		}
		removed++
		s := c.slot(string(key))
		if s.err != nil || s.storedEnd != expires {
			// The index points at a record that is damaged or not its own:
			// take the pointer away, leave the record to be found.
			if err := cur.Delete(); err != nil {
				return err
			}
			c.dirty = true
			continue
		}
		if !s.changed {
			c.floor = max(c.floor, s.version)
			s.value, s.changed = value{}, true
		}
	}
	return nil
}

// flush writes what was changed to the file, in the order of the keys.
func (c *changes) flush() error {
	keys := make([]string, 0, len(c.slots))
	for key, s := range c.slots {
		if s.changed {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if err := c.flushSlot(key, c.slots[key]); err != nil {
			return err
		}
	}
	return nil
}

func (c *changes) flushSlot(key string, s *slot) error {
	c.dirty = true
	if s.storedEnd != 0 && s.storedEnd != s.expires {
		if err := c.expiry.Delete(expiryKey(s.storedEnd, key)); err != nil {
			return err
		}
	}
	if !s.exists {
		if !s.stored {
			return nil
		}
		return c.items.Delete([]byte(key))
	}
	if s.expires != 0 {
		if err := c.expiry.Put(expiryKey(s.expires, key), nil); err != nil {
			return err
		}
	}
	return c.items.Put([]byte(key), s.buf)
}
