// SPDX-License-Identifier: GPL-3.0-or-later

// Package modules lists the collection's modules by the kit that holds them.
// It knows their names; what they do is each package's own.
package modules

import (
	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/modules/app_env_name"
	"github.com/arcodange-org/sandbox/modules/prod_ip_guard"
	"github.com/arcodange-org/sandbox/modules/sandbox_image"
	"github.com/arcodange-org/sandbox/modules/sandbox_vm"
)

// Target lists the modules that run where their task runs.
func Target() []ansible.Module {
	return []ansible.Module{appenvname.Module(), prodipguard.Module()}
}

// Controller lists the modules that only ever run on the controller.
func Controller() []ansible.Module {
	return []ansible.Module{sandboximage.Module(), sandboxvm.Module()}
}
