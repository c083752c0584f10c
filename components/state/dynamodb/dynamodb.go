package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	awscommon "github.com/dapr/components-contrib/common/aws"
	"github.com/dapr/components-contrib/common/aws/auth"
	contribstate "github.com/dapr/components-contrib/state"
	contrib "github.com/dapr/components-contrib/state/aws/dynamodb"
	"github.com/dapr/kit/logger"
	kitmetadata "github.com/dapr/kit/metadata"

	"github.com/ottavo-runtime/ottavo/components"
	adapter "github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/state"
)

// maxKey is how many bytes DynamoDB takes for a key.
const maxKey = 2048

// etag is the form that contrib and we give etags.
var etag = regexp.MustCompile("^[0-9a-f]{1,16}$")

// New makes the constructor.
func New() components.Factory[state.Store] {
	return adapter.State(NewBackend, adapter.StateTraits{
		ETag: etag.MatchString,
		Key: func(key string) error {
			if len(key) > maxKey || !utf8.ValidString(key) {
				return fmt.Errorf("DynamoDB takes keys of UTF-8 with at most %d bytes", maxKey)
			}
			return nil
		},
		Again: conflict,
		Refused: func(err error) bool {
			e, ok := errors.AsType[smithy.APIError](err)
			return ok && e.ErrorCode() == "ValidationException"
		},
	})
}

// NewBackend makes what New adapts; its settings are contrib's.
func NewBackend(log logger.Logger) contribstate.Store {
	reader, ok := contrib.NewDynamoDBStateStore(log).(*contrib.StateStore)
	if !ok {
		panic("dynamodb: contrib's store has another type now")
	}
	return &store{StateStore: reader, log: log}
}

// store is contrib's, but for what writes.
type store struct {
	*contrib.StateStore
	log    logger.Logger
	client *dynamodb.Client
	settings
}

// settings are those of contrib that writing needs.
type settings struct {
	Table            string
	TTLAttributeName string
	PartitionKey     string
	Region           string `mapstructure:"region" mapstructurealiases:"awsRegion"`
	Endpoint         string
	AccessKey        string
	SecretKey        string
	SessionToken     string
}

// Init implements contribstate.Store.
func (s *store) Init(ctx context.Context, metadata contribstate.Metadata) error {
	if err := s.StateStore.Init(ctx, metadata); err != nil {
		return err
	}
	s.PartitionKey = "key"
	if err := kitmetadata.DecodeMetadata(metadata.Properties, &s.settings); err != nil {
		return err
	}
	cfg, err := awscommon.NewConfig(ctx, auth.Options{
		Logger: s.log, Properties: metadata.Properties, Region: s.Region, Endpoint: s.Endpoint,
		AccessKey: s.AccessKey, SecretKey: s.SecretKey, SessionToken: s.SessionToken,
	})
	if err != nil {
		return err
	}
	s.client = dynamodb.NewFromConfig(cfg)
	return nil
}

// conflict tells that another transaction was about the same item: this one did nothing.
func conflict(err error) bool {
	if _, ok := errors.AsType[*types.TransactionConflictException](err); ok {
		return true
	}
	return cancelled(err, "TransactionConflict") && !cancelled(err, "ConditionalCheckFailed")
}

// cancelled tells whether a transaction was cancelled for a reason, among others.
func cancelled(err error, reason string) bool {
	e, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok {
		return false
	}
	for _, r := range e.CancellationReasons {
		if r.Code != nil && *r.Code == reason {
			return true
		}
	}
	return false
}

// mismatch makes an etag's error of a condition that did not hold.
func mismatch(err error) error {
	if _, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok || cancelled(err, "ConditionalCheckFailed") {
		return contribstate.NewETagError(contribstate.ETagMismatch, err)
	}
	return err
}
