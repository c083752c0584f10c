module example.test/backends

go 1.26
