package builtin

import (
	"cmp"
	"net"
	nethttp "net/http"

	"github.com/dapr/components-contrib/bindings/cron"
	"github.com/dapr/components-contrib/bindings/graphql"
	"github.com/dapr/components-contrib/bindings/http"
	"github.com/dapr/components-contrib/bindings/kafka"
	"github.com/dapr/components-contrib/bindings/localstorage"
	mqtt "github.com/dapr/components-contrib/bindings/mqtt3"
	"github.com/dapr/components-contrib/bindings/mysql"
	"github.com/dapr/components-contrib/bindings/postgres"
	"github.com/dapr/components-contrib/bindings/rabbitmq"
	"github.com/dapr/components-contrib/bindings/smtp"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/binding/redis"
	"github.com/ottavo-runtime/ottavo/components/contrib"
)

// bindings are the bindings.
func bindings() []components.Row[binding.Binding] {
	return append([]components.Row[binding.Binding]{
		{Type: "http", Doc: "calls an HTTP server", Keys: contrib.BindingKeys(http.NewHTTP, "errorIfNot2XX"), New: contrib.BindingAt(http.NewHTTP, webAddresses("url"))},
		{Type: "cron", Doc: "ticks", Keys: contrib.BindingKeys(cron.NewCron), New: contrib.Binding(cron.NewCron)},
		{Type: "localstorage", Doc: "files below rootPath", Keys: contrib.BindingKeys(localstorage.NewLocalStorage), New: contrib.Binding(localstorage.NewLocalStorage)},
		{Type: "smtp", Doc: "sends mail", Keys: contrib.BindingKeys(smtp.NewSMTP), New: contrib.Binding(contrib.OnePerCall(smtp.NewSMTP))},
		{Type: "graphql", Doc: "queries a GraphQL server", Keys: contrib.BindingKeys(graphql.NewGraphQL), New: contrib.BindingAt(graphql.NewGraphQL, webAddresses("endpoint"))},
		{Type: redis.Type, Doc: "keys of Redis: one server, behind sentinels or a cluster", Metadata: preset[redis.Metadata](), New: redis.New},
		{Type: "mysql", Doc: "SQL on MySQL or MariaDB", Keys: contrib.BindingKeys(mysql.NewMysql), New: contrib.Binding(mysql.NewMysql)},
		{Type: "postgres", Doc: "SQL on PostgreSQL", Keys: contrib.BindingKeys(postgres.NewPostgres, postgresKeys()...), New: contrib.Binding(postgres.NewPostgres)},
		{Type: "postgresql", Doc: "SQL on PostgreSQL", Keys: contrib.BindingKeys(postgres.NewPostgres, postgresKeys()...), New: contrib.Binding(postgres.NewPostgres)},
		{Type: "kafka", Doc: "a topic of Kafka", Keys: contrib.BindingKeys(kafka.NewKafka, kafkaKeys("topics", "publishTopic")...), New: contrib.BindingAt(kafka.NewKafka, listAddresses("brokers"))},
		{Type: "rabbitmq", Doc: "a queue of RabbitMQ", Keys: contrib.BindingKeys(rabbitmq.NewRabbitMQ, "ttlInSeconds"), New: contrib.BindingAt(rabbitmq.NewRabbitMQ, urlAddresses("5672", "host"))},
		{Type: "mqtt3", Doc: "a topic of an MQTT broker", Keys: contrib.BindingKeys(mqtt.NewMQTT, tlsKeys()...), New: contrib.BindingAt(mqtt.NewMQTT, urlAddresses("1883", "url"))},
		{Type: "mqtt", Doc: "a topic of an MQTT broker", Keys: contrib.BindingKeys(mqtt.NewMQTT, tlsKeys()...), New: contrib.BindingAt(mqtt.NewMQTT, urlAddresses("1883", "url"))},
	}, bindingsOfFull()...)
}

// webAddresses returns where the server of a URL is, or the proxy on the way to it
// that the environment names (HTTPS_PROXY).
func webAddresses(key string) func(map[string]string) []string {
	return func(properties map[string]string) []string {
		req, err := nethttp.NewRequest(nethttp.MethodHead, setting(properties, key), nil)
		if err != nil || req.URL.Host == "" {
			return nil // the backend tells
		}
		where := req.URL
		if proxy, err := nethttp.ProxyFromEnvironment(req); err == nil && proxy != nil {
			where = proxy
		}
		port := where.Port()
		if port == "" {
			port = map[string]string{"https": "443"}[where.Scheme]
		}
		return []string{net.JoinHostPort(where.Hostname(), cmp.Or(port, "80"))}
	}
}
