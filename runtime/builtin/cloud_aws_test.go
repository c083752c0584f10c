//go:build full

package builtin_test

import (
	"net/url"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/binding/bindingtest"
	"github.com/ottavo-runtime/ottavo/components/cryption"
	"github.com/ottavo-runtime/ottavo/components/cryption/cryptiontest"
	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/file/filetest"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/pubsub/pubsubtest"
	"github.com/ottavo-runtime/ottavo/components/secret"
	"github.com/ottavo-runtime/ottavo/components/secret/secrettest"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/components/state/statetest"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// awsMetadata are the settings that all components on AWS have.
func awsMetadata(m *testserver.MotoServer, more ...string) map[string]any {
	return with(map[string]any{"endpoint": m.URL(), "region": testserver.MotoRegion, "accessKey": m.KeyID, "secretKey": m.Secret}, more...)
}

// dynamoTable makes a table with the key that Dapr's state has.
func dynamoTable(m *testserver.MotoServer, name, key string) {
	m.Call("dynamodb", "DynamoDB_20120810.CreateTable", map[string]any{
		"TableName": name, "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": []map[string]string{{"AttributeName": key, "AttributeType": "S"}},
		"KeySchema":            []map[string]string{{"AttributeName": key, "KeyType": "HASH"}},
	})
}

func TestCloudDynamoDB(t *testing.T) {
	matrix.Wide(t, "state", "aws.dynamodb", "moto")
	m := testserver.Moto(t)
	dynamoTable(m, "state", "key")
	statetest.Run(t, statetest.Options{
		New: func(t *testing.T) state.Store {
			return cloud(t, "state", cloudTables.States, "aws.dynamodb", awsMetadata(m, "table", "state", "ttlAttributeName", "ends"))
		},
		MaxValue: 390 << 10, // an item has at most 400 KB, with its names
		TTLUnit:  time.Second,
		Keys:     func(key string) bool { return len(key) <= 2048 && utf8.ValidString(key) },
	})
}

func TestCloudSNSSQS(t *testing.T) {
	matrix.Wide(t, "pubsub", "aws.snssqs", "moto")
	m := testserver.Moto(t)
	pubsubtest.Run(t, pubsubtest.Options{
		Connect: func(t *testing.T, group string) pubsub.Broker {
			return cloud(t, "pubsub", cloudTables.Brokers, "aws.snssqs", awsMetadata(m, "consumerID", group, "messageVisibilityTimeout", "2", "messageWaitTimeSeconds", "1"))
		},
		MaxMessage: 100 << 10, Texts: true,
		Redelivery: 15 * time.Second,
	})
}

func TestCloudSecretsManager(t *testing.T) {
	matrix.Wide(t, "secret", "aws.secretmanager", "moto")
	m := testserver.Moto(t)
	for name, value := range map[string]string{"one": "ünïcödé", "two": "zwei"} {
		m.Call("secretsmanager", "secretsmanager.CreateSecret", map[string]string{"Name": name, "SecretString": value})
	}
	secrettest.Run(t, secrettest.Options{
		New: func(t *testing.T) secret.Store {
			return cloud(t, "secret", cloudTables.Secrets, "aws.secretmanager", awsMetadata(m))
		},
		Secrets: map[string]secret.Secret{"one": {"one": "ünïcödé"}, "two": {"two": "zwei"}},
		Missing: "none",
	})
	m.Call("secretsmanager", "secretsmanager.CreateSecret", map[string]string{"Name": "many", "SecretString": `{"user":"app","port":5432}`})
	s := cloud(t, "secret", cloudTables.Secrets, "aws.secretmanager", awsMetadata(m, "multipleKeyValuesPerSecret", "true"))
	defer s.Close() //nolint:errcheck // nothing follows
	if got, err := s.Get(t.Context(), "many", nil); err != nil || got["user"] != "app" || got["port"] != "5432" {
		t.Errorf("a secret of several values: %d of them, %v", len(got), err)
	}
}

func TestCloudParameterStore(t *testing.T) {
	matrix.Wide(t, "secret", "aws.parameterstore", "moto")
	m := testserver.Moto(t)
	t.Setenv("AWS_ENDPOINT_URL", m.URL()) // it has no setting for that
	for name, value := range map[string]string{"/app/one": "ünïcödé", "/app/two": "zwei"} {
		m.Call("ssm", "AmazonSSM.PutParameter", map[string]string{"Name": name, "Value": value, "Type": "SecureString"})
	}
	metadata := awsMetadata(m, "prefix", "/app/")
	delete(metadata, "endpoint")
	secrettest.Run(t, secrettest.Options{
		New: func(t *testing.T) secret.Store {
			return cloud(t, "secret", cloudTables.Secrets, "aws.parameterstore", metadata)
		},
		Secrets: map[string]secret.Secret{"one": {"one": "ünïcödé"}, "two": {"two": "zwei"}},
		Missing: "none",
	})
}

func TestCloudKMS(t *testing.T) {
	matrix.Wide(t, "cryption", "aws.kms", "moto")
	m := testserver.Moto(t)
	key := func() string {
		meta, _ := m.Call("kms", "TrentService.CreateKey", map[string]string{})["KeyMetadata"].(map[string]any)
		id, _ := meta["Arn"].(string)
		return id
	}
	one, two := key(), key()
	cryptiontest.Run(t, cryptiontest.Options{
		New: func(t *testing.T) cryption.Cipher {
			return cloud(t, "cryption", cloudTables.Ciphers, "aws.kms", map[string]any{
				"accessKeyID": m.KeyID, "accessKeySecret": m.Secret, "region": testserver.MotoRegion, "KeyID": one, "endpoint": m.URL(),
			})
		},
		KeyID: one, Other: two, MaxPlain: 4096,
	})
}

func TestCloudS3Files(t *testing.T) {
	matrix.Wide(t, "file", "aws.s3", "moto")
	m := testserver.Moto(t)
	m.CreateBucket("bucket")
	filetest.Run(t, filetest.Options{
		New: func(t *testing.T) file.Store {
			return cloud(t, "file", cloudTables.Files, "aws.s3", map[string]any{
				"endpoint": m.URL(), "accessKeyID": m.KeyID, "accessKeySecret": m.Secret, "region": testserver.MotoRegion,
			})
		},
		Bucket: "bucket", DeletesSilently: true, BigSize: 6 << 20,
	})
}

// The bindings of AWS on one moto.
func TestCloudBindingsAWS(t *testing.T) {
	m := testserver.Moto(t)
	out := func(t *testing.T, typ string, metadata map[string]any, o bindingtest.Output) {
		t.Helper()
		o.New = func(t *testing.T) binding.Binding { return cloud(t, "binding", cloudTables.Bindings, typ, metadata) }
		bindingtest.RunOutput(t, o)
	}
	t.Run("aws.s3", func(t *testing.T) {
		matrix.Wide(t, "binding", "aws.s3", "moto")
		m.CreateBucket("files")
		metadata := awsMetadata(m, "bucket", "files", "forcePathStyle", "true")
		out(t, "aws.s3", metadata, bindingtest.Output{
			Request: binding.Request{Operation: "create", Data: []byte("content"), Metadata: map[string]string{"key": "a"}}, Want: "location",
			Wrong: &binding.Request{Operation: "get", Metadata: map[string]string{"key": "none"}},
		})
		b := cloud(t, "binding", cloudTables.Bindings, "aws.s3", metadata)
		defer b.Close() //nolint:errcheck // nothing follows
		got, err := b.(binding.Output).Invoke(t.Context(), &binding.Request{Operation: "get", Metadata: map[string]string{"key": "a"}})
		if err != nil || string(got.Data) != "content" {
			t.Errorf("what was written is %+v, %v", got, err)
		}
	})
	t.Run("aws.dynamodb", func(t *testing.T) {
		matrix.Wide(t, "binding", "aws.dynamodb", "moto")
		dynamoTable(m, "items", "id")
		out(t, "aws.dynamodb", awsMetadata(m, "table", "items"), bindingtest.Output{
			Request: binding.Request{Operation: "create", Data: []byte(`{"id":"a","n":1}`)},
			Wrong:   &binding.Request{Operation: "create", Data: []byte(`{"n":1}`)},
		})
	})
	t.Run("aws.sns", func(t *testing.T) {
		matrix.Wide(t, "binding", "aws.sns", "moto")
		m.Query("sns", "CreateTopic", url.Values{"Name": {"news"}})
		arn := "arn:aws:sns:" + testserver.MotoRegion + ":123456789012:news"
		out(t, "aws.sns", awsMetadata(m, "topicArn", arn), bindingtest.Output{
			Request: binding.Request{Operation: "create", Data: []byte(`{"message":"m","subject":"s"}`)},
			Wrong:   &binding.Request{Operation: "create", Data: []byte(`no JSON`)},
		})
	})
	t.Run("aws.sqs", func(t *testing.T) {
		matrix.Wide(t, "binding", "aws.sqs", "moto")
		made := m.Call("sqs", "AmazonSQS.CreateQueue", map[string]string{"QueueName": "work"})
		metadata := awsMetadata(m, "queueName", "work")
		out(t, "aws.sqs", metadata, bindingtest.Output{Request: binding.Request{Operation: "create", Data: []byte("task")}})
		bindingtest.RunInput(t, bindingtest.Input{
			New: func(t *testing.T) binding.Binding {
				return cloud(t, "binding", cloudTables.Bindings, "aws.sqs", metadata)
			},
			Cause: func(*testing.T) {
				m.Call("sqs", "AmazonSQS.SendMessage", map[string]any{"QueueUrl": made["QueueUrl"], "MessageBody": "task"})
			},
		})
	})
	t.Run("aws.kinesis", func(t *testing.T) {
		matrix.Wide(t, "binding", "aws.kinesis", "moto")
		m.Call("kinesis", "Kinesis_20131202.CreateStream", map[string]any{"StreamName": "flow", "ShardCount": 1})
		out(t, "aws.kinesis", awsMetadata(m, "streamName", "flow", "consumerName", "app"), bindingtest.Output{
			Request: binding.Request{Operation: "create", Data: []byte("record"), Metadata: map[string]string{"partitionKey": "k"}},
		})
	})
	t.Run("aws.ses", func(t *testing.T) {
		matrix.Wide(t, "binding", "aws.ses", "moto")
		t.Setenv("AWS_ENDPOINT_URL", m.URL()) // it has no setting for that
		m.Query("ses", "VerifyEmailIdentity", url.Values{"EmailAddress": {"from@example.com"}})
		metadata := awsMetadata(m, "emailFrom", "from@example.com", "emailTo", "to@example.com", "subject", "s")
		delete(metadata, "endpoint")
		out(t, "aws.ses", metadata, bindingtest.Output{
			Request: binding.Request{Operation: "create", Data: []byte(`"<p>text</p>"`)},
			Wrong:   &binding.Request{Operation: "create", Data: []byte(`"x"`), Metadata: map[string]string{"emailFrom": "nobody@example.com"}},
		})
	})
}
