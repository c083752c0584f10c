package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"
)

// A record is what stands under a key, all numbers big endian:
//
//	offset  bytes  what
//	0       1      format of the record, 1
//	1       4      CRC-32C of the value, then of the bytes 5 to 20
//	5       8      version: the etag as a number, at least 1
//	13      8      end of the item, Unix nanoseconds; 0: never
//	21      …      the value
//
// The checksum starts with the value so that the caller of a write can compute
// that part; the header is known only to the writer.
const (
	recordFormat = 1
	headerSize   = 21
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged is wrapped by every error about bytes that cannot be right.
var errDamaged = errors.New("damaged state record")

// record is a decoded record.
type record struct {
	version uint64
	expires int64  // Unix nanoseconds; 0: never
	value   []byte // part of the decoded bytes
}

func (r record) etag() string { return strconv.FormatUint(r.version, 10) }

func (r record) expired(now time.Time) bool { return r.expires != 0 && now.UnixNano() >= r.expires }

// end returns r's end as a time, zero for never.
func (r record) end() time.Time {
	if r.expires == 0 {
		return time.Time{}
	}
	return time.Unix(0, r.expires)
}

// newRecord returns a record with value copied into it and room for the
// header, and the checksum of the value; seal completes it.
func newRecord(value []byte) (buf []byte, sum uint32) {
	buf = make([]byte, headerSize+len(value))
	copy(buf[headerSize:], value)
	return buf, crc32.Checksum(value, castagnoli)
}

// seal writes the header into buf, which newRecord made.
func seal(buf []byte, valueSum uint32, version uint64, expires int64) {
	buf[0] = recordFormat
	binary.BigEndian.PutUint64(buf[5:], version)
	binary.BigEndian.PutUint64(buf[13:], uint64(expires))
	binary.BigEndian.PutUint32(buf[1:], crc32.Update(valueSum, castagnoli, buf[5:headerSize]))
}

// decodeRecord reads a record. It trusts nothing: any bytes lead to a record
// or to an error that wraps errDamaged. The value is part of b.
func decodeRecord(b []byte) (record, error) {
	if len(b) == 0 {
		return record{}, fmt.Errorf("%w: it is empty", errDamaged)
	}
	if b[0] != recordFormat {
		return record{}, fmt.Errorf("%w: its format is %d, this version knows format %d", errDamaged, b[0], recordFormat)
	}
	if len(b) < headerSize {
		return record{}, fmt.Errorf("%w: %d bytes are fewer than its header's %d", errDamaged, len(b), headerSize)
	}
	r := record{
		version: binary.BigEndian.Uint64(b[5:]),
		expires: int64(binary.BigEndian.Uint64(b[13:])),
		value:   b[headerSize:],
	}
	sum := crc32.Update(crc32.Checksum(r.value, castagnoli), castagnoli, b[5:headerSize])
	if sum != binary.BigEndian.Uint32(b[1:]) {
		return record{}, fmt.Errorf("%w: its checksum is wrong", errDamaged)
	}
	if r.version == 0 || r.expires < 0 {
		return record{}, fmt.Errorf("%w: version %d, end %d", errDamaged, r.version, r.expires)
	}
	return r, nil
}

// expiryKey is the key in the expiry index of an item that ends at expires.
func expiryKey(expires int64, key string) []byte {
	b := make([]byte, 8, 8+len(key))
	binary.BigEndian.PutUint64(b, uint64(expires))
	return append(b, key...)
}

// splitExpiryKey is the inverse of expiryKey; key is part of b.
func splitExpiryKey(b []byte) (expires int64, key []byte, err error) {
	if len(b) <= 8 {
		return 0, nil, fmt.Errorf("%w: an expiry index key has %d bytes", errDamaged, len(b))
	}
	return int64(binary.BigEndian.Uint64(b)), b[8:], nil
}
