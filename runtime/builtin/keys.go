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

// awsKeys are those of a login at AWS, with their old names.
func awsKeys(more ...string) []string {
	return append([]string{
		"region", "awsRegion", "accessKey", "awsAccessKey", "secretKey", "awsSecretKey", "sessionToken", "awsSessionToken",
		"assumeRoleArn", "awsIamRoleArn", "assumeRoleSessionName", "sessionName", "awsStsSessionName", "trustAnchorArn", "trustProfileArn",
	}, more...)
}

// postgresKeys are those of PostgreSQL, which clouds have their own logins for.
func postgresKeys(more ...string) []string {
	return slices.Concat([]string{"url", "timeoutInSeconds", "cleanupIntervalInSeconds"}, azureKeys(), awsKeys(), more)
}

func kafkaKeys(more ...string) []string {
	return slices.Concat([]string{"authRequired", "channelBufferSize", "consumerFetchMin", "consumerFetchDefault"}, awsKeys(), more)
}

// tlsKeys are those of clients with certificates.
func tlsKeys(more ...string) []string {
	return append([]string{"caCert", "clientCert", "clientKey"}, more...)
}
