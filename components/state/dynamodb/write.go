package dynamodb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	contribstate "github.com/dapr/components-contrib/state"
)

// A write is one operation as DynamoDB has it: an item to put, or, without one, a key
// to delete.
type write struct {
	key       map[string]types.AttributeValue
	item      map[string]types.AttributeValue
	condition *string
	names     map[string]string
	values    map[string]types.AttributeValue
}

// Set implements contribstate.Store.
func (s *store) Set(ctx context.Context, req *contribstate.SetRequest) error {
	return s.write(ctx, *req)
}

// Delete implements contribstate.Store.
func (s *store) Delete(ctx context.Context, req *contribstate.DeleteRequest) error {
	return s.write(ctx, *req)
}

func (s *store) write(ctx context.Context, op contribstate.TransactionalStateOperation) error {
	w, err := s.prepare(op, op)
	if err != nil {
		return err
	}
	if w.item == nil {
		_, err = s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: &s.Table, Key: w.key, ConditionExpression: w.condition, ExpressionAttributeNames: w.names, ExpressionAttributeValues: w.values,
		})
	} else {
		_, err = s.client.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: &s.Table, Item: w.item, ConditionExpression: w.condition, ExpressionAttributeNames: w.names, ExpressionAttributeValues: w.values,
		})
	}
	return mismatch(err)
}

// Multi implements contribstate.TransactionalStore. DynamoDB has one operation per item
// in a transaction: of several on a key the first one's condition counts, and the last
// one's effect. Whether those after the first could be done is known beforehand.
func (s *store) Multi(ctx context.Context, request *contribstate.TransactionalStateRequest) error {
	type span struct {
		first, last contribstate.TransactionalStateOperation
	}
	spans := map[string]*span{}
	var keys []string
	for _, op := range request.Operations {
		key := op.GetKey()
		before := spans[key]
		if before == nil {
			spans[key] = &span{first: op, last: op}
			keys = append(keys, key)
			continue
		}
		etag, create := conditions(op)
		_, deleted := before.last.(contribstate.DeleteRequest)
		if etag != nil || create && !deleted {
			return contribstate.NewETagError(contribstate.ETagMismatch, errors.New("an operation before it in the transaction has changed the item"))
		}
		before.last = op
	}
	input := &dynamodb.TransactWriteItemsInput{TransactItems: make([]types.TransactWriteItem, 0, len(keys))}
	for _, key := range keys {
		w, err := s.prepare(spans[key].first, spans[key].last)
		if err != nil {
			return err
		}
		var item types.TransactWriteItem
		if w.item == nil {
			item.Delete = &types.Delete{TableName: &s.Table, Key: w.key, ConditionExpression: w.condition, ExpressionAttributeNames: w.names, ExpressionAttributeValues: w.values}
		} else {
			item.Put = &types.Put{TableName: &s.Table, Item: w.item, ConditionExpression: w.condition, ExpressionAttributeNames: w.names, ExpressionAttributeValues: w.values}
		}
		input.TransactItems = append(input.TransactItems, item)
	}
	_, err := s.client.TransactWriteItems(ctx, input)
	return mismatch(err)
}

// conditions are those of an operation: an etag, or that there is no item.
func conditions(op contribstate.TransactionalStateOperation) (etag *string, create bool) {
	switch op := op.(type) {
	case contribstate.SetRequest:
		return op.ETag, op.ETag == nil && op.Options.Concurrency == contribstate.FirstWrite
	case contribstate.DeleteRequest:
		return op.ETag, false
	}
	return nil, false
}

// prepare makes a write with the condition of one operation and the effect of another
// on the same key.
func (s *store) prepare(condition, effect contribstate.TransactionalStateOperation) (*write, error) {
	w := &write{key: map[string]types.AttributeValue{s.PartitionKey: text(effect.GetKey())}}
	if set, ok := effect.(contribstate.SetRequest); ok {
		if err := s.fill(w, set); err != nil {
			return nil, err
		}
	}
	etag, create := conditions(condition)
	if etag == nil && !create {
		return w, nil
	}
	w.names = map[string]string{"#etag": "etag"}
	w.values = map[string]types.AttributeValue{}
	expression := "attribute_not_exists(#etag)"
	if etag != nil {
		expression = "#etag = :etag"
		w.values[":etag"] = text(*etag)
	}
	if s.TTLAttributeName != "" { // an item that has ended is there until it is swept away
		w.names["#ends"] = s.TTLAttributeName
		w.values[":now"] = number(time.Now().Unix())
		if create {
			expression += " OR #ends <= :now"
		} else {
			expression += " AND (attribute_not_exists(#ends) OR #ends > :now)"
		}
	}
	if len(w.values) == 0 {
		w.values = nil // an empty one is refused
	}
	w.condition = aws.String(expression)
	return w, nil
}

// fill makes the item that contrib would: value, etag, and when it ends.
func (s *store) fill(w *write, set contribstate.SetRequest) error {
	value, ok := set.Value.([]byte)
	if !ok {
		return fmt.Errorf("a value of type %T", set.Value)
	}
	var etag [8]byte
	if _, err := rand.Read(etag[:]); err != nil {
		return err
	}
	w.item = map[string]types.AttributeValue{
		s.PartitionKey: w.key[s.PartitionKey],
		"value":        &types.AttributeValueMemberB{Value: value},
		"etag":         text(hex.EncodeToString(etag[:])),
	}
	if ttl := set.Metadata["ttlInSeconds"]; ttl != "" && s.TTLAttributeName != "" {
		seconds, err := strconv.ParseInt(ttl, 10, 64)
		if err != nil {
			return fmt.Errorf("ttlInSeconds: %w", err)
		}
		w.item[s.TTLAttributeName] = number(time.Now().Unix() + seconds)
	}
	return nil
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}
