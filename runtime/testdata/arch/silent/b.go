//go:build linux

package silent
