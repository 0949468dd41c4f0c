// SPDX-License-Identifier: GPL-3.0-or-later

package nftrules

import (
	"context"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/arcodange-org/sandbox/internal/run"
)

// prints is a program that prints this.
type prints string

func (p prints) Run(context.Context, run.Cmd) (run.Result, error) {
	return run.Result{Stdout: []byte(p)}, nil
}

func TestAddressesAreTheSameInWhateverOrderTheNameServerReturnsThem(t *testing.T) {
	t.Parallel()
	want := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")}
	for _, printed := range []prints{
		"192.0.2.2 STREAM mirror.test\n192.0.2.2 DGRAM\n192.0.2.1 STREAM\n2001:db8::1 STREAM\n",
		"2001:db8::1 STREAM mirror.test\n192.0.2.1 STREAM\n192.0.2.1 RAW\n192.0.2.2 STREAM\n",
	} {
		assert.Equal(t, want, Lookup(printed, nil)(t.Context(), "mirror.test"))
	}
}
