//go:build full

package builtin

import (
	"github.com/dapr/components-contrib/bindings/alicloud/dingtalk/webhook"
	"github.com/dapr/components-contrib/bindings/alicloud/oss"
	"github.com/dapr/components-contrib/bindings/alicloud/sls"
	"github.com/dapr/components-contrib/bindings/alicloud/tablestore"
	"github.com/dapr/components-contrib/bindings/apns"
	"github.com/dapr/components-contrib/bindings/aws/dynamodb"
	"github.com/dapr/components-contrib/bindings/aws/kinesis"
	"github.com/dapr/components-contrib/bindings/aws/s3"
	"github.com/dapr/components-contrib/bindings/aws/ses"
	"github.com/dapr/components-contrib/bindings/aws/sns"
	"github.com/dapr/components-contrib/bindings/aws/sqs"
	"github.com/dapr/components-contrib/bindings/azure/blobstorage"
	"github.com/dapr/components-contrib/bindings/azure/cosmosdb"
	gremlinapi "github.com/dapr/components-contrib/bindings/azure/cosmosdb/gremlinapi"
	"github.com/dapr/components-contrib/bindings/azure/eventgrid"
	"github.com/dapr/components-contrib/bindings/azure/eventhubs"
	"github.com/dapr/components-contrib/bindings/azure/openai"
	"github.com/dapr/components-contrib/bindings/azure/servicebusqueues"
	"github.com/dapr/components-contrib/bindings/azure/signalr"
	"github.com/dapr/components-contrib/bindings/azure/storagequeues"
	cfqueues "github.com/dapr/components-contrib/bindings/cloudflare/queues"
	"github.com/dapr/components-contrib/bindings/commercetools"
	"github.com/dapr/components-contrib/bindings/dubbo"
	"github.com/dapr/components-contrib/bindings/gcp/bucket"
	gcppubsub "github.com/dapr/components-contrib/bindings/gcp/pubsub"
	"github.com/dapr/components-contrib/bindings/huawei/obs"
	"github.com/dapr/components-contrib/bindings/influx"
	"github.com/dapr/components-contrib/bindings/kubemq"
	"github.com/dapr/components-contrib/bindings/kubernetes"
	"github.com/dapr/components-contrib/bindings/postmark"
	"github.com/dapr/components-contrib/bindings/rethinkdb/statechange"
	"github.com/dapr/components-contrib/bindings/rocketmq"
	"github.com/dapr/components-contrib/bindings/sftp"
	"github.com/dapr/components-contrib/bindings/twilio/sendgrid"
	twiliosms "github.com/dapr/components-contrib/bindings/twilio/sms"
	"github.com/dapr/components-contrib/bindings/wasm"
	"github.com/dapr/components-contrib/bindings/zeebe/command"
	"github.com/dapr/components-contrib/bindings/zeebe/jobworker"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/binding"
	"github.com/ottavo-runtime/ottavo/components/contrib"
)

func bindingsOfFull() []components.Row[binding.Binding] {
	return []components.Row[binding.Binding]{
		{Type: "alicloud.oss", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(oss.NewAliCloudOSS), New: contrib.Binding(oss.NewAliCloudOSS)},
		{Type: "alicloud.sls", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(sls.NewAliCloudSlsLogstorage), New: contrib.Binding(sls.NewAliCloudSlsLogstorage)},
		{Type: "alicloud.tablestore", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(tablestore.NewAliCloudTableStore), New: contrib.Binding(tablestore.NewAliCloudTableStore)},
		{Type: "alicloud.dingtalk.webhook", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(webhook.NewDingTalkWebhook), New: contrib.Binding(webhook.NewDingTalkWebhook)},
		{Type: "gcp.pubsub", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(gcppubsub.NewGCPPubSub, gcpKeys()...), New: contrib.Binding(gcppubsub.NewGCPPubSub)},
		{Type: "gcp.bucket", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(bucket.NewGCPStorage, gcpKeys()...), New: contrib.Binding(bucket.NewGCPStorage)},
		{Type: "aws.sns", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(sns.NewAWSSNS, awsKeys()...), New: contrib.Binding(sns.NewAWSSNS)},
		{Type: "aws.dynamodb", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(dynamodb.NewDynamoDB, awsKeys()...), New: contrib.Binding(dynamodb.NewDynamoDB)},
		{Type: "aws.sqs", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(sqs.NewAWSSQS, awsKeys()...), New: contrib.Binding(sqs.NewAWSSQS)},
		{Type: "aws.ses", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(ses.NewAWSSES, awsKeys()...), New: contrib.Binding(ses.NewAWSSES)},
		{Type: "aws.kinesis", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(kinesis.NewAWSKinesis, awsKeys()...), New: contrib.Binding(kinesis.NewAWSKinesis)},
		{Type: "aws.s3", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(s3.NewAWSS3, awsKeys()...), New: contrib.Binding(s3.NewAWSS3)},
		{Type: "cloudflare.queues", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(cfqueues.NewCFQueues), New: contrib.Binding(cfqueues.NewCFQueues)},
		{Type: "postmark", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(postmark.NewPostmark), New: contrib.Binding(postmark.NewPostmark)},
		{Type: "rethinkdb.statechange", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(statechange.NewRethinkDBStateChangeBinding), New: contrib.Binding(statechange.NewRethinkDBStateChangeBinding)},
		{Type: "twilio.sendgrid", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(sendgrid.NewSendGrid), New: contrib.Binding(sendgrid.NewSendGrid)},
		{Type: "twilio.sms", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(twiliosms.NewSMS), New: contrib.Binding(twiliosms.NewSMS)},
		{Type: "wasm", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(wasm.NewWasmOutput), New: contrib.Binding(wasm.NewWasmOutput)},
		{Type: "apns", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(apns.NewAPNS), New: contrib.Binding(apns.NewAPNS)},
		{Type: "dubbo", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(dubbo.NewDubboOutput), New: contrib.Binding(dubbo.NewDubboOutput)},
		{Type: "huawei.obs", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(obs.NewHuaweiOBS), New: contrib.Binding(obs.NewHuaweiOBS)},
		{Type: "sftp", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(sftp.NewSftp), New: contrib.Binding(sftp.NewSftp)},
		{Type: "kubernetes", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(kubernetes.NewKubernetes, "resyncPeriodInSec"), New: contrib.Binding(kubernetes.NewKubernetes)},
		{Type: "rocketmq", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(rocketmq.NewRocketMQ, "accessKey", "accessProto", "consumerBatchSize", "consumerGroup", "consumerThreadNums", "endpoint", "instanceId", "nameServer", "nameServerDomain", "retries", "secretKey", "topics"), New: contrib.Binding(rocketmq.NewRocketMQ)},
		{Type: "azure.eventgrid", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(eventgrid.NewAzureEventGrid, azureKeys("subscriptionID", "azureSubscriptionID")...), New: contrib.Binding(eventgrid.NewAzureEventGrid)},
		{Type: "azure.eventhubs", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(eventhubs.NewAzureEventHubs, azureKeys()...), New: contrib.Binding(eventhubs.NewAzureEventHubs)},
		{Type: "azure.servicebusqueues", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(servicebusqueues.NewAzureServiceBusQueues, serviceBusKeys("ttl", "ttlInSeconds")...), New: contrib.Binding(servicebusqueues.NewAzureServiceBusQueues)},
		{Type: "azure.signalr", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(signalr.NewSignalR, azureKeys()...), New: contrib.Binding(signalr.NewSignalR)},
		{Type: "azure.storagequeues", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(storagequeues.NewAzureStorageQueues, azureStorageKeys("queueName", "queue", "storageAccountQueue", "ttlInSeconds")...), New: contrib.Binding(storagequeues.NewAzureStorageQueues)},
		{Type: "azure.openai", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(openai.NewOpenAI, azureKeys()...), New: contrib.Binding(openai.NewOpenAI)},
		{Type: "azure.cosmosdb.gremlinapi", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(gremlinapi.NewCosmosDBGremlinAPI), New: contrib.Binding(gremlinapi.NewCosmosDBGremlinAPI)},
		{Type: "azure.cosmosdb", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(cosmosdb.NewCosmosDB, azureKeys()...), New: contrib.Binding(cosmosdb.NewCosmosDB)},
		{Type: "azure.blobstorage", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(blobstorage.NewAzureBlobStorage, blobKeys()...), New: contrib.Binding(blobstorage.NewAzureBlobStorage)},
		{Type: "zeebe.jobworker", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(jobworker.NewZeebeJobWorker), New: contrib.Binding(jobworker.NewZeebeJobWorker)},
		{Type: "zeebe.command", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(command.NewZeebeCommand), New: contrib.Binding(command.NewZeebeCommand)},
		{Type: "influx", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(influx.NewInflux), New: contrib.Binding(influx.NewInflux)},
		{Type: "commercetools", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(commercetools.NewCommercetools), New: contrib.Binding(commercetools.NewCommercetools)},
		{Type: "kubemq", Doc: "see Dapr's binding of this name", Keys: contrib.BindingKeys(kubemq.NewKubeMQ), New: contrib.Binding(kubemq.NewKubeMQ)},
	}
}
