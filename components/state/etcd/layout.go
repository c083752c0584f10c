package etcd

import (
	"fmt"
	"time"

	pb "github.com/dapr/components-contrib/common/proto/state/etcd/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// layout is how a value is stored. Times to live are in seconds; 0 is for ever.
type layout interface {
	encode(value []byte, ttl int64) (string, error)
	// decode returns the end of the item, too, where the layout has it.
	decode(stored []byte) (value []byte, end time.Time, err error)
}

// plain is the first layout: the value.
type plain struct{}

func (plain) encode(value []byte, _ int64) (string, error) { return string(value), nil }

func (plain) decode(stored []byte) ([]byte, time.Time, error) { return stored, time.Time{}, nil }

// envelope is the second layout: a protobuf message.
type envelope struct{}

func (envelope) encode(value []byte, ttl int64) (string, error) {
	stored, err := proto.Marshal(&pb.Value{Data: value, Ts: timestamppb.Now(), Ttl: durationpb.New(time.Duration(ttl) * time.Second)})
	return string(stored), err
}

func (envelope) decode(stored []byte) ([]byte, time.Time, error) {
	var v pb.Value
	if err := proto.Unmarshal(stored, &v); err != nil {
		return nil, time.Time{}, fmt.Errorf("what is stored is not in the second layout (was it written as etcd, without /v2?): %w", err)
	}
	if ttl := v.GetTtl().AsDuration(); ttl > 0 {
		return v.GetData(), v.GetTs().AsTime().Add(ttl), nil
	}
	return v.GetData(), time.Time{}, nil
}
