// SPDX-License-Identifier: GPL-3.0-or-later

// Package drivertest tests the contract of driver.Driver. Every driver must pass.
// Operations that depend on the driver (occupying a name, removing a machine
// without the driver) come from Subject.
package drivertest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/driver"
	"github.com/arcodange-org/sandbox/internal/lock"
	"github.com/arcodange-org/sandbox/internal/run"
)

// Subject is a driver under test.
type Subject struct {
	// New returns the driver for a sandbox with its state in home. It is also
	// called in helper processes that will be killed.
	New func(home driver.Home) driver.Driver
	// Image makes a machine; OtherImage makes one too, and is another image.
	Image, OtherImage string
	// Subnet returns the n-th /24 that the tests may use.
	Subnet func(n int) string
	// OccupyMachine, OccupyNetwork and OccupyDisk create an object of another
	// owner with the name of the machine, its network, or its disk. The returned
	// function reports whether it is unchanged. They clean up after t.
	OccupyMachine, OccupyNetwork, OccupyDisk func(t *testing.T, want driver.Spec) (untouched func() bool)
	// RemoveByHand removes the machine but not its disks, as a person would.
	RemoveByHand func(t *testing.T, want driver.Spec)
	// Leftovers lists all objects with the sandbox's label.
	Leftovers func(t *testing.T, sandbox string) []string
	// Wipe removes all of them, in any state.
	Wipe func(sandbox string)
}

// limit is the timeout for one machine to answer.
const limit = 90 * time.Second

// order is the input of a helper process.
type order struct {
	Home    driver.Home
	Request driver.Request
	KillAt  int           // number of the step to be killed in, from 1
	After   time.Duration // time between the start of the step and the kill
}

const orderVariable = "SANDBOX_DRIVERTEST_ORDER"

// Main runs the tests, or, in a helper process of the suite, its order. Call it
// from TestMain.
func Main(m *testing.M, newDriver func(home driver.Home) driver.Driver) int {
	text := os.Getenv(orderVariable)
	if text == "" {
		return m.Run()
	}
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	event := 0
	manager := driver.Manager{Driver: newDriver(o.Home), Home: o.Home, Runner: run.Exec{}, Observe: func(step string, done bool) {
		if done {
			return // the same moment as the begin of the next step
		}
		if event++; event != o.KillAt {
			return
		}
		fmt.Printf("killed %s after the begin of %q\n", o.After, step)
		if o.After > 0 {
			time.AfterFunc(o.After, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })
			return
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}}
	if _, err := manager.Ensure(context.Background(), o.Request); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// site is one sandbox of one test.
type site struct {
	subject Subject
	home    driver.Home
	manager driver.Manager
	want    driver.Spec
}

// made counts sandboxes, so that each has a subnet of its own.
type counter struct{ n atomic.Int64 }

func (s Subject) site(t *testing.T, made *counter) site {
	t.Helper()
	random := make([]byte, 3)
	_, err := rand.Read(random)
	require.NoError(t, err)
	name := "drvtest-" + hex.EncodeToString(random)
	home := driver.Home{Dir: filepath.Join(t.TempDir(), name)}
	subnet := s.Subnet(int(made.n.Add(1)))
	t.Cleanup(func() { s.Wipe(name) })
	return site{
		subject: s, home: home,
		manager: driver.Manager{Driver: s.New(home), Home: home, Runner: run.Exec{}},
		want: driver.Spec{
			Sandbox: name, Name: "pi1", Image: s.Image, User: "pi",
			Network: driver.Network{Name: name, Subnet: subnet},
			Address: strings.TrimSuffix(subnet, "0/24") + "11",
			Memory:  512 << 20,
			Disks:   []driver.Disk{{Name: "data", Path: "/mnt/data"}},
		},
	}
}

func (s site) request(power driver.Power) driver.Request {
	return driver.Request{Spec: s.want, Power: power, Timeout: limit}
}

func (s site) ensure(t *testing.T, power driver.Power) driver.Outcome {
	t.Helper()
	out, err := s.manager.Ensure(t.Context(), s.request(power))
	require.NoError(t, err)
	return out
}

func (s site) check(t *testing.T, power driver.Power) driver.Outcome {
	t.Helper()
	request := s.request(power)
	request.Check = true
	out, err := s.manager.Ensure(t.Context(), request)
	require.NoError(t, err)
	return out
}

// foretold runs check mode, then the real run, and requires the same differences from both.
func (s site) foretold(t *testing.T, power driver.Power) driver.Outcome {
	t.Helper()
	said := s.check(t, power)
	did := s.ensure(t, power)
	assert.Equal(t, names(said), names(did), "check mode foretold something else than was done")
	assert.Empty(t, s.ensure(t, power).Differences, "a second run changed something")
	assert.Empty(t, s.check(t, power).Differences, "check mode foresees a change after the second run")
	return did
}

func names(out driver.Outcome) []string {
	found := []string{}
	for _, d := range out.Differences {
		found = append(found, d.Name)
	}
	return found
}

// ssh runs a command in the machine with the sandbox's key and known_hosts.
func (s site) ssh(t *testing.T, out driver.Outcome, command string) string {
	t.Helper()
	res, err := run.Exec{}.Run(t.Context(), run.Cmd{Name: "ssh", Args: []string{
		"-F", "/dev/null", "-i", out.KeyFile, "-p", fmt.Sprint(out.Machine.SSHPort),
		"-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
		"-o", "UserKnownHostsFile=" + out.KnownHostsFile, "-o", "GlobalKnownHostsFile=/dev/null",
		out.Machine.User + "@" + out.Machine.SSHHost, command,
	}})
	require.NoError(t, err)
	return strings.TrimSpace(string(res.Stdout))
}

// listed returns the machines that the driver lists.
func (s site) listed(t *testing.T) []string {
	t.Helper()
	machines, err := s.manager.Driver.List(t.Context(), s.want.Sandbox)
	require.NoError(t, err)
	return machines
}

func (s site) gone(t *testing.T) {
	t.Helper()
	s.ensure(t, driver.Absent)
	assert.Empty(t, s.listed(t))
	assert.Empty(t, s.subject.Leftovers(t, s.want.Sandbox), "something of the sandbox is left")
	assert.NoDirExists(t, s.home.Dir)
	assert.Empty(t, s.ensure(t, driver.Absent).Differences, "removing what is gone changed something")
}

// killed runs the request in a process that is killed in the given step. It
// returns whether the process reached that step.
func (s site) killed(t *testing.T, request driver.Request, event int, after time.Duration) bool {
	t.Helper()
	text, err := json.Marshal(order{Home: s.home, Request: request, KillAt: event, After: after})
	require.NoError(t, err)
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), orderVariable+"="+string(text))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok && status.Signaled() && status.Signal() == syscall.SIGKILL, "the helper process failed by itself: %s", out)
	t.Logf("%s", strings.TrimSpace(string(out)))
	return true
}

// Run runs the suite.
func Run(t *testing.T, subject Subject) {
	made := new(counter)
	for name, test := range map[string]func(*testing.T, site){
		"a machine goes from absent through every state and back, each step foretold": lifecycle,
		"its identity survives stopping, being made anew, and a lost state folder":    identity,
		"limits and keys change in place":                                             inPlace,
		"a new image or address makes it anew and keeps its disks":                    madeAnew,
		"a published port is where the machine is then reached":                       publish,
		"what belongs to somebody else is refused and stays as it is":                 foreign,
		"an address that cannot be had is refused before anything is made":            addresses,
		"two runs on one machine come one after the other":                            twoAtOnce,
		"a held lock is waited for only so long, and its holder named":                heldLock,
		"three machines at once share one network, and the last takes it away":        three,
		"a creation that fails leaves nothing":                                        failing,
		"a creation that fails leaves what it made when told to keep it":              keeping,
		"a machine removed by hand comes back with its disks":                         byHand,
		"creation survives being killed before any step":                              killedCreating,
		"creation survives being killed inside any step":                              killedInside,
		"a creation killed inside any step can be removed":                            killedThenRemoved,
		"stopping survives being killed":                                              killedStopping,
		"making anew survives being killed inside any step, and loses no data":        killedMakingAnew,
		"removing survives being killed at any step":                                  killedRemoving,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, subject.site(t, made))
		})
	}
}

func lifecycle(t *testing.T, s site) {
	out := s.foretold(t, driver.Present)
	assert.Contains(t, names(out), "network")
	assert.Contains(t, names(out), "state")
	assert.Equal(t, driver.Started, out.Machine.State)
	assert.Equal(t, s.want.Address, out.Machine.Address)
	assert.Equal(t, s.want.Memory, out.Machine.Memory)
	out = s.ensure(t, driver.Started)
	assert.Empty(t, out.Differences)
	assert.Equal(t, "pi1 pi 0", s.ssh(t, out, `echo "$(hostname) $(id -un) $(sudo id -u)"`))

	out = s.foretold(t, driver.Stopped)
	assert.Equal(t, []driver.Difference{{Name: "state", Before: "started", After: "stopped"}}, out.Differences)
	assert.Equal(t, driver.Stopped, out.Machine.State)
	assert.Empty(t, s.ensure(t, driver.Present).Differences, "present must leave a stopped machine stopped")

	out = s.foretold(t, driver.Started)
	assert.Equal(t, []driver.Difference{{Name: "state", Before: "stopped", After: "started"}}, out.Differences)

	said := s.check(t, driver.Absent)
	did := s.ensure(t, driver.Absent)
	assert.Equal(t, names(said), names(did))
	assert.Subset(t, names(did), []string{"state", "disks", "network"})
	assert.Nil(t, did.Machine)
	assert.Empty(t, s.check(t, driver.Absent).Differences)
	s.gone(t)

	out = s.foretold(t, driver.Stopped)
	assert.Equal(t, driver.Stopped, out.Machine.State, "a machine can be made without starting it")
	s.gone(t)
}

func identity(t *testing.T, s site) {
	out := s.ensure(t, driver.Started)
	require.Len(t, out.Machine.HostKeys, 1)
	key, id := out.Machine.HostKeys[0], s.ssh(t, out, "cat /etc/machine-id")
	assert.Len(t, id, 32)

	s.ensure(t, driver.Stopped)
	out = s.ensure(t, driver.Started)
	assert.Equal(t, key, out.Machine.HostKeys[0])

	require.NoError(t, os.RemoveAll(s.home.Dir))
	out = s.foretold(t, driver.Started)
	assert.Equal(t, key, out.Machine.HostKeys[0])
	assert.Equal(t, id, s.ssh(t, out, "cat /etc/machine-id"))

	assert.Equal(t, []string{"pi1"}, s.listed(t))
	s.subject.RemoveByHand(t, s.want)
	assert.Equal(t, []string{"pi1"}, s.listed(t), "its disks are still there")
	out = s.ensure(t, driver.Started)
	assert.Equal(t, key, out.Machine.HostKeys[0])
	assert.Equal(t, id, s.ssh(t, out, "cat /etc/machine-id"))

	require.NoError(t, os.Remove(out.KnownHostsFile))
	out = s.foretold(t, driver.Started)
	assert.Equal(t, []string{"known_hosts"}, names(out))
	s.gone(t)
}

func inPlace(t *testing.T, s site) {
	out := s.ensure(t, driver.Started)
	s.ssh(t, out, "echo here | sudo tee /root-file-system >/dev/null")
	s.want.Memory, s.want.CPUs = 640<<20, 0.5
	out = s.foretold(t, driver.Started)
	assert.Equal(t, []driver.Difference{
		{Name: "cpus", Before: 0.0, After: 0.5},
		{Name: "memory", Before: int64(512 << 20), After: int64(640 << 20)},
	}, out.Differences)
	s.want.Memory, s.want.CPUs = 0, 0
	assert.Empty(t, s.ensure(t, driver.Started).Differences, "a limit that is not named stays as it is")

	s.want.User = "operator"
	out = s.foretold(t, driver.Started)
	assert.Equal(t, []driver.Difference{{Name: "user", Before: "pi", After: "operator"}}, out.Differences)
	assert.Equal(t, "here", s.ssh(t, out, "cat /root-file-system"))

	other := filepath.Join(t.TempDir(), "key")
	_, err := run.Exec{}.Run(t.Context(), run.Cmd{Name: "ssh-keygen", Args: []string{"-q", "-t", "ed25519", "-N", "", "-f", other}})
	require.NoError(t, err)
	public, err := os.ReadFile(other + ".pub")
	require.NoError(t, err)
	s.want.AuthorizedKeys = []string{strings.TrimSpace(string(public))}
	out = s.foretold(t, driver.Started)
	assert.Equal(t, []string{"authorized_keys"}, names(out))
	out.KeyFile = other
	assert.Equal(t, "here", s.ssh(t, out, "cat /root-file-system"))
	s.gone(t)
}

func madeAnew(t *testing.T, s site) {
	out := s.ensure(t, driver.Started)
	const write = "echo kept | sudo tee /mnt/data/file /var/lib/rancher/file >/dev/null; sudo touch /root-file-system"
	const read = "cat /mnt/data/file /var/lib/rancher/file; test -e /root-file-system || echo anew"
	s.ssh(t, out, write)

	s.want.Image = s.subject.OtherImage
	out = s.foretold(t, driver.Started)
	assert.Equal(t, []driver.Difference{{Name: "image", Before: s.subject.Image, After: s.subject.OtherImage}}, out.Differences)
	assert.Equal(t, "kept\nkept\nanew", s.ssh(t, out, read))

	before := s.want.Address
	s.want.Address = strings.TrimSuffix(before, "11") + "12"
	out = s.foretold(t, driver.Present)
	assert.Subset(t, out.Differences, []driver.Difference{{Name: "address", Before: before, After: s.want.Address}})
	assert.Equal(t, "kept\nkept\nanew", s.ssh(t, out, read))

	s.want.Disks = nil
	assert.Equal(t, []string{"disks"}, names(s.foretold(t, driver.Started)))
	s.want.Disks = []driver.Disk{{Name: "data", Path: "/mnt/data"}}
	out = s.foretold(t, driver.Started)
	assert.Equal(t, "kept\nkept\nanew", s.ssh(t, out, read), "a disk that was not wanted for a while must not have been lost")

	s.ensure(t, driver.Stopped)
	s.want.Image = s.subject.Image
	out = s.foretold(t, driver.Present)
	assert.Equal(t, driver.Stopped, out.Machine.State, "present must leave a machine stopped that it made anew")
	s.gone(t)
}

func publish(t *testing.T, s site) {
	s.want.Ports = []driver.Port{{Port: 22}, {Port: 6443}}
	out := s.foretold(t, driver.Started)
	require.Len(t, out.Machine.Ports, 2)
	assert.Equal(t, "127.0.0.1", out.Machine.SSHHost)
	assert.Equal(t, out.Machine.Ports[0].HostPort, out.Machine.SSHPort)
	assert.Equal(t, "pi1", s.ssh(t, out, "hostname"))
	ports := out.Machine.Ports

	s.want.Image = s.subject.OtherImage
	out = s.foretold(t, driver.Started)
	assert.Equal(t, ports, out.Machine.Ports, "a machine made anew keeps its ports")
	s.want.Ports = nil
	out = s.foretold(t, driver.Started)
	assert.Equal(t, s.want.Address, out.Machine.SSHHost)
	assert.Equal(t, "pi1", s.ssh(t, out, "hostname"))
	s.gone(t)
}

func foreign(t *testing.T, s site) {
	for what, occupy := range map[string]func(*testing.T, driver.Spec) func() bool{
		"machine": s.subject.OccupyMachine, "network": s.subject.OccupyNetwork, "disk": s.subject.OccupyDisk,
	} {
		t.Run("a "+what, func(t *testing.T) {
			untouched := occupy(t, s.want)
			for _, power := range []driver.Power{driver.Present, driver.Started, driver.Stopped, driver.Absent} {
				for _, checking := range []bool{true, false} {
					request := s.request(power)
					request.Check = checking
					out, err := s.manager.Ensure(t.Context(), request)
					if what == "network" && power == driver.Absent {
						// Removing succeeds and leaves the other owner's object.
						assert.NoError(t, err)
						assert.Empty(t, out.Differences)
						continue
					}
					assert.ErrorIs(t, err, driver.ErrNotOwned, "%s, check: %v", power, checking)
				}
			}
			assert.True(t, untouched(), "it was touched")
			assert.Empty(t, s.subject.Leftovers(t, s.want.Sandbox))
		})
	}
}

func addresses(t *testing.T, s site) {
	prefix := strings.TrimSuffix(s.want.Network.Subnet, "0/24")
	for _, address := range []string{"172.16.0.11", prefix + "0", prefix + "1", prefix + "255"} {
		s.want.Address = address
		_, err := s.manager.Ensure(t.Context(), s.request(driver.Started))
		assert.ErrorIs(t, err, driver.ErrAddressOutside, address)
	}
	s.want.Address = prefix + "11"
	s.ensure(t, driver.Stopped)
	s.want.Name = "pi2"
	_, err := s.manager.Ensure(t.Context(), s.request(driver.Started))
	require.ErrorIs(t, err, driver.ErrAddressTaken)
	assert.ErrorContains(t, err, "pi1")

	s.want.Address, s.want.Network.Name = prefix+"12", s.want.Network.Name+"-b"
	_, err = s.manager.Ensure(t.Context(), s.request(driver.Started))
	require.ErrorIs(t, err, driver.ErrNetworkConflict)
	assert.ErrorContains(t, err, "overlaps network "+s.want.Sandbox)
	s.want.Name, s.want.Network.Name = "pi1", s.want.Sandbox
	s.gone(t)
}

func twoAtOnce(t *testing.T, s site) {
	type result struct {
		out driver.Outcome
		err error
	}
	results := make(chan result)
	for range 2 {
		go func() {
			out, err := s.manager.Ensure(t.Context(), s.request(driver.Started))
			results <- result{out, err}
		}()
	}
	changed := 0
	for range 2 {
		r := <-results
		require.NoError(t, r.err)
		if len(r.out.Differences) > 0 {
			changed++
		}
		assert.Equal(t, driver.Started, r.out.Machine.State)
	}
	assert.Equal(t, 1, changed, "exactly one of the two made the machine")
	s.gone(t)
}

func heldLock(t *testing.T, s site) {
	held, err := lock.Acquire(t.Context(), filepath.Join(s.home.Dir, "locks", "machine-pi1.lock"), "hold it for a test", time.Second)
	require.NoError(t, err)
	request := s.request(driver.Started)
	request.Timeout = 200 * time.Millisecond
	_, err = s.manager.Ensure(t.Context(), request)
	require.ErrorIs(t, err, lock.ErrHeld)
	assert.ErrorContains(t, err, fmt.Sprintf("process %d", os.Getpid()))
	assert.ErrorContains(t, err, "hold it for a test")
	request.Check = true
	_, err = s.manager.Ensure(t.Context(), request)
	require.NoError(t, err, "check mode does not wait for the lock")
	held.Release()
	assert.Empty(t, s.subject.Leftovers(t, s.want.Sandbox))
}

func three(t *testing.T, s site) {
	prefix := strings.TrimSuffix(s.want.Address, "11")
	at := func(n int) site {
		one := s
		one.want.Name, one.want.Address = fmt.Sprintf("pi%d", n), fmt.Sprintf("%s1%d", prefix, n)
		return one
	}
	all := func(power driver.Power) (outs [3]driver.Outcome) {
		t.Helper()
		failed := make(chan error)
		for n := range 3 {
			go func() {
				var err error
				one := at(n + 1)
				outs[n], err = one.manager.Ensure(t.Context(), one.request(power))
				failed <- err
			}()
		}
		for range 3 {
			require.NoError(t, <-failed)
		}
		return outs
	}
	begun := time.Now()
	outs := all(driver.Started)
	t.Logf("three machines at once, from nothing to SSH: %s", time.Since(begun).Round(10*time.Millisecond))
	keys := map[string]bool{}
	for _, out := range outs {
		keys[out.Machine.HostKeys[0].Fingerprint] = true
	}
	assert.Len(t, keys, 3, "every machine has a host key of its own")
	for n := range 3 {
		assert.Equal(t, fmt.Sprintf("pi%d", n+1), at(n+1).ssh(t, outs[n], "hostname"))
	}
	begun = time.Now()
	for _, out := range all(driver.Started) {
		assert.Empty(t, out.Differences)
	}
	t.Logf("again: %s", time.Since(begun).Round(10*time.Millisecond))
	one := at(2)
	one.ensure(t, driver.Absent)
	assert.Empty(t, at(1).ensure(t, driver.Started).Differences, "removing one machine takes nothing from the others")
	begun = time.Now()
	all(driver.Absent)
	t.Logf("two absent at once: %s", time.Since(begun).Round(10*time.Millisecond))
	s.gone(t)
}

func failing(t *testing.T, s site) {
	request := s.request(driver.Started)
	request.Timeout = time.Millisecond
	_, err := s.manager.Ensure(t.Context(), request)
	require.ErrorIs(t, err, driver.ErrNoSSH)
	assert.ErrorContains(t, err, "last seen: ")
	assert.Empty(t, s.subject.Leftovers(t, s.want.Sandbox))

	request = s.request(driver.Started)
	request.Spec.Image = "drvtest-no-such-image:none"
	request.Check = true
	_, err = s.manager.Ensure(t.Context(), request)
	require.NoError(t, err, "in check mode the image may be one that would have been built")
	request.Check = false
	_, err = s.manager.Ensure(t.Context(), request)
	require.ErrorIs(t, err, driver.ErrNoImage)
	assert.Empty(t, s.subject.Leftovers(t, s.want.Sandbox))

	ctx, cancel := context.WithCancel(t.Context())
	stopped := s.manager
	stopped.Observe = func(step string, done bool) {
		if done && strings.HasPrefix(step, "start ") {
			cancel()
		}
	}
	_, err = stopped.Ensure(ctx, s.request(driver.Started))
	require.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, s.subject.Leftovers(t, s.want.Sandbox), "Ctrl-C while creating leaves nothing either")
	s.gone(t)
}

func keeping(t *testing.T, s site) {
	request := s.request(driver.Started)
	request.Timeout, request.Keep = time.Millisecond, true
	_, err := s.manager.Ensure(t.Context(), request)
	require.ErrorIs(t, err, driver.ErrNoSSH)
	assert.NotEmpty(t, s.subject.Leftovers(t, s.want.Sandbox))
	assert.Equal(t, "pi1", s.ssh(t, s.ensure(t, driver.Started), "hostname"), "the next run goes on from there")

	// A failed run must not remove objects that existed before it.
	s.ensure(t, driver.Stopped)
	request = s.request(driver.Started)
	request.Timeout = time.Millisecond
	_, err = s.manager.Ensure(t.Context(), request)
	require.ErrorIs(t, err, driver.ErrNoSSH)
	assert.NotEmpty(t, s.subject.Leftovers(t, s.want.Sandbox))
	s.gone(t)
}

func byHand(t *testing.T, s site) {
	out := s.ensure(t, driver.Started)
	s.ssh(t, out, "echo kept | sudo tee /mnt/data/file >/dev/null")
	s.subject.RemoveByHand(t, s.want)
	out = s.foretold(t, driver.Started)
	assert.Equal(t, []string{"state"}, names(out))
	assert.Equal(t, "kept", s.ssh(t, out, "cat /mnt/data/file"))
	s.gone(t)
}

// inside is the time after which a run is killed in the middle of a step: most
// steps are one command of about 50 ms.
const inside = 15 * time.Millisecond

// atEveryStep kills the request in its first step, its second, and so on, until
// a run has no such step. before restores the state before each run.
func (s site) atEveryStep(t *testing.T, delay time.Duration, request func() driver.Request, before, after func()) {
	t.Helper()
	for step := 1; ; step++ {
		before()
		if !s.killed(t, request(), step, delay) {
			require.Greater(t, step, 1, "the request had no step to be killed in")
			return
		}
		after()
		if t.Failed() {
			t.Fatalf("after a kill in step %d", step)
		}
	}
}

func killedCreating(t *testing.T, s site) {
	s.atEveryStep(t, 0, func() driver.Request { return s.request(driver.Present) }, func() {}, func() {
		out := s.ensure(t, driver.Present)
		assert.Equal(t, "pi1", s.ssh(t, out, "hostname"))
		assert.Empty(t, s.ensure(t, driver.Present).Differences)
		s.gone(t)
	})
	s.gone(t)
}

func killedInside(t *testing.T, s site) {
	s.atEveryStep(t, inside, func() driver.Request { return s.request(driver.Present) }, func() {}, func() {
		assert.Equal(t, "pi1", s.ssh(t, s.ensure(t, driver.Present), "hostname"))
		s.gone(t)
	})
	s.gone(t)
}

func killedThenRemoved(t *testing.T, s site) {
	s.atEveryStep(t, inside, func() driver.Request { return s.request(driver.Started) }, func() {}, func() { s.gone(t) })
	s.gone(t)
}

func killedStopping(t *testing.T, s site) {
	for _, delay := range []time.Duration{0, inside} {
		s.atEveryStep(t, delay, func() driver.Request { return s.request(driver.Stopped) }, func() { s.ensure(t, driver.Started) }, func() {
			assert.Equal(t, driver.Stopped, s.ensure(t, driver.Stopped).Machine.State)
		})
	}
	s.gone(t)
}

func killedMakingAnew(t *testing.T, s site) {
	s.ssh(t, s.ensure(t, driver.Started), "echo kept | sudo tee /mnt/data/file >/dev/null")
	anew := func() driver.Request {
		request := s.request(driver.Started)
		request.Spec.Image = s.subject.OtherImage
		return request
	}
	s.atEveryStep(t, inside, anew, func() { s.ensure(t, driver.Started) }, func() {
		changed := s
		changed.want.Image = s.subject.OtherImage
		out := changed.ensure(t, driver.Started)
		assert.Equal(t, s.subject.OtherImage, out.Machine.Image)
		assert.Equal(t, "kept", s.ssh(t, out, "cat /mnt/data/file"))
	})
	s.gone(t)
}

func killedRemoving(t *testing.T, s site) {
	for _, delay := range []time.Duration{0, inside} {
		s.atEveryStep(t, delay, func() driver.Request { return s.request(driver.Absent) }, func() { s.ensure(t, driver.Stopped) }, func() { s.gone(t) })
	}
	s.gone(t)
}
