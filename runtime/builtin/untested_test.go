package builtin_test

// untested says why types of components are not put to the suite of their kind.
// A pattern is "kind/type", with * for any text; the first that fits counts. A line
// with a * says nothing of types that tests call matrix.Backend with. Types that only
// the full build has need a line only when the reason is not that there is no server.
var untested = []struct{ pattern, why string }{
	// Other names.
	{"state/postgres", "another name of `postgresql`"},
	{"state/sqlite3", "another name of `sqlite`"},
	{"configuration/postgres", "another name of `postgresql`"},
	{"pubsub/mqtt", "another name of `mqtt3`"},
	{"binding/mqtt", "another name of `mqtt3`"},
	{"binding/postgresql", "another name of `postgres`"},

	// No server to be had.
	{"state/mongodb", "no MongoDB can be had here, and mongo-java-server lacks updates by aggregation pipeline, which is how this store writes"},
	{"state/consul", "no Consul can be had here"},
	{"state/jetstream", "only in the full build, which tests do not run"},
	{"pubsub/redis.cluster", "taken as contrib has it"},
	{"pubsub/natsstreaming", "the settings are tested, the rest is `jetstream`"},

	// Taken as contrib has them.
	{"binding/kafka", "taken as contrib has it"},
	{"binding/mqtt3", "taken as contrib has it"},
	{"binding/rabbitmq", "taken as contrib has it"},
	{"binding/smtp", "taken as contrib has it"},

	// Clouds.
	{"*/alicloud.*", "needs an account with Alibaba Cloud"},
	{"*/aws.*", "needs an account with AWS"},
	{"*/azure.*", "needs an account with Azure"},
	{"*/gcp.*", "needs an account with Google Cloud"},
	{"*/oci.*", "needs an account with Oracle Cloud"},
	{"*/cloudflare.*", "needs an account with Cloudflare"},
	{"*/huaweicloud.*", "needs an account with Huawei Cloud"},
	{"*/tencentcloud.*", "needs an account with Tencent Cloud"},
}
