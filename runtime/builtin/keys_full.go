//go:build full

package builtin

import "slices"

// azureStorageKeys are those of Azure's storage accounts.
func azureStorageKeys(more ...string) []string {
	return slices.Concat(azureKeys(
		"accountName", "storageAccount", "storageAccountName", "accountKey", "accessKey", "storageAccessKey", "storageAccountKey",
		"endpoint", "storageEndpoint", "storageAccountEndpoint", "queueEndpointUrl",
	), more)
}

// blobKeys are those of Azure's blobs.
func blobKeys() []string {
	return azureStorageKeys("containerName", "container", "storageAccountContainer")
}

// gcpKeys are those of a service account of Google Cloud, in both spellings.
func gcpKeys() []string {
	return []string{
		"type", "projectID", "project_id", "privateKeyID", "private_key_id", "privateKey", "private_key", "clientEmail", "client_email",
		"clientID", "client_id", "authURI", "auth_uri", "tokenURI", "token_uri",
		"authProviderX509CertURL", "auth_provider_x509_cert_url", "clientX509CertURL", "client_x509_cert_url",
	}
}

func sqlServerKeys() []string {
	return azureKeys("url", "database", "schema", "cleanupIntervalInSeconds")
}

func serviceBusKeys(more ...string) []string {
	return azureKeys(append(more, "publishInitialRetryInternalInMs")...)
}

// redisKeys are those of Redis, which Azure has its own login for.
func redisKeys(more ...string) []string { return azureKeys(append(more, "useAzureAD")...) }
