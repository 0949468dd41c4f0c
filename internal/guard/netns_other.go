// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package guard

import (
	"context"
	"runtime"
)

// netns fails: this system has no network namespaces.
func (p Process) netns(context.Context, []string) int {
	p.wrong("netns: %s has no network namespaces, so the command was not started; "+
		"run it on Linux, or in a Linux virtual machine that reaches the sandbox only", runtime.GOOS)
	return statusUnsupported
}

// RunChild is for Linux, where the command netns has a child process.
func RunChild() {}
