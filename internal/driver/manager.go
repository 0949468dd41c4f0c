// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/atomicfile"
	"github.com/arcodange-org/sandbox/internal/lazyregexp"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/sshkey"
)

// Manager brings one machine to the desired state with any driver: lock, keys,
// plan, steps, SSH, known hosts.
type Manager struct {
	Driver  Driver
	Home    Home
	Runner  run.Runner // for ssh-keygen
	Observe observer   // may be nil
}

// Request is a request to Ensure.
type Request struct {
	Spec    Spec
	Power   Power
	Check   bool          // only return what would be done
	Keep    bool          // keep what was created when creating fails
	Timeout time.Duration // for the lock, and again for SSH
}

// Outcome is the result of Ensure; with Check, of a run that was not made.
type Outcome struct {
	Machine     *Machine // nil when there is none
	Differences []Difference
	Notes       []string
	// keyFile is the private key to log in with, where it is the sandbox's own.
	KeyFile        string
	KnownHostsFile string
	KnownHosts     []string
}

// Ensure brings the machine to the requested state. Concurrent calls for one
// machine wait for each other. After a killed call, the next one completes or
// removes its work.
func (m Manager) Ensure(ctx context.Context, req Request) (out Outcome, err error) {
	out.KnownHostsFile = m.Home.knownHostsFile()
	want := req.Spec
	if err := check(want, req.Power); err != nil {
		return out, err
	}
	if req.Power != Absent {
		if err := requires(m.Driver, want); err != nil {
			return out, err
		}
	}
	if !req.Check {
		held, err := m.Home.lockMachine(ctx, want.Name, fmt.Sprintf("make machine %s of sandbox %s %s", want.Name, want.Sandbox, req.Power), req.Timeout)
		if err != nil {
			return out, err
		}
		defer func() {
			if req.Power != Absent && out.Machine != nil {
				held.Release()
				return
			}
			// The last machine's folder may be removed while processes wait for a lock
			// there: lock.Acquire detects that its file was replaced.
			held.Remove()
			m.Home.prune()
		}()
	}
	own := len(want.AuthorizedKeys) == 0
	if own {
		out.KeyFile = m.Home.keyFile()
	}
	missing := false
	if req.Power != Absent {
		if missing, err = m.readKeys(ctx, &want, own); err != nil {
			return out, err
		}
	}
	plan, err := m.Driver.Plan(ctx, want, req.Power)
	if err == nil && missing && !req.Check {
		// Make keys only after Plan succeeded: a refused machine must leave no keys.
		remove, failed := m.makeKeys(ctx, &want, own, req)
		if failed != nil {
			return out, failed
		}
		defer func() {
			if err != nil && !req.Keep {
				remove()
			}
		}()
		plan, err = m.Driver.Plan(ctx, want, req.Power)
	}
	if err != nil {
		return out, err
	}
	out.Notes = plan.Notes
	out.Differences = plan.differences()
	defer func() {
		if err == nil && req.Power != Absent && len(out.Differences) > 0 {
			err = m.warn(ctx, &out, want)
		}
	}()

	before, err := m.inspect(ctx, want)
	if err != nil {
		return out, err
	}
	if req.Power == Absent {
		if err := m.planForget(&plan, want); err != nil {
			return out, err
		}
		out.Differences = plan.differences()
		out.KnownHosts = nil
		if req.Check {
			out.Machine = before
			return out, nil
		}
		return out, plan.run(ctx, true, m.Observe)
	}
	settled := len(plan.Steps) == 0 && before != nil
	if runs(plan, before, req.Power) {
		plan.Add(m.reach(want, before, settled, req.Timeout))
	}
	if req.Check {
		out.Machine = before
		if before != nil {
			lines, err := m.Home.knownHostsOf(want.Name)
			if err != nil {
				return out, err
			}
			out.KnownHosts = before.knownHosts()
			if len(out.Differences) == 0 && !slices.Equal(lines, out.KnownHosts) {
				out.Differences = append(out.Differences, Difference{Name: "known_hosts", Before: lines, After: out.KnownHosts})
			}
		}
		return out, nil
	}
	if err := plan.run(ctx, req.Keep, m.Observe); err != nil {
		return out, err
	}
	if out.Machine = before; !settled {
		if out.Machine, err = m.inspect(ctx, want); err != nil {
			return out, err
		}
	}
	if out.Machine == nil {
		return out, fmt.Errorf("machine %s: %w right after it was made: another process removed it; run again", want.Name, ErrNotFound)
	}
	out.KnownHosts = out.Machine.knownHosts()
	return out, m.remember(ctx, &out, want, req)
}

// warn adds a note when the machines together may use more than the computer has.
// The last of several that are changed at once sees all.
func (m Manager) warn(ctx context.Context, out *Outcome, want Spec) error {
	note, err := m.Driver.Overcommitted(ctx, want.Sandbox)
	if note != "" {
		out.Notes = append(slices.Clone(out.Notes), note)
	}
	return err
}

// runs reports whether the machine is running once the plan is done.
func runs(plan Plan, before *Machine, power Power) bool {
	after := Absent
	if before != nil {
		after = before.State
	}
	for _, d := range plan.differences() {
		if d.Name == "state" {
			after = Power(fmt.Sprint(d.After))
		}
	}
	return power == Started || after == Started
}

// reach waits for SSH, also if nothing else changes: a started machine must answer.
func (m Manager) reach(want Spec, before *Machine, settled bool, limit time.Duration) Step {
	return Step{Name: "reach machine " + want.Name + " by SSH", Do: func(ctx context.Context) error {
		machine := before
		if !settled {
			var err error
			if machine, err = m.inspect(ctx, want); err != nil {
				return err
			}
			if machine == nil {
				return fmt.Errorf("machine %s: %w right after it was made: another process removed it", want.Name, ErrNotFound)
			}
		}
		err := waitSSH(ctx, machine.SSHHost, machine.SSHPort, limit)
		if err == nil {
			return nil
		}
		if seen := m.Driver.Diagnose(context.WithoutCancel(ctx), want.Sandbox, want.Name); seen != "" {
			err = fmt.Errorf("%w; the machine: %s", err, seen)
		}
		return err
	}}
}

func (m Manager) inspect(ctx context.Context, want Spec) (*Machine, error) {
	machine, err := m.Driver.Inspect(ctx, want.Sandbox, want.Name)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &machine, nil
}

// newKey is shown in check mode for a login key that a run would make.
const newKey = "(a new key of this sandbox)"

// readKeys reads the existing keys into want, and returns whether one is missing.
// It changes nothing.
func (m Manager) readKeys(ctx context.Context, want *Spec, own bool) (missing bool, err error) {
	if own {
		if _, err := os.Stat(m.Home.keyFile()); errors.Is(err, fs.ErrNotExist) {
			want.AuthorizedKeys, missing = []string{newKey}, true
		} else {
			public, err := readPublic(ctx, m.Runner, m.Home.keyFile())
			if err != nil {
				return false, err
			}
			want.AuthorizedKeys = []string{public}
		}
	}
	file := m.Home.hostKeyFile(want.Name)
	want.HostKey, err = os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return missing, fmt.Errorf("read the host key of machine %s: %w", want.Name, err)
	}
	want.HostPublic, err = readPublic(ctx, m.Runner, file)
	return missing, err
}

// makeKeys makes the missing keys. A host key that only the controller lost is
// read back from the machine. remove removes the machine's key if this call made it.
func (m Manager) makeKeys(ctx context.Context, want *Spec, own bool, req Request) (remove func(), err error) {
	file := m.Home.hostKeyFile(want.Name)
	held, err := m.Home.Lock(ctx, "make the sandbox's SSH key", req.Timeout)
	if err != nil {
		return nil, err
	}
	// The machine's folder first: while it exists, no process takes the sandbox
	// for empty and removes its key.
	if err = os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		err = fmt.Errorf("make the folder of a machine's key: %w", err)
	} else if own {
		err = sshkey.Make(ctx, m.Runner, m.Home.keyFile(), m.Home.keyComment())
	}
	held.Release()
	if err != nil {
		return nil, err
	}
	remove = func() {}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		private, err := m.Driver.HostKey(ctx, want.Sandbox, want.Name)
		switch {
		case err == nil:
			err = atomicfile.Write(file, private, 0o600)
		case errors.Is(err, ErrNotFound):
			err = sshkey.Make(ctx, m.Runner, file, want.Sandbox+"-"+want.Name)
			remove = func() { _ = os.RemoveAll(filepath.Dir(file)) }
		}
		if err != nil {
			return nil, fmt.Errorf("keep the host key of machine %s: %w", want.Name, err)
		}
	}
	missing, err := m.readKeys(ctx, want, own)
	if err == nil && missing {
		err = fmt.Errorf("the keys in %s were removed while they were made: run again", m.Home.Dir)
	}
	return remove, err
}

// remember updates known_hosts. It is not part of the plan, because the lines
// are known only from the running machine.
func (m Manager) remember(ctx context.Context, out *Outcome, want Spec, req Request) error {
	lines, err := m.Home.knownHostsOf(want.Name)
	if err != nil || slices.Equal(lines, out.KnownHosts) {
		return err
	}
	held, err := m.Home.Lock(ctx, "write known_hosts", req.Timeout)
	if err != nil {
		return err
	}
	defer held.Release()
	if err := m.Home.setKnownHosts(want.Name, out.KnownHosts); err != nil {
		return err
	}
	if len(out.Differences) == 0 {
		out.Differences = append(out.Differences, Difference{Name: "known_hosts", Before: lines, After: out.KnownHosts})
	}
	return nil
}

// planForget adds the removal of the controller's files about a removed machine.
func (m Manager) planForget(plan *Plan, want Spec) error {
	lines, err := m.Home.knownHostsOf(want.Name)
	if err != nil {
		return err
	}
	nodes := filepath.Dir(m.Home.hostKeyFile(want.Name))
	_, err = os.Stat(nodes)
	if len(lines) == 0 && err != nil {
		return nil
	}
	step := Step{Name: "forget the keys of machine " + want.Name, Do: func(ctx context.Context) error {
		held, err := m.Home.Lock(ctx, "write known_hosts", time.Minute)
		if err != nil {
			return err
		}
		defer held.Release()
		if err := m.Home.setKnownHosts(want.Name, nil); err != nil {
			return err
		}
		return os.RemoveAll(nodes)
	}}
	if len(plan.differences()) == 0 {
		step.Differences = []Difference{{Name: "keys", Before: "present", After: nil}}
	}
	plan.Add(step)
	return nil
}

// prune removes the login key and empty folders of a sandbox without machines.
// Other files in the folder stay.
func (h Home) prune() {
	entries, err := os.ReadDir(filepath.Join(h.Dir, "nodes"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(entries) > 0 {
		return
	}
	held, err := h.Lock(context.Background(), "remove the keys of a sandbox without machines", 10*time.Second)
	if err != nil {
		return
	}
	entries, err = os.ReadDir(filepath.Join(h.Dir, "nodes"))
	if err == nil && len(entries) > 0 {
		held.Release()
		return
	}
	gone := []string{filepath.Dir(h.keyFile()), filepath.Join(h.Dir, "nodes")}
	if public, err := os.ReadFile(h.keyFile() + ".pub"); err == nil && strings.HasSuffix(strings.TrimSpace(string(public)), " "+h.keyComment()) {
		gone = append([]string{h.keyFile(), h.keyFile() + ".pub"}, gone...)
	}
	for _, name := range gone {
		_ = os.Remove(name)
	}
	held.Remove()
	_ = os.Remove(filepath.Join(h.Dir, "locks")) // fails while a process holds a lock there
	_ = os.Remove(h.Dir)
}

var (
	nameForm  = lazyregexp.New(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	modelForm = lazyregexp.New(`^[\x20-\x7e]{0,64}$`)
	userForm  = lazyregexp.New(`^[a-z_][a-z0-9_-]{0,31}$`)
)

// check returns an error for a Spec that no driver supports.
func check(want Spec, power Power) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
	}
	for what, name := range map[string]string{"sandbox": want.Sandbox, "name": want.Name, "network": want.Network.Name} {
		if !nameForm.MatchString(name) || len(name) > 40 {
			return bad("%s %q: use lower-case letters, digits and hyphens, at most 40", what, name)
		}
	}
	if power == Absent {
		return nil
	}
	if power != Present && power != Started && power != Stopped {
		return bad("state %q: use present, started, stopped or absent", power)
	}
	if want.Image == "" {
		return bad("no image is named: arcodange.sandbox.sandbox_image makes one and returns its name")
	}
	if !userForm.MatchString(want.User) || want.User == "root" {
		return bad("ssh_user %q: use the name of an ordinary user, such as pi", want.User)
	}
	for _, line := range want.AuthorizedKeys {
		if _, err := ParsePublicKey(line); err != nil {
			return err
		}
	}
	if want.CPUs < 0 || math.IsNaN(want.CPUs) || math.IsInf(want.CPUs, 0) {
		return bad("cpus %v: use a number of cores, such as 1.5", want.CPUs)
	}
	if want.Memory != 0 && want.Memory < 64<<20 {
		return bad("memory of %d bytes: a node does not boot with less than 64 MiB", want.Memory)
	}
	if want.DiskSize < 0 || want.DiskSize > 0 && want.DiskSize < 1<<30 {
		return bad("disk of %d bytes: a node does not fit on less than 1 GiB", want.DiskSize)
	}
	if !modelForm.MatchString(want.Model) {
		return bad("model %q: use at most 64 printable ASCII characters, such as Raspberry Pi 4 Model B Rev 1.4", want.Model)
	}
	if err := usable(want.Network.Subnet, want.Address); err != nil {
		return err
	}
	if server := want.Network.Nameserver; server != "" {
		if err := usable(want.Network.Subnet, server); err != nil {
			return fmt.Errorf("name server: %w", err)
		}
		if server == want.Address {
			return bad("name server %s: it is the machine's own address; use another", server)
		}
	}
	names, paths := map[string]bool{}, map[string]bool{}
	for _, disk := range want.Disks {
		switch {
		case !nameForm.MatchString(disk.Name) || len(disk.Name) > 40:
			return bad("disk %q: use lower-case letters, digits and hyphens, at most 40", disk.Name)
		case names[disk.Name]:
			return bad("two disks are called %s", disk.Name)
		case !path.IsAbs(disk.Path) || path.Clean(disk.Path) != disk.Path || disk.Path == "/" || strings.ContainsAny(disk.Path, ":,"):
			return bad("disk %s: path %q: use an absolute path without colon or comma, such as /mnt/data", disk.Name, disk.Path)
		case paths[disk.Path]:
			return bad("two disks are mounted on %s", disk.Path)
		case disk.Size < 0:
			return bad("disk %s: size %d is negative", disk.Name, disk.Size)
		}
		names[disk.Name], paths[disk.Path] = true, true
	}
	ports, hostPorts := map[int]bool{}, map[int]bool{}
	for _, p := range want.Ports {
		switch {
		case p.Port < 1 || p.Port > 65535 || p.HostPort < 0 || p.HostPort > 65535:
			return bad("published port %d:%d: ports are 1 to 65535", p.HostPort, p.Port)
		case ports[p.Port]:
			return bad("port %d is published twice", p.Port)
		case p.HostPort != 0 && hostPorts[p.HostPort]:
			return bad("port %d of this computer is used twice", p.HostPort)
		}
		ports[p.Port], hostPorts[p.HostPort] = true, true
	}
	return nil
}

// usable returns an error if a machine cannot have the address in the subnet. The
// first address is the gateway's, the last the broadcast's.
func usable(subnet, address string) error {
	network, err := netip.ParsePrefix(subnet)
	if err != nil || !network.Addr().Is4() || network.Masked() != network {
		return fmt.Errorf("%w: subnet %q: use an IPv4 network such as 172.30.0.0/24", ErrInvalid, subnet)
	}
	if network.Bits() > 29 || !network.Addr().IsPrivate() {
		return fmt.Errorf("%w: subnet %s: use a private network of /29 or larger, such as 172.30.0.0/24", ErrInvalid, subnet)
	}
	ip, err := netip.ParseAddr(address)
	if err != nil || !ip.Is4() {
		return fmt.Errorf("%w: address %q: use an IPv4 address in %s", ErrInvalid, address, subnet)
	}
	if !network.Contains(ip) {
		return fmt.Errorf("%w: %s is not in %s", ErrAddressOutside, ip, network)
	}
	gateway := network.Addr().Next()
	if ip == network.Addr() || ip == gateway || !network.Contains(ip.Next()) {
		return fmt.Errorf("%w: %s is the network's own (its number, its gateway %s, or its broadcast address) in %s", ErrAddressOutside, ip, gateway, network)
	}
	return nil
}
