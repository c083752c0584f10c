// Package mqtt is a client of MQTT 3.1.1 in the form of contrib's brokers, with the
// settings of contrib's type mqtt3. It is here because contrib's own client drops
// what a server sends again before the subscription is made anew: those messages
// would wait for the next broken connection. It publishes under a name of its own,
// so that two processes of one consumerID do not drive each other out.
//
// Messages that are not acknowledged are sent again by the server when the client
// comes back by the same name; package contrib sees to the rest.
package mqtt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/components-contrib/pubsub"
	"github.com/dapr/kit/logger"
	kitmetadata "github.com/dapr/kit/metadata"
	paho "github.com/eclipse/paho.mqtt.golang"
)

// SubscriberKey is the setting of a client that only subscribes: a private one,
// for the traits.
const SubscriberKey = "ottavoSubscriber"

// settings are contrib's.
type settings struct {
	pubsub.TLSProperties `mapstructure:",squash"`
	URL                  string `mapstructure:"url"`
	ConsumerID           string `mapstructure:"consumerID" mdignore:"true"`
	Qos                  byte   `mapstructure:"qos"`
	Retain               bool   `mapstructure:"retain"`
	CleanSession         bool   `mapstructure:"cleanSession"`
	OttavoSubscriber     bool   `mapstructure:"ottavoSubscriber" mdignore:"true"`
}

const (
	// answerTime is how long the server may take for what it is asked.
	answerTime = 10 * time.Second
	// reconnectTime is the longest pause between tries to connect again.
	reconnectTime = 2 * time.Second
	// quiesceMillis is what work under way has when the client goes.
	quiesceMillis = 100
)

// client is one connection.
type client struct {
	log  logger.Logger
	cfg  settings
	conn paho.Client // nil until connected

	mu     sync.Mutex
	closed bool
	gone   chan struct{} // closed by Close
}

// New makes one; Init connects it.
func New(log logger.Logger) pubsub.PubSub { return &client{log: log, gone: make(chan struct{})} }

// Init implements pubsub.PubSub.
func (c *client) Init(ctx context.Context, md pubsub.Metadata) error {
	c.cfg = settings{Qos: 1}
	if err := kitmetadata.DecodeMetadata(md.Properties, &c.cfg); err != nil {
		return fmt.Errorf("mqtt: %w", err)
	}
	if c.cfg.URL == "" {
		return errors.New("mqtt: url is missing: for example tcp://localhost:1883")
	}
	if c.cfg.Qos > 2 {
		return fmt.Errorf("mqtt: qos %d: must be 0, 1 or 2", c.cfg.Qos)
	}
	var err error
	if c.cfg.TLSProperties, err = pubsub.TLS(md.Properties); err != nil {
		return fmt.Errorf("mqtt: settings for TLS: %w", err)
	}
	if c.cfg.OttavoSubscriber {
		return nil // Subscribe connects, when there is somebody to take what comes
	}
	opts, err := c.options(c.cfg.ConsumerID+"-"+rand.Text()[:10], true)
	if err != nil {
		return err
	}
	return c.connect(ctx, opts)
}

func (c *client) options(name string, clean bool) (*paho.ClientOptions, error) {
	u, err := url.Parse(c.cfg.URL)
	if err != nil || u.Host == "" {
		return nil, errors.New("mqtt: url: must be like tcp://user:password@host:1883")
	}
	scheme := u.Scheme
	switch scheme {
	case "mqtt":
		scheme = "tcp"
	case "mqtts", "tcps", "tls":
		scheme = "ssl"
	}
	opts := paho.NewClientOptions().AddBroker(scheme + "://" + u.Host).SetClientID(name).SetCleanSession(clean).
		SetOrderMatters(false).SetAutoAckDisabled(true).SetAutoReconnect(true).SetMaxReconnectInterval(reconnectTime).
		SetConnectTimeout(answerTime).SetWriteTimeout(answerTime)
	opts.SetUsername(u.User.Username())
	if password, ok := u.User.Password(); ok {
		opts.SetPassword(password)
	}
	tls, err := pubsub.ConvertTLSPropertiesToTLSConfig(c.cfg.TLSProperties)
	if err != nil {
		return nil, fmt.Errorf("mqtt: settings for TLS: %w", err)
	}
	opts.SetTLSConfig(tls)
	opts.OnConnectionLost = func(_ paho.Client, err error) {
		c.log.Warnf("the connection to the MQTT server was lost; it is made again: %v", err)
	}
	return opts, nil
}

func (c *client) connect(ctx context.Context, opts *paho.ClientOptions) error {
	conn := paho.NewClient(opts)
	if err := c.wait(ctx, conn.Connect()); err != nil {
		conn.Disconnect(0)
		return fmt.Errorf("mqtt: cannot connect to %s: %w", opts.Servers[0].Host, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.Disconnect(0)
		return errClosed
	}
	c.conn = conn
	return nil
}

var errClosed = errors.New("mqtt: the client was closed")

// wait waits for the server's answer.
func (c *client) wait(ctx context.Context, token paho.Token) error {
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	select {
	case <-token.Done():
		return token.Error()
	case <-c.gone:
		return errClosed
	case <-timer.C:
		return fmt.Errorf("mqtt: the server has not answered within %s", answerTime)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Features implements pubsub.PubSub.
func (c *client) Features() []pubsub.Feature {
	return []pubsub.Feature{pubsub.FeatureSubscribeWildcards}
}

// Publish implements pubsub.PubSub. The metadata `retain` overrides the setting.
func (c *client) Publish(ctx context.Context, req *pubsub.PublishRequest) error {
	retain := c.cfg.Retain
	if text := req.Metadata["retain"]; text != "" {
		var err error
		if retain, err = strconv.ParseBool(text); err != nil {
			return fmt.Errorf("mqtt: metadata retain %q: must be true or false", text)
		}
	}
	if !c.conn.IsConnectionOpen() {
		// The library would keep it for later, in memory only.
		return errors.New("mqtt: there is no connection to the server at the moment")
	}
	return c.wait(ctx, c.conn.Publish(req.Topic, c.cfg.Qos, retain, req.Data))
}

// Subscribe implements pubsub.PubSub. It connects by the consumer's name and may be
// called once.
func (c *client) Subscribe(ctx context.Context, req pubsub.SubscribeRequest, handle pubsub.Handler) error {
	opts, err := c.options(c.cfg.ConsumerID, c.cfg.CleanSession)
	if err != nil {
		return err
	}
	opts.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
		err := handle(ctx, &pubsub.NewMessage{
			Topic: m.Topic(), Data: m.Payload(), Metadata: map[string]string{"retained": strconv.FormatBool(m.Retained())},
		})
		if err == nil {
			m.Ack()
		}
	})
	first := make(chan error, 1)
	opts.OnConnect = func(conn paho.Client) {
		err := c.wait(ctx, conn.Subscribe(req.Topic, c.cfg.Qos, nil)) // nil: the handler above
		if err != nil {
			c.log.Errorf("the MQTT server does not let us subscribe to %s: %v", req.Topic, err)
		}
		select {
		case first <- err:
		default:
		}
	}
	if err := c.connect(ctx, opts); err != nil {
		return err
	}
	select {
	case err := <-first:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// GetComponentMetadata tells what the settings are.
func (c *client) GetComponentMetadata() (info metadata.MetadataMap) {
	known := metadata.MetadataMap{}
	_ = metadata.GetMetadataInfoFromStructType(reflect.TypeFor[settings](), &known, metadata.PubSubType) // the type is ours
	return maps.Clone(known)
}

// Close implements pubsub.PubSub.
func (c *client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	close(c.gone)
	if c.conn != nil {
		c.conn.Disconnect(quiesceMillis)
	}
	return nil
}
