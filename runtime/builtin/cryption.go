package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/cryption"
	"github.com/ottavo-runtime/ottavo/components/cryption/aliyun"
	"github.com/ottavo-runtime/ottavo/components/cryption/aws"
	"github.com/ottavo-runtime/ottavo/components/cryption/local"
)

// ciphers are the encryption services.
func ciphers() []components.Row[cryption.Cipher] {
	return []components.Row[cryption.Cipher]{
		{Type: local.Type, Doc: "keys in a file; AES-256-GCM", Metadata: &local.Metadata{}, New: local.New},
		{Type: aliyun.Type, Doc: "Alibaba Cloud KMS", Metadata: &aliyun.Metadata{}, New: aliyun.New},
		{Type: aws.Type, Doc: "Amazon KMS", Metadata: &aws.Metadata{}, New: aws.New},
	}
}
