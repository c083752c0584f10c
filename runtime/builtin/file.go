package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/file"
	"github.com/ottavo-runtime/ottavo/components/file/local"
	"github.com/ottavo-runtime/ottavo/components/file/qiniu"
	"github.com/ottavo-runtime/ottavo/components/file/s3"
)

// files are the file stores.
func files() []components.Row[file.Store] {
	return []components.Row[file.Store]{
		{Type: local.Type, Doc: "a folder of this machine, which names cannot lead out of", Metadata: &local.Metadata{}, New: local.New},
		{Type: s3.TypeMinIO, Doc: "MinIO, or another server like S3", Metadata: &s3.Metadata{}, New: s3.NewMinIO},
		{Type: s3.TypeAWS, Doc: "Amazon S3, or a server like it at the endpoint", Metadata: &s3.Metadata{}, New: s3.NewAWS},
		{Type: s3.TypeAliyun, Doc: "Aliyun OSS", Metadata: &s3.Metadata{}, New: s3.NewAliyun},
		{Type: s3.TypeTencent, Doc: "Tencent COS", Metadata: &s3.Metadata{}, New: s3.NewTencent},
		{Type: qiniu.Type, Doc: "Qiniu Kodo", Metadata: &qiniu.Metadata{}, New: qiniu.New},
	}
}
