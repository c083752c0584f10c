package builtin

import "slices"

// The keys below are those that backends of contrib read beside the structs that
// they tell of: old names, and what they share. TestKeysOfContrib holds them to what
// contrib publishes of each backend.

// azureKeys are those of a login at Azure, with their old names.
func azureKeys(more ...string) []string {
	return append([]string{
		"azureClientId", "spnClientId", "clientId", "azureClientSecret", "spnClientSecret", "clientSecret",
		"azureTenantId", "spnTenantId", "tenantId", "azureEnvironment", "azureCloud",
		"azureCertificate", "spnCertificate", "azureCertificateFile", "spnCertificateFile", "azureCertificatePassword", "spnCertificatePassword",
		"azureAuthMethods", "azureADAuthMethods", "entraIDAuthMethods", "microsoftEntraIDAuthMethods",
	}, more...)
}

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

// awsKeys are those of a login at AWS, with their old names.
func awsKeys(more ...string) []string {
	return append([]string{
		"region", "awsRegion", "accessKey", "awsAccessKey", "secretKey", "awsSecretKey", "sessionToken", "awsSessionToken",
		"assumeRoleArn", "awsIamRoleArn", "assumeRoleSessionName", "sessionName", "awsStsSessionName", "trustAnchorArn", "trustProfileArn",
	}, more...)
}

// gcpKeys are those of a service account of Google Cloud, in both spellings.
func gcpKeys() []string {
	return []string{
		"type", "projectID", "project_id", "privateKeyID", "private_key_id", "privateKey", "private_key", "clientEmail", "client_email",
		"clientID", "client_id", "authURI", "auth_uri", "tokenURI", "token_uri",
		"authProviderX509CertURL", "auth_provider_x509_cert_url", "clientX509CertURL", "client_x509_cert_url",
	}
}

// postgresKeys are those of PostgreSQL, which clouds have their own logins for.
func postgresKeys(more ...string) []string {
	return slices.Concat([]string{"url", "timeoutInSeconds", "cleanupIntervalInSeconds"}, azureKeys(), awsKeys(), more)
}

func sqlServerKeys() []string {
	return azureKeys("url", "database", "schema", "cleanupIntervalInSeconds")
}

func kafkaKeys(more ...string) []string {
	return slices.Concat([]string{"authRequired", "channelBufferSize", "consumerFetchMin", "consumerFetchDefault"}, awsKeys(), more)
}

// redisKeys are those of Redis, which Azure has its own login for.
func redisKeys(more ...string) []string { return azureKeys(append(more, "useAzureAD")...) }

func serviceBusKeys(more ...string) []string {
	return azureKeys(append(more, "publishInitialRetryInternalInMs")...)
}

// tlsKeys are those of clients with certificates.
func tlsKeys(more ...string) []string {
	return append([]string{"caCert", "clientCert", "clientKey"}, more...)
}
