//go:build full

package builtin_test

import (
	"testing"

	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/pubsub"
	"github.com/ottavo-runtime/ottavo/components/state"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// What users of AWS meet: a table, queue or bucket that is not there, a service that is
// away at the start or goes later, and wrong credentials.
func TestCloudFaultsAWS(t *testing.T) {
	m := testserver.Moto(t)
	dynamoTable(m, "state", "key")
	_, err := makeCloud(t, "state", cloudTables.States, "aws.dynamodb", awsMetadata(m, "table", "nowhere"))
	says(t, "no table", err, "", "nowhere", "ResourceNotFoundException")
	_, err = makeCloud(t, "state", cloudTables.States, "aws.dynamodb", awsMetadata(m, "table", "state", "endpoint", "http://"+nobody))
	says(t, "nobody there", err, "", "refused", nobody)

	invoke := func(typ string, metadata map[string]any, req *binding.Request) error {
		b := cloud(t, "binding", cloudTables.Bindings, typ, metadata)
		defer b.Close() //nolint:errcheck // nothing follows
		_, err := b.(binding.Output).Invoke(t.Context(), req)
		return err
	}
	create := &binding.Request{Operation: "create", Data: []byte(`{"id":"a"}`), Metadata: map[string]string{"key": "a"}}
	says(t, "no queue", invoke("aws.sqs", awsMetadata(m, "queueName", "nowhere"), create), "", "queue does not exist")
	says(t, "no bucket", invoke("aws.s3", awsMetadata(m, "bucket", "nowhere", "forcePathStyle", "true"), create), "", "NoSuchBucket")

	// Later: the service goes, and comes back without what it had.
	s := cloud(t, "state", cloudTables.States, "aws.dynamodb", awsMetadata(m, "table", "state"))
	defer s.Close() //nolint:errcheck // nothing follows
	b := cloud(t, "pubsub", cloudTables.Brokers, "aws.snssqs", awsMetadata(m, "consumerID", "app"))
	defer b.Close() //nolint:errcheck // nothing follows
	op := state.Op{Key: "k", Value: []byte("v")}
	if err := s.Write(t.Context(), op); err != nil {
		t.Error(err)
	}
	m.Stop()
	says(t, "down later", s.Write(t.Context(), op), "", "refused", m.Addr)
	says(t, "down later", b.Publish(t.Context(), &pubsub.Message{Topic: "news", Data: []byte("x")}), "", "refused", m.Addr)
	m.Start()
	dynamoTable(m, "state", "key")
	if err := s.Write(t.Context(), op); err != nil {
		t.Errorf("the service is back, but: %v", err)
	}
	if err := b.Publish(t.Context(), &pubsub.Message{Topic: "news", Data: []byte("x")}); err != nil {
		t.Errorf("the service is back, but: %v", err)
	}

	// Moto refuses credentials in XML, also where the service speaks JSON: only clients of
	// the others can read why.
	m.CreateBucket("files")
	keyID, secret := m.Guard()
	const wrong = "wr0ng/Staple+wr0ng/Staple+wr0ng/Staple+w"
	guarded := awsMetadata(m, "bucket", "files", "forcePathStyle", "true")
	if err := invoke("aws.s3", guarded, create); err != nil {
		t.Errorf("with the right credentials (%s): %v", keyID, err)
	}
	says(t, "a wrong secret", invoke("aws.s3", with(guarded, "secretKey", wrong), create), wrong, "403", "SignatureDoesNotMatch")
	says(t, "an unknown key", invoke("aws.s3", with(guarded, "accessKey", "AKIANOBODY"), create), secret, "403", "InvalidAccessKeyId")
}
