// SPDX-License-Identifier: GPL-3.0-or-later

// Command prod-ip-guard decides whether something leads to the sandbox, and
// stands in for ssh, scp and sftp.
package main

import (
	"os"

	"github.com/arcodange-org/sandbox/internal/guard"
)

func main() {
	guard.Inside()
	os.Exit(guard.Main(guard.Process{
		Args: os.Args, Env: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}))
}
