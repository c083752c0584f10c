package contrib_test

import (
	"testing"

	mqtt "github.com/dapr/components-contrib/bindings/mqtt3"
	"github.com/dapr/components-contrib/bindings/rabbitmq"

	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/binding/bindingtest"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/internal/matrix"
	"github.com/ottavo-runtime/ottavo/internal/testserver"
)

// send puts one message through an output, which it closes.
func send(t *testing.T, b binding.Binding) {
	t.Helper()
	if _, err := b.(binding.Output).Invoke(t.Context(), &binding.Request{Operation: "create", Data: []byte("x")}); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestRabbitMQBinding(t *testing.T) {
	matrix.Backend(t, "binding", "rabbitmq")
	addr := testserver.RabbitMQ(t).Addr
	open := func(t *testing.T) binding.Binding {
		return newBinding(t, contrib.Binding(rabbitmq.NewRabbitMQ), map[string]any{
			"host": "amqp://guest:guest@" + addr, "queueName": "orders", "durable": "true",
		})
	}
	bindingtest.RunOutput(t, bindingtest.Output{
		New:     open,
		Request: binding.Request{Operation: "create", Data: []byte("x")},
		Wrong:   &binding.Request{Operation: "create", Metadata: map[string]string{"ttlInSeconds": "soon"}},
	})
	bindingtest.RunInput(t, bindingtest.Input{
		New:   open,
		Cause: func(t *testing.T) { send(t, open(t)) }, // the queue keeps it until somebody reads
	})
}

func TestMQTTBinding(t *testing.T) {
	matrix.Backend(t, "binding", "mqtt3")
	addr := testserver.Mosquitto(t).Addr //nolint:misspell // a name
	open := func(t *testing.T, consumer, retain string) binding.Binding {
		return newBinding(t, contrib.Binding(mqtt.NewMQTT), map[string]any{
			"url": "tcp://" + addr, "topic": "orders", "consumerID": consumer, "retain": retain, "qos": "1", "cleanSession": "true",
		})
	}
	// Each subscription gets what is retained, whenever it comes to be; and no sooner, as
	// of a session that goes on: the driver does not end what it does at the time.
	send(t, open(t, "first", "true"))
	bindingtest.RunOutput(t, bindingtest.Output{
		New:     func(t *testing.T) binding.Binding { return open(t, "output", "false") },
		Request: binding.Request{Operation: "create", Data: []byte("x")},
	})
	bindingtest.RunInput(t, bindingtest.Input{
		New: func(t *testing.T) binding.Binding { return open(t, "input", "false") },
	})
}
