package builtin

import (
	"github.com/dapr/components-contrib/secretstores/hashicorp/vault"
	"github.com/dapr/components-contrib/secretstores/local/env"
	"github.com/dapr/components-contrib/secretstores/local/file"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/contrib"
	"github.com/ottavo-runtime/ottavo/components/secret"
)

// secrets are the secret stores.
func secrets() []components.Row[secret.Store] {
	return append([]components.Row[secret.Store]{
		{Type: "local.file", Doc: "a JSON file, read at the start", Keys: contrib.Keys(file.NewLocalSecretStore), New: contrib.Secret(file.NewLocalSecretStore)},
		{Type: "local.env", Doc: "the environment of this process, or what begins with `prefix` of it", Keys: contrib.Keys(env.NewEnvSecretStore), New: contrib.Secret(env.NewEnvSecretStore)},
		{Type: "hashicorp.vault", Doc: "HashiCorp Vault, its key-value engine", Keys: contrib.Keys(vault.NewHashiCorpVaultSecretStore), New: contrib.SecretAt(vault.NewHashiCorpVaultSecretStore, vaultAddresses)},
	}, secretsOfFull()...)
}

// vaultAddresses is where Vault is.
func vaultAddresses(properties map[string]string) []string {
	missing(properties, "vaultAddr", "https://127.0.0.1:8200") // as contrib has it
	return webAddresses("vaultAddr")(properties)
}
