// SPDX-License-Identifier: GPL-3.0-or-later

// Command target holds the modules that run where their task runs.
package main

import (
	"os"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/modules"
)

func main() { os.Exit(ansible.Main(os.Args, modules.Target()...)) }
