package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/email"
	"github.com/ottavo-runtime/ottavo/components/email/aliyun"
	"github.com/ottavo-runtime/ottavo/components/email/local"
)

// emailSenders are the mail services.
func emailSenders() []components.Row[email.Sender] {
	return []components.Row[email.Sender]{
		{Type: local.Type, Doc: "mails are kept in a file, for development", Metadata: &local.Metadata{}, New: local.New},
		{Type: aliyun.Type, Doc: "Alibaba Cloud DirectMail", Metadata: &aliyun.Metadata{}, New: aliyun.New},
	}
}
