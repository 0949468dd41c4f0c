// SPDX-License-Identifier: GPL-3.0-or-later

package sshguard

import (
	"io/fs"
	"os"
	"syscall"
)

// owned returns whether a file belongs to this user.
func owned(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
