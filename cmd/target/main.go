// SPDX-License-Identifier: GPL-3.0-or-later

// Command target contains the modules that run where their task runs. It is
// transferred for every call, so it must stay small.
package main

import (
	"os"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/modules/app_env_name"
	"github.com/arcodange-org/sandbox/modules/prod_ip_guard"
)

func main() { os.Exit(ansible.Main(os.Args, appenvname.Module(), prodipguard.Module())) }
