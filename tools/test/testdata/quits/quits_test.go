package quits

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	m.Run()
	fmt.Println("2 goroutines leaked")
	os.Exit(3)
}

func TestGood(t *testing.T) {}
