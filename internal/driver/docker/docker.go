// SPDX-License-Identifier: GPL-3.0-or-later

// Package docker makes each machine a system container of a Docker engine: it
// has systemd, sshd, its own address and disks, and is to Ansible
// an ordinary machine. It knows containers, volumes and bridge networks. It does
// not know what runs in a machine, nor any other driver. Why it uses the docker
// command rather than the engine's API client is described in package dockercli.
//
// The objects of machine pi1 of sandbox sandbox:
//
//	container sandbox-pi1            the machine; its root file system goes when it is made anew
//	volumes   sandbox-pi1-<disk>     its disks; they stay until the machine is absent
//	network   as the Spec names it   shared; made with the first machine, removed with the last
//
// All of them carry LabelSandbox, and nothing without it is ever changed.
//
// Changing CPUs, memory, model, keys or the user is done in place. Changing image, address,
// network, name server, published ports, disks, their size or confinement makes the container anew and keeps
// every disk, also one that is no longer mounted.
//
// A container is restarted when its engine is, unless it was stopped: after a
// power cut the sandbox is as it was. A machine that powers itself off comes
// back, as one that is set to power on after a power loss does.
package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/arcodange-org/sandbox/internal/dockercli"
	"github.com/arcodange-org/sandbox/internal/driver"
)

// Labels name the owner of a container, volume or network.
const (
	LabelSandbox = "org.arcodange.sandbox"
	LabelMachine = "org.arcodange.sandbox.machine"

	labelAddress     = "org.arcodange.sandbox.address"
	labelDisk        = "org.arcodange.sandbox.disk"
	labelSize        = "org.arcodange.sandbox.size"
	labelConfinement = "org.arcodange.sandbox.confinement" // of a container: the lists that it was made by
	labelNameserver  = "org.arcodange.sandbox.nameserver"
	labelSysResource = "org.arcodange.sandbox.sys-resource" // of a network: whether the host grants sysResource
	labelFirst       = "org.arcodange.sandbox.first"        // started or stopped: how its creation was to end
	labelProbe       = "org.arcodange.sandbox.probe"
	labelDiskSize    = "org.arcodange.sandbox.disk-size" // of a container: the size that was asked for, whether or not the engine can limit it
)

const (
	// seedDir is where the image's boot script finds what makes a node itself.
	seedDir    = "/etc/arcodange-sandbox"
	seedScript = "/usr/local/sbin/sandbox-seed"
	// hardwareScript shows a node its limits and its model.
	hardwareScript = "/usr/local/sbin/sandbox-hardware"

	stopTimeout = 90 * time.Second
	lockWait    = 2 * time.Minute
	removalWait = 30 * time.Second
	// creationWait is longer than the docker command takes to reach the engine.
	creationWait = time.Second
)

// systemDisks are the folders that must not lie on the container's overlay file
// system, because what runs in the node mounts overlays there.
var systemDisks = []driver.Disk{
	{Name: "containerd", Path: "/var/lib/containerd"},
	{Name: "docker", Path: "/var/lib/docker"},
	{Name: "kubelet", Path: "/var/lib/kubelet"},
	{Name: "rancher", Path: "/var/lib/rancher"},
}

// Driver implements driver.Driver.
type Driver struct {
	Engine dockercli.Engine
	Home   driver.Home // for the sandbox's lock
}

var _ driver.Driver = Driver{}

// Name implements driver.Driver.
func (Driver) Name() string { return "docker" }

// ContainerName is what the engine calls a machine.
func ContainerName(sandbox, machine string) string { return sandbox + "-" + machine }

func volumeName(sandbox, machine, disk string) string {
	return ContainerName(sandbox, machine) + "-" + disk
}

type container struct {
	ID    string `json:"Id"`
	Name  string
	Image string
	State struct {
		Status   string
		ExitCode int
		Error    string
	}
	Config struct {
		Image    string
		Hostname string
		Labels   map[string]string
	}
	HostConfig struct {
		NanoCpus     int64
		CpusetCpus   string
		Memory       int64
		MemorySwap   int64
		StorageOpt   map[string]string
		CapAdd       []string
		PortBindings map[string][]struct{ HostIp, HostPort string } //nolint:revive // the engine's spelling
	}
	Mounts []struct {
		Type, Name, Destination string
	}
	NetworkSettings struct {
		Networks map[string]struct {
			IPAMConfig *struct{ IPv4Address string }
			Gateway    string
		}
	}
}

func (c container) power() driver.Power {
	switch c.State.Status {
	case "running", "restarting", "paused":
		return driver.Started
	}
	return driver.Stopped
}

// unfinished tells that the machine was to be started when it was made, and
// its maker was killed before that.
func (c container) unfinished() bool {
	return c.State.Status == "created" && c.Config.Labels[labelFirst] == string(driver.Started)
}

type network struct {
	ID     string `json:"Id"`
	Name   string
	Labels map[string]string
	// Options of the bridge.
	Options map[string]string
	IPAM    struct {
		Config []struct{ Subnet, Gateway string }
	}
	Containers map[string]struct{ Name, IPv4Address string }
}

// bridge is the interface of the network on the host of the engine.
func (n network) bridge() string {
	if name := n.Options["com.docker.network.bridge.name"]; name != "" {
		return name
	}
	return "br-" + n.ID[:min(12, len(n.ID))]
}

func (n network) subnet() string {
	for _, config := range n.IPAM.Config {
		if prefix, err := netip.ParsePrefix(config.Subnet); err == nil && prefix.Addr().Is4() {
			return config.Subnet
		}
	}
	return ""
}

type volume struct {
	Name   string
	Labels map[string]string
}

// other is another container that carries the sandbox's label.
type other struct{ name, machine, address string }

// scene is everything that a plan looks at.
type scene struct {
	container *container
	network   *network
	imageID   string // of the wanted image; empty when the engine does not have it
	volumes   map[string]volume
	others    []other
	helpers   []string // the sandbox's containers that are no machines
	seed      map[string][]byte
}

// look looks until the machine is not being removed: a run that was killed
// leaves a removal that the engine goes on with. It also leaves a creation, so a
// machine that is to go, and of which there is nothing yet, is waited for.
func (d Driver) look(ctx context.Context, want driver.Spec, power driver.Power) (scene, error) {
	for begun := time.Now(); ; {
		s, err := d.lookOnce(ctx, want, power)
		going := leaving(err) || err == nil && s.container != nil && s.container.State.Status == "removing"
		coming := err == nil && power == driver.Absent && s.container == nil && len(s.volumes) == 0 && s.network != nil && time.Since(begun) < creationWait
		if !going && !coming || time.Since(begun) > removalWait {
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// leaving reports whether err is what the engine says about a container that it
// is removing at this moment.
func leaving(err error) bool {
	if err == nil {
		return false
	}
	said := err.Error()
	return strings.Contains(said, "RWLayer") || strings.Contains(said, "marked for removal") || strings.Contains(said, "removal of container")
}

func (d Driver) lookOnce(ctx context.Context, want driver.Spec, power driver.Power) (scene, error) {
	var s scene
	s.volumes = map[string]volume{}
	name := ContainerName(want.Sandbox, want.Name)
	var mutex sync.Mutex
	var failed error
	var group sync.WaitGroup
	// Each query is a process; run concurrently they take as long as the slowest.
	ask := func(question func() error) {
		group.Go(func() {
			if err := question(); err != nil {
				mutex.Lock()
				defer mutex.Unlock()
				if failed == nil { // where the engine is the reason, all say the same
					failed = err
				}
			}
		})
	}
	ask(func() error {
		found, err := dockercli.Inspect[container](ctx, d.Engine, "container", name)
		if len(found) > 0 {
			s.container = &found[0]
		}
		return err
	})
	ask(func() error {
		found, err := dockercli.Inspect[network](ctx, d.Engine, "network", want.Network.Name)
		for i := range found {
			if found[i].Name == want.Network.Name { // the engine also finds by the first letters of an ID
				s.network = &found[i]
			}
		}
		return err
	})
	ask(func() (err error) {
		s.others, s.helpers, err = d.others(ctx, want.Sandbox, want.Name)
		return err
	})
	ask(func() error {
		names := []string{}
		out, err := d.Engine.Do(ctx, "volume", "ls", "--quiet", "--filter", "label="+LabelSandbox+"="+want.Sandbox, "--filter", "label="+LabelMachine+"="+want.Name)
		if err != nil {
			return fmt.Errorf("list the disks of machine %s: %w", name, err)
		}
		names = append(names, strings.Fields(string(out))...)
		for _, disk := range disks(want) {
			if v := volumeName(want.Sandbox, want.Name, disk.Name); !slices.Contains(names, v) {
				names = append(names, v)
			}
		}
		found, err := dockercli.Inspect[volume](ctx, d.Engine, "volume", names...)
		for _, v := range found {
			s.volumes[v.Name] = v
		}
		return err
	})
	if power != driver.Absent {
		ask(func() error {
			found, err := dockercli.Inspect[struct{ ID string }](ctx, d.Engine, "image", want.Image)
			if len(found) > 0 {
				s.imageID = found[0].ID
			}
			return err
		})
		ask(func() (err error) {
			s.seed, err = d.readSeed(ctx, name)
			return err
		})
	}
	group.Wait()
	return s, failed
}

// others lists the sandbox's containers beside this machine's own: other
// machines, and what only serves them or was left behind.
func (d Driver) others(ctx context.Context, sandbox, machine string) (found []other, helpers []string, err error) {
	format := `{{.Names}}|{{.Label "` + LabelMachine + `"}}|{{.Label "` + labelAddress + `"}}|{{.Label "` + labelProbe + `"}}{{.Label "` + labelServices + `"}}{{.Label "` + labelFence + `"}}`
	out, err := d.Engine.Do(ctx, "container", "ls", "--all", "--no-trunc", "--filter", "label="+LabelSandbox+"="+sandbox, "--format", format)
	if err != nil {
		return nil, nil, fmt.Errorf("list the machines of sandbox %s: %w", sandbox, err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Split(strings.TrimSpace(line), "|")
		switch {
		case len(words) != 4:
		case words[3] != "":
			helpers = append(helpers, words[0])
		case words[1] != machine:
			found = append(found, other{name: words[0], machine: words[1], address: words[2]})
		}
	}
	return found, helpers, nil
}

// disks are all disks of the wanted machine, in the order of their paths. A
// wanted disk may take the place of one that every machine has.
func disks(want driver.Spec) []driver.Disk {
	byPath := map[string]driver.Disk{}
	for _, disk := range append(slices.Clone(systemDisks), want.Disks...) {
		byPath[disk.Path] = disk
	}
	paths := slices.Sorted(maps.Keys(byPath))
	all := make([]driver.Disk, 0, len(paths))
	for _, p := range paths {
		all = append(all, byPath[p])
	}
	return all
}

// seed is what makes a node itself, by file name in seedDir.
func seed(want driver.Spec) map[string][]byte {
	files := map[string][]byte{
		"user":            []byte(want.User + "\n"),
		"authorized_keys": []byte(strings.Join(want.AuthorizedKeys, "\n") + "\n"),
		"model":           []byte(want.Model + "\n"),
		"lacks":           []byte(lacks()),
	}
	if len(want.HostKey) > 0 {
		// A recreated node keeps its machine-id.
		sum := sha256.Sum256(want.HostKey)
		files["ssh_host_ed25519_key"] = want.HostKey
		files["ssh_host_ed25519_key.pub"] = []byte(want.HostPublic + "\n")
		files["machine-id"] = []byte(hex.EncodeToString(sum[:16]) + "\n")
	}
	return files
}

// lacks are the sentences that programs of the node print, each behind the
// capability's name.
func lacks() string {
	var text strings.Builder
	for _, capability := range driver.Capabilities() {
		if reason, ok := (Driver{}).Lacks()[capability]; ok {
			fmt.Fprintf(&text, "%s: %s\n", capability, driver.Lack(Driver{}.Name(), capability, reason))
		}
	}
	return text.String()
}

func packSeed(files map[string][]byte) (io.Reader, error) {
	var buf bytes.Buffer
	out := tar.NewWriter(&buf)
	dir := path.Base(seedDir)
	if err := out.WriteHeader(&tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		mode := int64(0o644)
		if name == "ssh_host_ed25519_key" {
			mode = 0o600
		}
		if err := out.WriteHeader(&tar.Header{Name: dir + "/" + name, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(files[name]))}); err != nil {
			return nil, err
		}
		if _, err := out.Write(files[name]); err != nil {
			return nil, err
		}
	}
	return &buf, out.Close()
}

// readSeed reads the files out of a machine, running or not. It gives nothing
// where there is no machine or it has none yet.
func (d Driver) readSeed(ctx context.Context, name string) (map[string][]byte, error) {
	out, err := d.Engine.Do(ctx, "cp", name+":"+seedDir, "-")
	if errors.Is(err, dockercli.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the keys of machine %s: %w", name, err)
	}
	files := map[string][]byte{}
	for in := tar.NewReader(bytes.NewReader(out)); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the keys of machine %s: %w", name, err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if files[path.Base(header.Name)], err = io.ReadAll(io.LimitReader(in, 1<<20)); err != nil {
			return nil, fmt.Errorf("read the keys of machine %s: %w", name, err)
		}
	}
}

// owned refuses what does not carry the sandbox's label.
func owned(kind, name, sandbox string, labels map[string]string) error {
	switch label, labelled := labels[LabelSandbox]; {
	case label == sandbox:
		return nil
	case labelled:
		return fmt.Errorf("%s %s %w %s (it belongs to sandbox %s): choose another name, or remove that sandbox first", kind, name, driver.ErrNotOwned, sandbox, label)
	default:
		return fmt.Errorf("%s %s %w %s (somebody else made it): choose another name, or remove it yourself with `docker %s rm %s`",
			kind, name, driver.ErrNotOwned, sandbox, kind, name)
	}
}

func (s scene) owned(want driver.Spec, power driver.Power) error {
	if c := s.container; c != nil {
		if err := owned("container", strings.TrimPrefix(c.Name, "/"), want.Sandbox, c.Config.Labels); err != nil {
			return err
		}
		if machine := c.Config.Labels[LabelMachine]; machine != want.Name {
			return fmt.Errorf("container %s %w %s as machine %s (it is machine %s): choose another name",
				strings.TrimPrefix(c.Name, "/"), driver.ErrNotOwned, want.Sandbox, want.Name, machine)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.volumes)) {
		labels := s.volumes[name].Labels
		if err := owned("volume", name, want.Sandbox, labels); err != nil {
			return err
		}
		// Machine a with disk b-c and machine a-b with disk c have one name for both.
		if machine := labels[LabelMachine]; machine != want.Name {
			return fmt.Errorf("volume %s %w %s as a disk of machine %s (it is machine %s's): choose another name for the machine or the disk",
				name, driver.ErrNotOwned, want.Sandbox, want.Name, machine)
		}
	}
	if s.network != nil && power != driver.Absent { // somebody else's network is simply not in the way of removing
		return owned("network", s.network.Name, want.Sandbox, s.network.Labels)
	}
	return nil
}

// Plan implements driver.Driver.
func (d Driver) Plan(ctx context.Context, want driver.Spec, power driver.Power) (driver.Plan, error) {
	for _, disk := range want.Disks {
		for _, system := range systemDisks {
			if disk.Name == system.Name && disk.Path != system.Path {
				return driver.Plan{}, fmt.Errorf("%w: disk %s: every machine has one of that name at %s: choose another name", driver.ErrInvalid, disk.Name, system.Path)
			}
		}
	}
	s, err := d.look(ctx, want, power)
	if err != nil {
		return driver.Plan{}, err
	}
	if err := s.owned(want, power); err != nil {
		return driver.Plan{}, err
	}
	if power == driver.Absent {
		return d.planAbsent(s, want), nil
	}
	if err := d.checkNetwork(ctx, s, want); err != nil {
		return driver.Plan{}, err
	}
	var plan driver.Plan
	computer, err := d.limits(ctx, s, want)
	if err != nil {
		return driver.Plan{}, err
	}
	plan.Notes = diskNotes(s, want, computer)
	status := driver.Absent
	if s.container != nil {
		status = s.container.power()
	}
	var anew []driver.Difference
	if c := s.container; c != nil {
		anew = drift(*c, s, want, computer)
		if c.State.Status == "dead" || c.State.Status == "removing" {
			anew = append(anew, driver.Difference{Name: "state", Before: c.State.Status, After: string(driver.Started)})
		}
	}
	create := s.container == nil || len(anew) > 0
	run := power == driver.Started || power == driver.Present && (s.container == nil || s.container.unfinished() || status == driver.Started)

	if s.network == nil {
		plan.Add(driver.Step{
			Name:        "create network " + want.Network.Name,
			Differences: []driver.Difference{{Name: "network", After: want.Network.Name + " " + want.Network.Subnet}},
			Do: func(ctx context.Context) error {
				return d.locked(ctx, "create network "+want.Network.Name, func() error {
					_, err := d.ensureNetwork(ctx, want)
					return err
				})
			},
			Undo: func(ctx context.Context) error { return d.removeNetwork(ctx, want, want.Name) },
		})
	}
	if len(anew) > 0 {
		if status == driver.Started {
			plan.Add(d.stop(want))
		}
		plan.Add(driver.Step{
			Name:        "remove container " + ContainerName(want.Sandbox, want.Name) + " to make it anew (its disks stay)",
			Differences: anew,
			Do:          func(ctx context.Context) error { return d.removeContainer(ctx, want) },
		})
	}
	switch {
	case create:
		after := string(driver.Stopped)
		if run {
			after = string(driver.Started)
		}
		var differences []driver.Difference
		if s.container == nil {
			differences = append(differences, driver.Difference{Name: "state", Before: string(driver.Absent), After: after})
		} else if string(status) != after {
			differences = append(differences, driver.Difference{Name: "state", Before: string(status), After: after})
		}
		var fresh []string
		for _, disk := range disks(want) {
			name := volumeName(want.Sandbox, want.Name, disk.Name)
			if _, ok := s.volumes[name]; !ok {
				fresh = append(fresh, name)
			}
		}
		plan.Add(d.create(want, computer, s.container, after, differences, fresh))
		plan.Add(d.inject(want, nil, false))
	default:
		plan.Steps = append(plan.Steps, d.update(*s.container, want, computer)...)
		if differences := seedDrift(s.seed, want); len(differences) > 0 {
			plan.Add(d.inject(want, differences, status == driver.Started))
		}
		switch {
		case run && s.container.State.Status == "paused":
			plan.Add(driver.Step{
				Name:        "resume machine " + want.Name,
				Differences: []driver.Difference{{Name: "state", Before: "paused", After: string(driver.Started)}},
				Do: func(ctx context.Context) error {
					_, err := d.Engine.Do(ctx, "unpause", ContainerName(want.Sandbox, want.Name))
					return err
				},
			})
		case run && status != driver.Started:
			step := d.start(want)
			step.Differences = []driver.Difference{{Name: "state", Before: string(status), After: string(driver.Started)}}
			plan.Add(step)
		case power == driver.Stopped && status != driver.Stopped:
			step := d.stop(want)
			step.Differences = []driver.Difference{{Name: "state", Before: string(status), After: string(driver.Stopped)}}
			plan.Add(step)
		}
	}
	if create && run {
		plan.Add(d.start(want))
	}
	return plan, nil
}

// drift lists the differences that need a new container.
func drift(c container, s scene, want driver.Spec, computer computer) []driver.Difference {
	var found []driver.Difference
	differ := func(name string, before, after any) {
		found = append(found, driver.Difference{Name: name, Before: before, After: after})
	}
	if s.imageID != "" && c.Image != s.imageID || s.imageID == "" && c.Config.Image != want.Image {
		before := c.Config.Image
		if before == want.Image { // the same name, rebuilt
			before += " (" + short(c.Image) + ")"
		}
		differ("image", before, want.Image)
	}
	address := ""
	attached, connected := c.NetworkSettings.Networks[want.Network.Name]
	if !connected {
		differ("network", strings.Join(slices.Sorted(maps.Keys(c.NetworkSettings.Networks)), ", "), want.Network.Name)
	} else if attached.IPAMConfig != nil {
		address = attached.IPAMConfig.IPv4Address
	}
	if connected && address != want.Address {
		differ("address", address, want.Address)
	}
	before, after := map[string]string{}, map[string]string{}
	for _, mount := range c.Mounts {
		if mount.Type == "volume" {
			before[mount.Destination] = mount.Name
		}
	}
	for _, disk := range disks(want) {
		after[disk.Path] = volumeName(want.Sandbox, want.Name, disk.Name)
	}
	if !maps.Equal(before, after) {
		differ("disks", before, after)
	}
	if made := c.Config.Labels[labelConfinement]; made != confinement() {
		differ("confinement", made, confinement())
	}
	if server := c.Config.Labels[labelNameserver]; want.Network.Nameserver != "" && server != want.Network.Nameserver {
		differ("nameserver", server, want.Network.Nameserver)
	}
	if before := askedDiskSize(c); want.DiskSize > 0 && before != want.DiskSize && computer.limitsRoot {
		differ("disk", before, want.DiskSize)
	}
	if is, asked := published(c), want.Ports; !samePorts(is, asked) {
		differ("ports", showPorts(is), showPorts(asked))
	}
	return found
}

func short(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}

func published(c container) []driver.Port {
	var ports []driver.Port
	for port, bindings := range c.HostConfig.PortBindings {
		number, _ := strconv.Atoi(strings.TrimSuffix(port, "/tcp"))
		for _, binding := range bindings {
			host, _ := strconv.Atoi(binding.HostPort)
			ports = append(ports, driver.Port{Port: number, HostPort: host})
		}
	}
	slices.SortFunc(ports, func(a, b driver.Port) int { return a.Port - b.Port })
	return ports
}

// samePorts: a wanted port without a host port is satisfied by any.
func samePorts(is, asked []driver.Port) bool {
	if len(is) != len(asked) {
		return false
	}
	for _, p := range asked {
		if !slices.ContainsFunc(is, func(q driver.Port) bool {
			return p.Port == q.Port && (p.HostPort == 0 || p.HostPort == q.HostPort)
		}) {
			return false
		}
	}
	return true
}

func showPorts(ports []driver.Port) []string {
	shown := []string{}
	for _, p := range ports {
		host := "any"
		if p.HostPort != 0 {
			host = strconv.Itoa(p.HostPort)
		}
		shown = append(shown, fmt.Sprintf("127.0.0.1:%s:%d", host, p.Port))
	}
	slices.Sort(shown)
	return shown
}

func seedDrift(is map[string][]byte, want driver.Spec) []driver.Difference {
	var found []driver.Difference
	for _, part := range []struct{ name, file string }{
		{"user", "user"}, {"authorized_keys", "authorized_keys"}, {"host_key", "ssh_host_ed25519_key.pub"},
		{"model", "model"}, {"lacks", "lacks"},
	} {
		wanted, asked := seed(want)[part.file]
		if !asked || part.file == "authorized_keys" && len(want.AuthorizedKeys) == 0 {
			continue // only in check mode, before there are keys
		}
		if !bytes.Equal(is[part.file], wanted) {
			var before any
			if text, ok := is[part.file]; ok {
				before = strings.TrimSpace(string(text))
			}
			found = append(found, driver.Difference{Name: part.name, Before: before, After: strings.TrimSpace(string(wanted))})
		}
	}
	if wanted, asked := seed(want)["ssh_host_ed25519_key"]; asked && !bytes.Equal(is["ssh_host_ed25519_key"], wanted) && len(found) == 0 {
		// The private half alone is damaged; it must never be shown.
		found = append(found, driver.Difference{Name: "host_key", Before: "damaged", After: strings.TrimSpace(want.HostPublic)})
	}
	return found
}

func (d Driver) create(want driver.Spec, computer computer, old *container, first string, differences []driver.Difference, fresh []string) driver.Step {
	name := ContainerName(want.Sandbox, want.Name)
	return driver.Step{
		Name: "create container " + name, Differences: differences,
		Do: func(ctx context.Context) error {
			// The network must not go between finding and using it: a process that removes
			// the last other machine holds the same lock.
			return d.locked(ctx, "create container "+name, func() error {
				net, err := d.ensureNetwork(ctx, want)
				if err != nil {
					return err
				}
				profile, err := writeProfile()
				if err != nil {
					return err
				}
				defer os.Remove(profile)
				confined := confine(profile, hostLimits{sysResource: net.Labels[labelSysResource] == "true", cgroup: computer.cgroup})
				_, err = d.Engine.Do(ctx, createArgs(want, computer, old, first, confined)...)
				if err != nil && computer.limitsRoot && noQuota(err) {
					computer.limitsRoot, computer.limitsVolumes = false, false
					_, err = d.Engine.Do(ctx, createArgs(want, computer, old, first, confined)...)
				}
				if err != nil && strings.Contains(err.Error(), "already in use by container") {
					// The command of a killed run went on without it and was first.
					if _, failed := d.Inspect(ctx, want.Sandbox, want.Name); failed == nil {
						return nil
					}
				}
				return explain(err, want)
			})
		},
		Undo: func(ctx context.Context) error {
			err := d.removeContainer(ctx, want)
			for _, volume := range fresh {
				_, failed := d.Engine.Do(ctx, "volume", "rm", "--force", volume)
				err = errors.Join(err, failed)
			}
			return err
		},
	}
}

func createArgs(want driver.Spec, computer computer, old *container, first string, confined []string) []string {
	name := ContainerName(want.Sandbox, want.Name)
	if old != nil && want.Network.Nameserver == "" {
		want.Network.Nameserver = old.Config.Labels[labelNameserver]
	}
	args := []string{
		"create", "--name=" + name, "--hostname=" + want.Name,
		"--label=" + LabelSandbox + "=" + want.Sandbox,
		"--label=" + LabelMachine + "=" + want.Name,
		"--label=" + labelAddress + "=" + want.Address,
		"--label=" + labelFirst + "=" + first,
		"--label=" + labelConfinement + "=" + confinement(),
		"--label=" + labelNameserver + "=" + want.Network.Nameserver,
		"--env=SANDBOX_NAMESERVER=" + want.Network.Nameserver,
		"--label=" + labelDiskSize + "=" + strconv.FormatInt(want.DiskSize, 10),
		"--network=" + want.Network.Name, "--ip=" + want.Address, "--network-alias=" + want.Name,
		"--restart=unless-stopped",
		"--stop-signal=SIGRTMIN+3", // what tells systemd to power off in order
		fmt.Sprintf("--stop-timeout=%d", int(stopTimeout.Seconds())),
		"--cgroupns=private", "--pids-limit=-1",
		"--tmpfs=/run:exec,mode=755", "--tmpfs=/tmp:exec,mode=1777",
		"--pull=never",
	}
	args = append(args, confined...)
	args = append(args, limitArgs(want, computer)...)
	if want.DiskSize > 0 && computer.limitsRoot {
		args = append(args, fmt.Sprintf("--storage-opt=size=%d", want.DiskSize))
	}
	for _, disk := range disks(want) {
		mount := fmt.Sprintf("type=volume,source=%s,target=%s", volumeName(want.Sandbox, want.Name, disk.Name), disk.Path)
		size := int64(0)
		if computer.limitsVolumes {
			size = diskSize(disk, want)
		}
		for _, label := range []string{
			LabelSandbox + "=" + want.Sandbox, LabelMachine + "=" + want.Name, labelDisk + "=" + disk.Name,
			labelSize + "=" + strconv.FormatInt(size, 10),
		} {
			mount += ",volume-label=" + label
		}
		if size > 0 {
			mount += fmt.Sprintf(",volume-opt=size=%d", size)
		}
		args = append(args, "--mount="+mount)
	}
	var before []driver.Port
	if old != nil {
		before = published(*old)
	}
	for _, p := range want.Ports {
		if p.HostPort == 0 {
			p.HostPort = choosePort(name, p.Port, before)
		}
		args = append(args, fmt.Sprintf("--publish=127.0.0.1:%d:%d/tcp", p.HostPort, p.Port))
	}
	return append(args, want.Image)
}

// choosePort gives a port of loopback that stays the same for a machine as long
// as it is free: below the ranges from which systems take ports by themselves.
func choosePort(name string, port int, before []driver.Port) int {
	for _, p := range before {
		if p.Port == port {
			return p.HostPort
		}
	}
	const low, count = 20000, 10000
	sum := fnv.New32a()
	fmt.Fprintf(sum, "%s:%d", name, port)
	start := int(sum.Sum32() % count)
	for i := range count {
		candidate := low + (start+i)%count
		listener, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(candidate)) //nolint:noctx // closed at once
		if err == nil {
			listener.Close()
			return candidate
		}
	}
	return low + start
}

// inject puts the seed files into the machine; a running one takes them over at once.
func (d Driver) inject(want driver.Spec, differences []driver.Difference, running bool) driver.Step {
	name := ContainerName(want.Sandbox, want.Name)
	return driver.Step{
		Name: "give machine " + want.Name + " its keys", Differences: differences,
		Do: func(ctx context.Context) error {
			files, err := packSeed(seed(want))
			if err != nil {
				return err
			}
			if _, err := d.Engine.Feed(ctx, files, "cp", "-", name+":"+path.Dir(seedDir)); err != nil {
				return err
			}
			if running {
				_, err = d.Engine.Do(ctx, "exec", name, seedScript, "--reload")
			}
			return err
		},
	}
}

func (d Driver) start(want driver.Spec) driver.Step {
	return driver.Step{
		Name: "start machine " + want.Name,
		Do: func(ctx context.Context) error {
			_, err := d.Engine.Do(ctx, "start", ContainerName(want.Sandbox, want.Name))
			return explain(err, want)
		},
	}
}

func (d Driver) stop(want driver.Spec) driver.Step {
	return driver.Step{
		Name: "stop machine " + want.Name,
		Do: func(ctx context.Context) error {
			_, err := d.Engine.Do(ctx, "stop", fmt.Sprintf("--time=%d", int(stopTimeout.Seconds())), ContainerName(want.Sandbox, want.Name))
			return err
		},
	}
}

// explain adds a remedy to the engine's errors about creating and starting.
func explain(err error, want driver.Spec) error {
	if err == nil {
		return nil
	}
	said := strings.ToLower(err.Error())
	switch {
	case strings.Contains(said, "no such image"):
		return fmt.Errorf("%w: the engine does not have %s: build it with arcodange.sandbox.sandbox_image: %w", driver.ErrNoImage, want.Image, err)
	case strings.Contains(said, "address already in use") && strings.Contains(said, want.Address), strings.Contains(said, "failed to set up container networking: address already in use"), strings.HasSuffix(said, "address already in use"):
		return fmt.Errorf("%w: %s is used by another container of network %s: choose another address: %w", driver.ErrAddressTaken, want.Address, want.Network.Name, err)
	case strings.Contains(said, "port is already allocated"), strings.Contains(said, "ports are not available"):
		return fmt.Errorf("a published port of this computer is in use: choose another host_port, or end the program that uses it: %w", err)
	case strings.Contains(said, "unable to apply caps"):
		return fmt.Errorf("this computer no longer grants a capability that it did when the sandbox was made: remove the sandbox and make it again: %w", err)
	}
	return err
}

func (d Driver) removeContainer(ctx context.Context, want driver.Spec) error {
	name := ContainerName(want.Sandbox, want.Name)
	_, err := d.Engine.Do(ctx, "container", "rm", "--force", name)
	if errors.Is(err, dockercli.ErrNotFound) {
		return nil
	}
	if err != nil && strings.Contains(err.Error(), "already in progress") {
		return d.gone(ctx, name)
	}
	return err
}

// gone waits for a removal that a killed process had begun.
func (d Driver) gone(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, removalWait)
	defer cancel()
	for {
		found, err := dockercli.Inspect[container](ctx, d.Engine, "container", name)
		if err != nil || len(found) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("container %s is still being removed: %w", name, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// removeVolumes removes the machine's volumes. The engine goes on with a
// creation whose command was killed, so a container that no process has seen yet
// may turn up and hold them.
func (d Driver) removeVolumes(ctx context.Context, want driver.Spec, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, removalWait)
	defer cancel()
	for {
		_, err := d.Engine.Do(ctx, append([]string{"volume", "rm", "--force"}, names...)...)
		if err == nil || !strings.Contains(err.Error(), "volume is in use") {
			return err
		}
		// Inspect refuses a container of another owner; what else holds a volume is not ours to remove.
		if _, failed := d.Inspect(ctx, want.Sandbox, want.Name); failed == nil {
			if failed := d.removeContainer(ctx, want); failed != nil {
				return failed
			}
			continue
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (d Driver) planAbsent(s scene, want driver.Spec) driver.Plan {
	var plan driver.Plan
	if s.container != nil {
		plan.Add(driver.Step{
			Name:        "remove container " + ContainerName(want.Sandbox, want.Name),
			Differences: []driver.Difference{{Name: "state", Before: string(s.container.power()), After: string(driver.Absent)}},
			Do:          func(ctx context.Context) error { return d.removeContainer(ctx, want) },
		})
	}
	if names := slices.Sorted(maps.Keys(s.volumes)); len(names) > 0 {
		plan.Add(driver.Step{
			Name:        "remove the disks of machine " + want.Name,
			Differences: []driver.Difference{{Name: "disks", Before: names}},
			Do:          func(ctx context.Context) error { return d.removeVolumes(ctx, want, names) },
		})
	}
	last := len(s.others) == 0
	ours := s.network != nil && s.network.Labels[LabelSandbox] == want.Sandbox
	if !ours && !(last && len(s.helpers) > 0) {
		return plan
	}
	// Who is last is seen only under the lock: machines are removed at once.
	step := driver.Step{
		Name: "remove network " + want.Network.Name + " if this was its last machine",
		Do:   func(ctx context.Context) error { return d.removeNetwork(ctx, want, want.Name) },
	}
	if last && ours {
		step.Differences = []driver.Difference{{Name: "network", Before: want.Network.Name + " " + s.network.subnet()}}
	} else if last {
		step.Differences = []driver.Difference{{Name: "helpers", Before: s.helpers}}
	}
	plan.Add(step)
	return plan
}

// Inspect implements driver.Driver.
func (d Driver) Inspect(ctx context.Context, sandbox, name string) (driver.Machine, error) {
	handle := ContainerName(sandbox, name)
	found, err := dockercli.Inspect[container](ctx, d.Engine, "container", handle)
	if err != nil {
		return driver.Machine{}, err
	}
	if len(found) == 0 {
		return driver.Machine{}, fmt.Errorf("container %s: %w", handle, driver.ErrNotFound)
	}
	c := found[0]
	if err := owned("container", handle, sandbox, c.Config.Labels); err != nil {
		return driver.Machine{}, err
	}
	m := driver.Machine{
		Name: name, Sandbox: sandbox, Driver: d.Name(), ID: handle, State: c.power(), Image: c.Config.Image,
		CPUs: float64(c.HostConfig.NanoCpus) / 1e9, Memory: c.HostConfig.Memory, DiskSize: diskLimit(c),
		Ports: published(c),
	}
	if !slices.ContainsFunc(c.HostConfig.CapAdd, func(added string) bool { return strings.TrimPrefix(added, "CAP_") == sysResource.name }) {
		m.Notes = append(m.Notes, handle+" has no capability SYS_RESOURCE, which this computer cannot grant: "+sysResource.reason+" are refused in it")
	}
	for netName, attached := range c.NetworkSettings.Networks {
		m.Network.Name, m.Gateway = netName, attached.Gateway
		if attached.IPAMConfig != nil {
			m.Address = attached.IPAMConfig.IPv4Address
		}
	}
	if c.State.Status == "paused" {
		m.State = driver.Stopped // it does not answer
	}
	m.SSHHost, m.SSHPort = m.Address, 22
	for _, p := range m.Ports {
		if p.Port == 22 {
			m.SSHHost, m.SSHPort = "127.0.0.1", p.HostPort
		}
	}
	for _, mount := range c.Mounts {
		if mount.Type == "volume" {
			m.Disks = append(m.Disks, driver.Disk{Name: strings.TrimPrefix(mount.Name, handle+"-"), Path: mount.Destination})
		}
	}
	slices.SortFunc(m.Disks, func(a, b driver.Disk) int { return strings.Compare(a.Path, b.Path) })
	files, err := d.readSeed(ctx, handle)
	if err != nil {
		return m, err
	}
	m.User = strings.TrimSpace(string(files["user"]))
	m.Model = strings.TrimSpace(string(files["model"]))
	if key, err := driver.ParsePublicKey(string(files["ssh_host_ed25519_key.pub"])); err == nil {
		m.HostKeys = []driver.PublicKey{key}
	}
	return m, nil
}

// List implements driver.Driver.
func (d Driver) List(ctx context.Context, sandbox string) ([]string, error) {
	machines := []string{}
	for _, kind := range [][]string{{"container", "ls", "--all"}, {"volume", "ls"}} {
		out, err := d.Engine.Do(ctx, append(kind, "--filter", "label="+LabelSandbox+"="+sandbox, "--filter", "label="+LabelMachine,
			"--format", `{{.Label "`+LabelMachine+`"}}`)...)
		if err != nil {
			return nil, fmt.Errorf("list the machines of sandbox %s: %w", sandbox, err)
		}
		machines = append(machines, strings.Fields(string(out))...)
	}
	slices.Sort(machines)
	return slices.Compact(machines), nil
}

// HostKey implements driver.Driver.
func (d Driver) HostKey(ctx context.Context, sandbox, name string) ([]byte, error) {
	files, err := d.readSeed(ctx, ContainerName(sandbox, name))
	if err != nil {
		return nil, err
	}
	key := files["ssh_host_ed25519_key"]
	if len(key) == 0 {
		return nil, fmt.Errorf("host key of machine %s: %w", name, driver.ErrNotFound)
	}
	return key, nil
}

// Diagnose implements driver.Driver.
func (d Driver) Diagnose(ctx context.Context, sandbox, name string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	handle := ContainerName(sandbox, name)
	found, err := dockercli.Inspect[container](ctx, d.Engine, "container", handle)
	if err != nil || len(found) == 0 {
		return "container " + handle + " is gone"
	}
	state := found[0].State
	text := fmt.Sprintf("container %s is %s", handle, state.Status)
	if state.Status != "running" {
		return text + fmt.Sprintf(" with exit status %d %s", state.ExitCode, state.Error)
	}
	out, err := d.Engine.Do(ctx, "exec", handle, "systemctl", "--no-pager", "--plain", "--no-legend", "list-units", "--state=failed,activating")
	if err == nil {
		units := []string{}
		for line := range strings.Lines(string(out)) {
			if words := strings.Fields(line); len(words) > 3 {
				units = append(units, words[0]+" "+words[3])
			}
		}
		text += ", units: " + strings.Join(units, ", ")
	}
	return text
}
