// SPDX-License-Identifier: GPL-3.0-or-later

// Command controller holds the modules that only ever run on the controller.
package main

import (
	"os"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/modules"
)

func main() { os.Exit(ansible.Main(os.Args, modules.Controller()...)) }
