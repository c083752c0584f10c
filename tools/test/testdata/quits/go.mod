module example.test/quits

go 1.26
