//go:build full

package builtin

import (
	alicloudparameterstore "github.com/dapr/components-contrib/secretstores/alicloud/parameterstore"
	"github.com/dapr/components-contrib/secretstores/aws/parameterstore"
	"github.com/dapr/components-contrib/secretstores/aws/secretmanager"
	"github.com/dapr/components-contrib/secretstores/azure/keyvault"
	gcpsecretmanager "github.com/dapr/components-contrib/secretstores/gcp/secretmanager"
	"github.com/dapr/components-contrib/secretstores/huaweicloud/csms"
	"github.com/dapr/components-contrib/secretstores/kubernetes"
	"github.com/dapr/components-contrib/secretstores/tencentcloud/ssm"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/secret"
)

func secretsOfFull() []components.Row[secret.Store] {
	return []components.Row[secret.Store]{
		{Type: "kubernetes", Doc: "see Dapr's secret store of this name", Keys: contrib.Keys(kubernetes.NewKubernetesSecretStore, "defaultNamespace", "kubeconfigPath"), New: contrib.Secret(kubernetes.NewKubernetesSecretStore)},
		{Type: "azure.keyvault", Doc: "see Dapr's secret store of this name", Keys: contrib.Keys(keyvault.NewAzureKeyvaultSecretStore, azureKeys()...), New: contrib.Secret(keyvault.NewAzureKeyvaultSecretStore)},
		{Type: "aws.secretmanager", Doc: "see Dapr's secret store of this name", Keys: contrib.Keys(secretmanager.NewSecretManager, awsKeys()...), New: contrib.Secret(secretmanager.NewSecretManager)},
		{Type: "aws.parameterstore", Doc: "see Dapr's secret store of this name", Keys: contrib.Keys(parameterstore.NewParameterStore, awsKeys()...), New: contrib.Secret(parameterstore.NewParameterStore)},
		{Type: "gcp.secretmanager", Doc: "see Dapr's secret store of this name", Keys: contrib.Keys(gcpsecretmanager.NewSecreteManager, gcpKeys()...), New: contrib.Secret(gcpsecretmanager.NewSecreteManager)},
		{Type: "alicloud.parameterstore", Doc: "see Dapr's secret store of this name", Keys: contrib.Keys(alicloudparameterstore.NewParameterStore), New: contrib.Secret(alicloudparameterstore.NewParameterStore)},
		{Type: "huaweicloud.csms", Doc: "see Dapr's secret store of this name", Keys: contrib.Keys(csms.NewHuaweiCsmsSecretStore), New: contrib.Secret(csms.NewHuaweiCsmsSecretStore)},
		{Type: "tencentcloud.ssm", Doc: "see Dapr's secret store of this name", Keys: contrib.Keys(ssm.NewSSM), New: contrib.Secret(ssm.NewSSM)},
	}
}
