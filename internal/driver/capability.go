// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrLacks is a capability that is required and that the driver's machines lack.
var ErrLacks = errors.New("not with this driver")

// Capability is something that a machine with a kernel of its own has, and a
// machine that shares one may lack. A play that needs it names it before
// anything is made (Spec.Requires).
type Capability string

// The capabilities that drivers differ in.
const (
	Clock   Capability = "clock"   // its clock can be set
	ISCSI   Capability = "iscsi"   // an iSCSI initiator, which volumes of Longhorn need
	Modules Capability = "modules" // kernel modules can be loaded
	Swap    Capability = "swap"    // swap of its own
)

// Capabilities lists all of them, sorted.
func Capabilities() []Capability { return []Capability{Clock, ISCSI, Modules, Swap} }

// virtual are the drivers whose machines are virtual ones, which lack nothing.
var virtual = []string{"lima", "multipass", "vagrant"}

// Lack says in one sentence that a driver's machines lack a capability, why, and
// which drivers have it.
func Lack(driver string, capability Capability, reason string) string {
	return fmt.Sprintf("machines of the driver %s lack %s (%s); use a driver whose machines have a kernel of their own: %s",
		driver, capability, reason, strings.Join(virtual, ", "))
}

// requires returns an error for the first required capability that the driver lacks.
func requires(d Driver, want Spec) error {
	for _, capability := range want.Requires {
		if !slices.Contains(Capabilities(), capability) {
			return fmt.Errorf("%w: requires %q: use one of %v", ErrInvalid, capability, Capabilities())
		}
		if reason, lacks := d.Lacks()[capability]; lacks {
			return fmt.Errorf("%w: %s", ErrLacks, Lack(d.Name(), capability, reason))
		}
	}
	return nil
}
