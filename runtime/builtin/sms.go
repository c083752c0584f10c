package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/sms"
	"github.com/ottavo-runtime/ottavo/components/sms/local"
	"github.com/ottavo-runtime/ottavo/components/sms/tencent"
)

// smsSenders are the short message services.
func smsSenders() []components.Row[sms.Sender] {
	return []components.Row[sms.Sender]{
		{Type: local.Type, Doc: "messages are kept in a file, for development", Metadata: &local.Metadata{}, New: local.New},
		{Type: tencent.Type, Doc: "Tencent Cloud SMS", Metadata: &tencent.Metadata{}, New: tencent.New},
	}
}
