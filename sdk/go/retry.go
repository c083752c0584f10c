package ottavo

import (
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/grpc"

	cryptionv1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/cryption"
	s3v1 "github.com/ottavo-runtime/ottavo/spec/proto/extension/v1/s3"
	runtimev1 "github.com/ottavo-runtime/ottavo/spec/proto/runtime/v1"
)

// readOnly are the methods that change nothing, so that a second call does no harm
// when nobody knows what became of the first.
var readOnly = []string{
	runtimev1.Runtime_SayHello_FullMethodName,
	runtimev1.Runtime_GetConfiguration_FullMethodName,
	runtimev1.Runtime_GetState_FullMethodName,
	runtimev1.Runtime_GetBulkState_FullMethodName,
	runtimev1.Runtime_GetFile_FullMethodName,
	runtimev1.Runtime_ListFile_FullMethodName,
	runtimev1.Runtime_GetFileMeta_FullMethodName,
	runtimev1.Runtime_GetSecret_FullMethodName,
	runtimev1.Runtime_GetBulkSecret_FullMethodName,
	s3v1.ObjectStorageService_GetObject_FullMethodName,
	s3v1.ObjectStorageService_HeadObject_FullMethodName,
	s3v1.ObjectStorageService_IsObjectExist_FullMethodName,
	s3v1.ObjectStorageService_ListObjects_FullMethodName,
	s3v1.ObjectStorageService_ListObjectVersions_FullMethodName,
	s3v1.ObjectStorageService_GetObjectTagging_FullMethodName,
	s3v1.ObjectStorageService_GetObjectCannedAcl_FullMethodName,
	s3v1.ObjectStorageService_SignURL_FullMethodName,
	cryptionv1.CryptionService_Encrypt_FullMethodName,
	cryptionv1.CryptionService_Decrypt_FullMethodName,
}

// RetryReads has calls that change nothing made again, up to that many times in
// all (2 to 5), when the runtime could not be reached or the connection broke
// before the answer began; the pauses begin with 0.1 s and double. The context's
// deadline is for all of them together.
//
// Writes, events, locks and calls of services are never repeated: whether the
// first one was carried out is for the caller to find out, with an etag or an id.
//
//	client, err := ottavo.Dial("", ottavo.RetryReads(4))
func RetryReads(attempts int) grpc.DialOption {
	attempts = min(max(attempts, 1), 5)
	if attempts == 1 {
		return grpc.EmptyDialOption{}
	}
	type name struct {
		Service string `json:"service"`
		Method  string `json:"method"`
	}
	names := make([]name, len(readOnly))
	for i, full := range readOnly {
		names[i].Service, names[i].Method, _ = strings.Cut(full[1:], "/")
	}
	text, err := json.Marshal(map[string]any{"methodConfig": []any{map[string]any{
		"name": names,
		"retryPolicy": map[string]any{
			"maxAttempts": attempts, "initialBackoff": "0.1s", "maxBackoff": "2s", "backoffMultiplier": 2,
			"retryableStatusCodes": []string{"UNAVAILABLE"},
		},
	}}})
	if err != nil {
		panic(fmt.Sprintf("ottavo: the service configuration: %v", err)) // texts and numbers only
	}
	return grpc.WithDefaultServiceConfig(string(text))
}
