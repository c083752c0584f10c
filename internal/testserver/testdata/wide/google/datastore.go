package main

import (
	"context"
	"sync"

	"cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// datastore keeps entities by their keys.
type datastore struct {
	datastorepb.UnimplementedDatastoreServer

	mu       sync.Mutex
	version  int64
	entities map[string]*datastorepb.EntityResult
}

func newDatastore() *datastore { return &datastore{entities: map[string]*datastorepb.EntityResult{}} }

// name is a key as text. A real Datastore refuses names of more than 1500 bytes.
func name(k *datastorepb.Key) (string, error) {
	for _, e := range k.GetPath() {
		if len(e.GetName()) > 1500 {
			return "", status.Error(codes.InvalidArgument, "The key path element name is longer than 1500 bytes.")
		}
		if e.GetName() == "" {
			return "", status.Error(codes.InvalidArgument, "The key is not complete.")
		}
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(&datastorepb.Key{Path: k.GetPath()})
	return string(b), err
}

// Lookup implements datastorepb.DatastoreServer.
func (d *datastore) Lookup(_ context.Context, req *datastorepb.LookupRequest) (*datastorepb.LookupResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	resp := &datastorepb.LookupResponse{ReadTime: timestamppb.Now()}
	for _, k := range req.GetKeys() {
		n, err := name(k)
		if err != nil {
			return nil, err
		}
		if found := d.entities[n]; found != nil {
			resp.Found = append(resp.Found, found)
		} else {
			resp.Missing = append(resp.Missing, &datastorepb.EntityResult{Entity: &datastorepb.Entity{Key: k}, Version: d.version + 1})
		}
	}
	return resp, nil
}

// Commit implements datastorepb.DatastoreServer, outside of transactions.
func (d *datastore) Commit(_ context.Context, req *datastorepb.CommitRequest) (*datastorepb.CommitResponse, error) {
	if req.GetMode() != datastorepb.CommitRequest_NON_TRANSACTIONAL {
		return nil, status.Error(codes.Unimplemented, "this stand-in has no transactions")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	resp := &datastorepb.CommitResponse{CommitTime: timestamppb.Now()}
	for _, m := range req.GetMutations() {
		d.version++
		switch op := m.GetOperation().(type) {
		case *datastorepb.Mutation_Upsert:
			if proto.Size(op.Upsert) > 1<<20-4 {
				return nil, status.Error(codes.InvalidArgument, "The entity is too big: the limit is 1048572 bytes.")
			}
			n, err := name(op.Upsert.GetKey())
			if err != nil {
				return nil, err
			}
			for property, v := range op.Upsert.GetProperties() {
				if !v.GetExcludeFromIndexes() && len(v.GetStringValue()) > 1500 {
					return nil, status.Errorf(codes.InvalidArgument, "The value of property %q is longer than 1500 bytes.", property)
				}
			}
			d.entities[n] = &datastorepb.EntityResult{Entity: op.Upsert, Version: d.version}
		case *datastorepb.Mutation_Delete:
			n, err := name(op.Delete)
			if err != nil {
				return nil, err
			}
			delete(d.entities, n)
		default:
			return nil, status.Error(codes.Unimplemented, "this stand-in has no such mutation")
		}
		resp.MutationResults = append(resp.MutationResults, &datastorepb.MutationResult{Version: d.version})
	}
	return resp, nil
}
