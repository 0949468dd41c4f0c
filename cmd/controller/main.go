// SPDX-License-Identifier: GPL-3.0-or-later

// Command controller contains the modules that only run on the controller, and
// the guard, which also wraps ssh, scp and sftp. The name of the executable
// selects one. It is one binary because they share most of their code, and the
// size of a collection is limited.
package main

import (
	"os"
	"path/filepath"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/guard"
	"github.com/arcodange-org/sandbox/modules/evidence"
	"github.com/arcodange-org/sandbox/modules/idempotence_gate"
	"github.com/arcodange-org/sandbox/modules/parity_assert"
	"github.com/arcodange-org/sandbox/modules/prod_ip_guard/controller"
	"github.com/arcodange-org/sandbox/modules/promotion_gate"
	"github.com/arcodange-org/sandbox/modules/sandbox_fence"
	"github.com/arcodange-org/sandbox/modules/sandbox_image"
	"github.com/arcodange-org/sandbox/modules/sandbox_services"
	"github.com/arcodange-org/sandbox/modules/sandbox_vm"
	"github.com/arcodange-org/sandbox/modules/sandbox_vm_info"
	"github.com/arcodange-org/sandbox/modules/tofu_plan_gate"
)

func main() {
	guard.RunChild() // returns unless this is the child of the command netns
	switch filepath.Base(os.Args[0]) {
	case "ssh", "scp", "sftp", "prod-ip-guard":
		os.Exit(guard.Main(guard.Process{
			Args: os.Args, Env: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		}))
	}
	os.Exit(ansible.Main(os.Args, controller.Module(), evidence.Module(), idempotencegate.Module(), parityassert.Module(), promotiongate.Module(), sandboxfence.Module(), sandboximage.Module(), sandboxservices.Module(), sandboxvm.Module(), sandboxvminfo.Module(), tofuplangate.Module()))
}
