// SPDX-License-Identifier: GPL-3.0-or-later

package netns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	RunChild(os.Args)
	os.Exit(m.Run())
}

// An inherited socket would connect outside the namespace; a pipe would not.
func TestAConnectionThatIsOpenStaysOutside(t *testing.T) {
	tcp, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	var pipe [2]int
	require.NoError(t, unix.Pipe(pipe[:]))
	t.Cleanup(func() {
		for _, fd := range []int{tcp, pair[0], pair[1], pipe[0], pipe[1]} {
			_ = unix.Close(fd)
		}
	})
	f := Network{Allow: func(context.Context, netip.AddrPort) error { return errors.New("nothing") }, Log: io.Discard}
	inherited := func(fd int) bool {
		code, err := f.Run(t.Context(), Command{Args: []string{"test", "-e", fmt.Sprintf("/proc/self/fd/%d", fd)}, Env: os.Environ()})
		if errors.Is(err, ErrUnavailable) {
			t.Skip(err)
		}
		require.NoError(t, err)
		return code == 0
	}
	assert.False(t, inherited(tcp), "a socket of the network outside")
	assert.False(t, inherited(pair[0]), "a socket of this machine")
	assert.True(t, inherited(pipe[0]), "a pipe")
}

// Of the capabilities that make networks, look at others' processes and enter their networks, root has none left either.
func TestTheCommandCannotChangeItsNetwork(t *testing.T) {
	f := Network{Allow: func(context.Context, netip.AddrPort) error { return errors.New("nothing") }, Log: io.Discard}
	code, err := f.Run(t.Context(), Command{Args: []string{"sh", "-c", `test $(( 0x$(sed -n "s/^CapEff:.//p" /proc/self/status) & 0x283000 )) = 0`}, Env: os.Environ()})
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	require.NoError(t, err)
	assert.Zero(t, code)
}
