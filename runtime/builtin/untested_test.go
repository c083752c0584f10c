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
	{"pubsub/snssqs", "another name of `aws.snssqs`"},
	{"pubsub/azure.servicebus", "another name of `azure.servicebus.topics`"},

	// No server to be had.
	{"state/mongodb", "no MongoDB can be had here, and mongo-java-server lacks updates by aggregation pipeline, which is how this store writes"},
	{"state/consul", "no Consul can be had here"},
	{"pubsub/natsstreaming", "the settings are tested, the rest is `jetstream`"},

	// Servers that could be had, and clients that do not let the suite run.
	{"pubsub/rocketmq", "RocketMQ runs here, but contrib's client puts what it gets into an envelope as text, and hears of a new topic only after 20 s"},
	{"binding/rocketmq", "RocketMQ runs here, but contrib's client never closes its producer, of which a process may have one"},
	{"pubsub/pulsar", "its jars do not resolve here"},

	// Clouds. What has an emulator is in cloud_*_test.go.
	{"secret/azure.keyvault", "needs an account with Azure: contrib calls Azure's own address only"},
	{"secret/gcp.secretmanager", "needs an account with Google Cloud: contrib calls Google's own address only"},
	{"*/alicloud.*", "needs an account with Alibaba Cloud"},
	{"*/azure.*", "needs an account with Azure"},
	{"*/oci.*", "needs an account with Oracle Cloud"},
	{"*/cloudflare.*", "needs an account with Cloudflare"},
	{"*/huaweicloud.*", "needs an account with Huawei Cloud"},
	{"*/tencentcloud.*", "needs an account with Tencent Cloud"},
}
