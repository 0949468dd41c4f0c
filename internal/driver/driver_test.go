// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/atomicfile"
)

func step(name string, fails error, log *[]string) Step {
	return Step{
		Name: name,
		Do:   func(context.Context) error { *log = append(*log, "do "+name); return fails },
		Undo: func(ctx context.Context) error { *log = append(*log, "undo "+name); return ctx.Err() },
	}
}

func TestAFailedPlanUndoesItsStepsInReverseOrder(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	var log []string
	plan := Plan{Steps: []Step{step("one", nil, &log), step("two", broken, &log), step("three", nil, &log)}}
	err := plan.run(t.Context(), false, nil)
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "could not two")
	assert.Equal(t, []string{"do one", "do two", "undo two", "undo one"}, log)
}

func TestAFailedPlanWithKeepUndoesNothing(t *testing.T) {
	t.Parallel()
	var log []string
	plan := Plan{Steps: []Step{step("one", nil, &log), step("two", errors.New("broken"), &log)}}
	require.Error(t, plan.run(t.Context(), true, nil))
	assert.Equal(t, []string{"do one", "do two"}, log)
}

func TestAPlanThatIsInterruptedStillHasTimeToUndo(t *testing.T) {
	t.Parallel()
	var log []string
	ctx, cancel := context.WithCancel(t.Context())
	plan := Plan{Steps: []Step{step("one", nil, &log), step("two", nil, &log)}}
	err := plan.run(ctx, false, func(name string, done bool) {
		if name == "one" && done {
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	assert.NotContains(t, err.Error(), "take back")
	assert.Equal(t, []string{"do one", "undo two", "undo one"}, log)
}

func serve(t *testing.T, answer func(net.Conn)) (string, int) {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { answer(conn); conn.Close() }()
		}
	}()
	return "127.0.0.1", listener.Addr().(*net.TCPAddr).Port
}

func TestWaitingForSSHReportsTheLastFailure(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer func(net.Conn)
		seen   string
	}{
		"a server of another kind":          {func(c net.Conn) { fmt.Fprint(c, "220 mail ready\r\n") }, `a server that sent "220 mail ready"`},
		"a proxy without anything behind":   {func(net.Conn) {}, "connected, but no greeting: "},
		"a server that accepts and is mute": {func(net.Conn) { time.Sleep(time.Second) }, "connected, but no greeting: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, port := serve(t, test.answer)
			begun := time.Now()
			err := waitSSH(t.Context(), host, port, 200*time.Millisecond)
			require.ErrorIs(t, err, ErrNoSSH)
			assert.ErrorContains(t, err, "within 200ms; last seen: ")
			assert.ErrorContains(t, err, test.seen)
			assert.Less(t, time.Since(begun), 2*time.Second)
		})
	}
	t.Run("nobody", func(t *testing.T) {
		t.Parallel()
		err := waitSSH(t.Context(), "127.0.0.1", 1, 100*time.Millisecond)
		require.ErrorIs(t, err, ErrNoSSH)
		assert.ErrorContains(t, err, "connection refused")
	})
	t.Run("a server that comes late is waited for", func(t *testing.T) {
		t.Parallel()
		ready := time.Now().Add(300 * time.Millisecond)
		host, port := serve(t, func(c net.Conn) {
			if time.Now().After(ready) {
				fmt.Fprint(c, "SSH-2.0-OpenSSH_10.0\r\n")
			}
		})
		assert.NoError(t, waitSSH(t.Context(), host, port, 10*time.Second))
	})
	t.Run("a caller that gives up", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := waitSSH(ctx, "127.0.0.1", 1, time.Minute)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorIs(t, err, ErrNoSSH)
	})
}

const aKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEeL6A8xYun/B0+KJHehvjFAmICzpf0FQxGnneSe38U2"

func TestAPublicKeyIsReadAsSSHKeygenReadsIt(t *testing.T) {
	t.Parallel()
	key, err := ParsePublicKey(aKey + " somebody@somewhere")
	require.NoError(t, err)
	assert.Equal(t, "SHA256:71/sxrzenxydvYIztIso/M0llLXmXP/FSZUCHf3N8ZU", key.Fingerprint)
	for name, line := range map[string]string{
		"nothing": "", "only a type": "ssh-ed25519", "not base64": "ssh-ed25519 ????", "cut off": "ssh-ed25519 AAAAC3Nz",
		"another type than it says": strings.Replace(aKey, "ssh-ed25519", "ssh-rsa", 1), "a private key": "-----BEGIN OPENSSH PRIVATE KEY-----",
	} {
		_, err := ParsePublicKey(line)
		assert.ErrorIs(t, err, ErrInvalid, name)
	}
}

func TestKnownHostsHasEveryAddressOfTheMachine(t *testing.T) {
	t.Parallel()
	key, err := ParsePublicKey(aKey)
	require.NoError(t, err)
	m := Machine{Name: "pi1", Address: "172.30.0.11", SSHHost: "172.30.0.11", SSHPort: 22, HostKeys: []PublicKey{key}}
	assert.Equal(t, []string{"172.30.0.11 " + aKey + " pi1"}, m.knownHosts())
	m.SSHHost, m.SSHPort = "127.0.0.1", 2211
	assert.Equal(t, []string{"172.30.0.11,[127.0.0.1]:2211 " + aKey + " pi1"}, m.knownHosts())
}

func TestKnownHostsOfOneMachineLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	h := Home{Dir: t.TempDir()}
	require.NoError(t, h.setKnownHosts("pi1", []string{"10.0.0.1 t k pi1"}))
	require.NoError(t, h.setKnownHosts("pi2", []string{"10.0.0.2 t k pi2"}))
	require.NoError(t, h.setKnownHosts("pi1", []string{"10.0.0.3 t k pi1"}))
	lines, err := h.knownHostsOf("pi1")
	require.NoError(t, err)
	assert.Equal(t, []string{"10.0.0.3 t k pi1"}, lines)
	require.NoError(t, h.setKnownHosts("pi1", nil))
	data, err := os.ReadFile(h.knownHostsFile())
	require.NoError(t, err)
	assert.Equal(t, "10.0.0.2 t k pi2\n", string(data))
	require.NoError(t, h.setKnownHosts("pi2", nil))
	assert.NoFileExists(t, h.knownHostsFile())
}

func TestTheStateFolderFollowsXDG(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  map[string]string
		want string
	}{
		"its own variable":           {map[string]string{"XDG_STATE_HOME": "/s", "HOME": "/h"}, "/s/arcodange-sandbox/sandbox"},
		"a relative one is void":     {map[string]string{"XDG_STATE_HOME": "s", "HOME": "/h"}, "/h/.local/state/arcodange-sandbox/sandbox"},
		"only a home":                {map[string]string{"HOME": "/h"}, "/h/.local/state/arcodange-sandbox/sandbox"},
		"nothing, which is an error": {map[string]string{}, ""},
	} {
		home, err := HomeOf("sandbox", func(key string) string { return test.env[key] })
		assert.Equal(t, test.want, home.Dir, name)
		assert.Equal(t, test.want == "", err != nil, name)
	}
}

func TestFilesOfTheLastMachineAreRemovedAndTheUsersStay(t *testing.T) {
	t.Parallel()
	own := Home{Dir: filepath.Join(t.TempDir(), "own")}
	require.NoError(t, atomicfile.Write(own.keyFile(), []byte("k"), 0o600))
	require.NoError(t, atomicfile.Write(own.keyFile()+".pub", []byte("t k "+own.keyComment()+"\n"), 0o600))
	own.prune()
	assert.NoDirExists(t, own.Dir)

	brought := Home{Dir: filepath.Join(t.TempDir(), "brought")}
	require.NoError(t, atomicfile.Write(brought.keyFile(), []byte("k"), 0o600))
	require.NoError(t, atomicfile.Write(brought.keyFile()+".pub", []byte("t k me@home\n"), 0o600))
	brought.prune()
	assert.FileExists(t, brought.keyFile())

	used := Home{Dir: filepath.Join(t.TempDir(), "used")}
	require.NoError(t, atomicfile.Write(used.keyFile(), []byte("k"), 0o600))
	require.NoError(t, atomicfile.Write(used.keyFile()+".pub", []byte("t k "+used.keyComment()+"\n"), 0o600))
	require.NoError(t, os.MkdirAll(filepath.Dir(used.hostKeyFile("pi1")), 0o700))
	used.prune()
	assert.FileExists(t, used.keyFile())
}

func good() Spec {
	return Spec{
		Sandbox: "sandbox", Name: "pi1", Image: "node", User: "pi", Address: "172.30.0.11",
		Network: Network{Name: "sandbox", Subnet: "172.30.0.0/24"},
	}
}

func TestAMachineThatNoDriverCouldMakeIsRefusedByName(t *testing.T) {
	t.Parallel()
	require.NoError(t, check(good(), Started))
	for name, test := range map[string]struct {
		change func(*Spec)
		is     error
		says   string
	}{
		"a name with a capital":        {func(s *Spec) { s.Name = "Pi1" }, ErrInvalid, `name "Pi1"`},
		"a name that is a path":        {func(s *Spec) { s.Sandbox = "../x" }, ErrInvalid, `sandbox "../x"`},
		"no image":                     {func(s *Spec) { s.Image = "" }, ErrInvalid, "sandbox_image"},
		"root as user":                 {func(s *Spec) { s.User = "root" }, ErrInvalid, "ordinary user"},
		"a user that is a command":     {func(s *Spec) { s.User = "a;b" }, ErrInvalid, "ssh_user"},
		"a key that is none":           {func(s *Spec) { s.AuthorizedKeys = []string{"x"} }, ErrInvalid, "ssh-ed25519 AAAA"},
		"negative cores":               {func(s *Spec) { s.CPUs = -1 }, ErrInvalid, "cpus -1"},
		"two megabytes meant as two G": {func(s *Spec) { s.Memory = 2 << 20 }, ErrInvalid, "64 MiB"},
		"a subnet with host bits":      {func(s *Spec) { s.Network.Subnet = "172.30.0.1/24" }, ErrInvalid, "172.30.0.1/24"},
		"a public subnet":              {func(s *Spec) { s.Network.Subnet = "8.8.8.0/24"; s.Address = "8.8.8.9" }, ErrInvalid, "private"},
		"an address that is a name":    {func(s *Spec) { s.Address = "pi1" }, ErrInvalid, `address "pi1"`},
		"an address outside":           {func(s *Spec) { s.Address = "172.30.1.11" }, ErrAddressOutside, "172.30.1.11 is not in 172.30.0.0/24"},
		"the gateway's address":        {func(s *Spec) { s.Address = "172.30.0.1" }, ErrAddressOutside, "gateway 172.30.0.1"},
		"the broadcast address":        {func(s *Spec) { s.Address = "172.30.0.255" }, ErrAddressOutside, "broadcast"},
		"a name server that is a name": {func(s *Spec) { s.Network.Nameserver = "router" }, ErrInvalid, `name server: invalid machine: address "router"`},
		"a name server outside":        {func(s *Spec) { s.Network.Nameserver = "10.9.9.9" }, ErrAddressOutside, "10.9.9.9 is not in 172.30.0.0/24"},
		"itself as name server":        {func(s *Spec) { s.Network.Nameserver = s.Address }, ErrInvalid, "machine's own address"},
		"a disk on the root":           {func(s *Spec) { s.Disks = []Disk{{Name: "a", Path: "/"}} }, ErrInvalid, "disk a"},
		"a disk with a comma":          {func(s *Spec) { s.Disks = []Disk{{Name: "a", Path: "/a,readonly"}} }, ErrInvalid, "comma"},
		"two disks in one place":       {func(s *Spec) { s.Disks = []Disk{{Name: "a", Path: "/a"}, {Name: "b", Path: "/a"}} }, ErrInvalid, "mounted on /a"},
		"two disks of one name":        {func(s *Spec) { s.Disks = []Disk{{Name: "a", Path: "/a"}, {Name: "a", Path: "/b"}} }, ErrInvalid, "called a"},
		"a port that is none":          {func(s *Spec) { s.Ports = []Port{{Port: 70000}} }, ErrInvalid, "1 to 65535"},
		"one host port for two":        {func(s *Spec) { s.Ports = []Port{{22, 2211}, {80, 2211}} }, ErrInvalid, "2211"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := good()
			test.change(&spec)
			err := check(spec, Started)
			require.ErrorIs(t, err, test.is)
			assert.ErrorContains(t, err, test.says)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
	assert.NoError(t, check(Spec{Sandbox: "s", Name: "n", Network: Network{Name: "s"}}, Absent), "what is to go needs only its names")
}

// shared is a driver whose machines lack iSCSI alone.
type shared struct{ Driver }

func (shared) Name() string { return "shared" }
func (shared) Lacks() map[Capability]string {
	return map[Capability]string{ISCSI: "it has no initiator"}
}

func TestWhatAPlayNeedsIsRefusedBeforeAnythingIsMade(t *testing.T) {
	t.Parallel()
	spec := Spec{
		Sandbox: "s", Name: "pi1", Image: "node", User: "pi", Address: "172.30.0.11", Network: Network{Name: "s", Subnet: "172.30.0.0/24"},
		Requires: []Capability{Modules, ISCSI},
	}
	home := Home{Dir: filepath.Join(t.TempDir(), "s")}
	_, err := Manager{Driver: shared{}, Home: home}.Ensure(t.Context(), Request{Spec: spec, Power: Started, Check: true})
	require.ErrorIs(t, err, ErrLacks)
	assert.ErrorContains(t, err, "driver shared lack iscsi (it has no initiator); use a driver whose machines have a kernel of their own: lima, multipass, vagrant")
	spec.Requires = []Capability{Modules}
	require.NoError(t, requires(shared{}, spec))
	spec.Requires = []Capability{"teleport"}
	require.ErrorIs(t, requires(shared{}, spec), ErrInvalid)
}
