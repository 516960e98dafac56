//go:build tools

// Package tools names the commands that are built from this module.
package tools

import (
	_ "golang.stackrox.io/kube-linter/cmd/kube-linter"
)
