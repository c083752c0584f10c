module example.test/own
