package builtin

import (
	"github.com/dapr/components-contrib/bindings/cron"
	"github.com/dapr/components-contrib/bindings/graphql"
	"github.com/dapr/components-contrib/bindings/http"
	"github.com/dapr/components-contrib/bindings/kafka"
	"github.com/dapr/components-contrib/bindings/localstorage"
	mqtt "github.com/dapr/components-contrib/bindings/mqtt3"
	"github.com/dapr/components-contrib/bindings/mysql"
	"github.com/dapr/components-contrib/bindings/postgres"
	"github.com/dapr/components-contrib/bindings/rabbitmq"
	"github.com/dapr/components-contrib/bindings/redis"
	"github.com/dapr/components-contrib/bindings/smtp"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/contrib"
)

// bindings are the bindings.
func bindings() []components.Row[binding.Binding] {
	return append([]components.Row[binding.Binding]{
		{Type: "http", Doc: "calls an HTTP server", New: contrib.Binding(http.NewHTTP)},
		{Type: "cron", Doc: "ticks", New: contrib.Binding(cron.NewCron)},
		{Type: "localstorage", Doc: "files below rootPath", New: contrib.Binding(localstorage.NewLocalStorage)},
		{Type: "smtp", Doc: "sends mail", New: contrib.Binding(smtp.NewSMTP)},
		{Type: "graphql", Doc: "queries a GraphQL server", New: contrib.Binding(graphql.NewGraphQL)},
		{Type: "redis", Doc: "keys of Redis", New: contrib.Binding(redis.NewRedis)},
		{Type: "mysql", Doc: "SQL on MySQL or MariaDB", New: contrib.Binding(mysql.NewMysql)},
		{Type: "postgres", Doc: "SQL on PostgreSQL", New: contrib.Binding(postgres.NewPostgres)},
		{Type: "postgresql", Doc: "SQL on PostgreSQL", New: contrib.Binding(postgres.NewPostgres)},
		{Type: "kafka", Doc: "a topic of Kafka", New: contrib.Binding(kafka.NewKafka)},
		{Type: "rabbitmq", Doc: "a queue of RabbitMQ", New: contrib.Binding(rabbitmq.NewRabbitMQ)},
		{Type: "mqtt3", Doc: "a topic of an MQTT broker", New: contrib.Binding(mqtt.NewMQTT)},
		{Type: "mqtt", Doc: "a topic of an MQTT broker", New: contrib.Binding(mqtt.NewMQTT)},
	}, bindingsOfFull()...)
}
