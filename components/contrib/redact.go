package contrib

import "github.com/ottavo-runtime/ottavo/components/internal/settings"

// hideSecrets returns err, or, when its text holds one of a component's secrets,
// an error with the text without them.
func hideSecrets(err error, properties map[string]string) error {
	return settings.HideIn(err, settings.Secrets(properties))
}
