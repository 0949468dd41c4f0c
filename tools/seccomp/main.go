// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

// Command seccomp writes the system calls that the project moby allows
// containers as JSON to standard output: its list exists on Linux only, and the
// driver runs on macOS too.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/moby/profiles/seccomp"
)

func main() {
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", " ")
	if err := out.Encode(seccomp.DefaultProfile()); err != nil {
		fmt.Fprintln(os.Stderr, "seccomp:", err)
		os.Exit(1)
	}
}
