package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/objectstore"
	"github.com/ottavo-runtime/ottavo/components/objectstore/local"
	"github.com/ottavo-runtime/ottavo/components/objectstore/s3"
)

// objectStores are the object stores.
func objectStores() []components.Row[objectstore.Store] {
	return []components.Row[objectstore.Store]{
		{Type: local.Type, Doc: "a folder of this machine", Metadata: &local.Metadata{}, New: local.New},
		{Type: s3.TypeAWS, Doc: "Amazon S3, or a server like it at the endpoint", Metadata: &s3.Metadata{}, New: s3.NewAWS},
		{Type: s3.TypeCeph, Doc: "Ceph, and every other server like S3", Metadata: &s3.Metadata{}, New: s3.NewCompatible},
		{Type: s3.TypeMinIO, Doc: "MinIO", Metadata: &s3.Metadata{}, New: s3.NewCompatible},
		{Type: s3.TypeAliyun, Doc: "Aliyun OSS", Metadata: &s3.Metadata{}, New: s3.NewAliyun},
		{Type: s3.TypeHuawei, Doc: "Huawei Cloud OBS", Metadata: &s3.Metadata{}, New: s3.NewHuawei},
	}
}
