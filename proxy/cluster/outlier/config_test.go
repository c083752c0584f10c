package outlier_test

import (
	"strings"
	"testing"

	"github.com/ottavo-runtime/ottavo/internal/decode"
	"github.com/ottavo-runtime/ottavo/proxy/config"
)

// No time is taken for another than was written.
func TestI10ConfigurationMistakes(t *testing.T) {
	for key, value := range map[string]any{
		"interval": "-1s", "base_ejection_time": "-30s", "max_ejection_time": "-1ms", "max_ejection_percent": 101, "consecutive_5xx": -1,
	} {
		var cfg config.OutlierDetection
		decode.Defaults(&cfg)
		if _, err := decode.Into(&cfg, map[string]any{key: value}, "outlier_detection"); err == nil || !strings.Contains(err.Error(), "outlier_detection."+key) {
			t.Errorf("%s: %v: %v", key, value, err)
		}
	}
}
