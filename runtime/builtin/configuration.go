package builtin

import (
	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/components/configuration"
	"github.com/ottavo-runtime/ottavo/components/configuration/apollo"
	"github.com/ottavo-runtime/ottavo/components/configuration/etcd"
	"github.com/ottavo-runtime/ottavo/components/configuration/file"
	"github.com/ottavo-runtime/ottavo/components/configuration/memory"
)

// configurations are the configuration stores.
func configurations() []components.Row[configuration.Store] {
	return []components.Row[configuration.Store]{
		{Type: memory.Type, Doc: "in this process; gone when it ends", Metadata: &memory.Metadata{}, New: memory.New},
		{Type: file.Type, Doc: "a YAML or JSON file, or a folder of files; changes are noticed", Metadata: ptr(file.Defaults()), New: file.New},
		{Type: file.OtherType, Doc: "another name of local.file", Metadata: ptr(file.Defaults()), New: file.New},
		{Type: etcd.Type, Doc: "etcd 3, with Layotto's layout", Metadata: &etcd.Metadata{}, New: etcd.New},
		{Type: apollo.Type, Doc: "Apollo: configuration service and open API", Metadata: ptr(apollo.Defaults()), New: apollo.New},
	}
}
