// SPDX-License-Identifier: GPL-3.0-or-later

package parityassert

import (
	"context"
	"errors"

	"github.com/arcodange-org/sandbox/internal/ansible"
)

// capturedOptions are the options that only state captured has.
func capturedOptions() map[string]ansible.Option { return nil }

// captured writes the manifest from production's sources.
func captured(context.Context, *ansible.Call) error {
	return errors.New("this build cannot capture a manifest: write it by hand")
}
