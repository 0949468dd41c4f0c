// SPDX-License-Identifier: GPL-3.0-or-later

// Command controller holds the modules that only ever run on the controller.
package main

import (
	"os"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/modules/evidence"
	"github.com/arcodange-org/sandbox/modules/idempotence_gate"
	"github.com/arcodange-org/sandbox/modules/prod_ip_guard/controller"
	"github.com/arcodange-org/sandbox/modules/sandbox_image"
	"github.com/arcodange-org/sandbox/modules/sandbox_vm"
	"github.com/arcodange-org/sandbox/modules/tofu_plan_gate"
)

func main() {
	os.Exit(ansible.Main(os.Args, controller.Module(), evidence.Module(), idempotencegate.Module(), sandboximage.Module(), sandboxvm.Module(), tofuplangate.Module()))
}
