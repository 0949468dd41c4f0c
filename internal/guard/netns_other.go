// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package guard

import (
	"context"
	"runtime"
)

// fence refuses to pretend: there are no network namespaces here.
func (p Process) fence(context.Context, []string) int {
	p.wrong("fence: %s has no network namespaces, so nothing would be held back and the command was not started; "+
		"run it on Linux, or in a Linux virtual machine that reaches the sandbox only", runtime.GOOS)
	return Absent
}

// Inside is for Linux, where the fence has a second stage.
func Inside() {}
