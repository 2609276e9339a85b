//go:build tools

// Package tools names the programs of this combination, so that go.mod and go.sum cover them.
package tools

import (
	_ "github.com/cilium/cilium/operator"
)
