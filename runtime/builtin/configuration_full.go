//go:build full

package builtin

import (
	"github.com/dapr/components-contrib/configuration/azure/appconfig"
	"github.com/dapr/components-contrib/configuration/kubernetes"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/contrib"
)

// configurationsOfFull are those of contrib's stores that only the full build has.
func configurationsOfFull() []components.Row[configuration.Store] {
	return []components.Row[configuration.Store]{
		{Type: "azure.appconfig", Doc: "Azure App Configuration, to read and watch", Keys: contrib.Keys(appconfig.NewAzureAppConfigurationStore, azureKeys()...), Beside: []string{"timeout"}, New: contrib.Configuration(appconfig.NewAzureAppConfigurationStore, contrib.ConfigurationTraits{})},
		{Type: "kubernetes", Doc: "a ConfigMap of Kubernetes, to read and watch", Keys: contrib.Keys(kubernetes.NewKubernetesConfigMapStore), Beside: []string{"timeout"}, New: contrib.Configuration(kubernetes.NewKubernetesConfigMapStore, contrib.ConfigurationTraits{})},
	}
}
