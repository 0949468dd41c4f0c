// SPDX-License-Identifier: GPL-3.0-or-later

package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/arcodange-org/sandbox/internal/dockercli"
	"github.com/arcodange-org/sandbox/internal/driver"
)

// Limits of a machine. Processors and memory are the container's cgroup, and the
// node shows them itself (sandbox-hardware in the image's recipe). The size of its
// file systems can be limited only where the engine keeps them on a file system
// with quotas.

// Lacks implements driver.Driver.
func (Driver) Lacks() map[driver.Capability]string {
	return map[driver.Capability]string{
		driver.Clock:   "the clock is the computer's",
		driver.ISCSI:   "its kernel has initiators in the computer's own network alone",
		driver.Modules: "the kernel is the computer's",
		driver.Swap:    "swap is the computer's",
	}
}

// computer is what the engine runs on.
type computer struct {
	cpus    int
	memory  int64  // bytes
	cgroup  string // "1" or "2"
	storage string // how the engine keeps file systems
	// Whether it may be able to limit a container's root file system, and volumes: see noQuota.
	limitsRoot, limitsVolumes bool
}

func (d Driver) computer(ctx context.Context) (computer, error) {
	out, err := d.Engine.Do(ctx, "info", "--format", "{{json .}}")
	if err != nil {
		return computer{}, err
	}
	var info struct {
		NCPU                  int
		MemTotal              int64
		CgroupVersion, Driver string
		DriverStatus          [][2]string
	}
	if err := json.Unmarshal(out, &info); err != nil {
		return computer{}, fmt.Errorf("read what the engine runs on: %w", err)
	}
	c := computer{cpus: info.NCPU, memory: info.MemTotal, cgroup: info.CgroupVersion, storage: info.Driver}
	for _, status := range info.DriverStatus {
		if status[0] == "Backing Filesystem" {
			c.storage += " on " + status[1]
		}
	}
	c.limitsVolumes = c.storage == "overlay2 on xfs"
	c.limitsRoot = c.limitsVolumes || c.storage == "btrfs" || c.storage == "zfs"
	return c, nil
}

// noQuota reports whether the engine says that its file system has no quotas
// after all: on XFS they are an option of the mount.
func noQuota(err error) bool {
	said := err.Error()
	return strings.Contains(said, "storage-opt") || strings.Contains(said, "quota")
}

// limits looks at the computer where a limit is to be set or changed, and refuses
// one that it cannot give.
func (d Driver) limits(ctx context.Context, s scene, want driver.Spec) (computer, error) {
	if c := s.container; c != nil && !limitsDiffer(*c, want) && (want.DiskSize == 0 || askedDiskSize(*c) == want.DiskSize) && len(drift(*c, s, want, computer{})) == 0 {
		return computer{}, nil
	}
	found, err := d.computer(ctx)
	switch {
	case err != nil:
		return computer{}, err
	case want.CPUs > float64(found.cpus):
		return computer{}, fmt.Errorf("%w: cpus %v: the computer has %d: use at most that (in the inventory: sandbox_nodes_cpus)", driver.ErrInvalid, want.CPUs, found.cpus)
	case want.Memory > found.memory:
		return computer{}, fmt.Errorf("%w: memory of %s: the computer has %s: use less (in the inventory: sandbox_nodes_memory)", driver.ErrInvalid, size(want.Memory), size(found.memory))
	}
	return found, nil
}

func size(bytes int64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30)) }

func nanoCPUs(cores float64) int64 { return int64(math.Round(cores * 1e9)) }

// processors returns the processors that the machine may run on, as the engine
// writes them: as many as its limit, rounded up, so that a program that counts
// processors sees the limit. Machines with consecutive addresses get different
// ones if the computer has enough.
func processors(want driver.Spec, computer computer) string {
	count := int(math.Ceil(want.CPUs))
	last, _ := strconv.Atoi(want.Address[strings.LastIndexByte(want.Address, '.')+1:])
	var names []string
	for i := range count {
		names = append(names, strconv.Itoa((last*count+i)%computer.cpus))
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

// counted returns how many processors a set of the engine's names has; 0 for all.
func counted(set string) int {
	count := 0
	for part := range strings.SplitSeq(set, ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		if err != nil {
			continue
		}
		count++
		if to, err := strconv.Atoi(last); isRange && err == nil {
			count += to - from
		}
	}
	return count
}

func cpusDiffer(c container, want driver.Spec) bool {
	return want.CPUs > 0 && (nanoCPUs(want.CPUs) != c.HostConfig.NanoCpus || counted(c.HostConfig.CpusetCpus) != int(math.Ceil(want.CPUs)))
}

func memoryDiffers(c container, want driver.Spec) bool {
	swap := c.HostConfig.MemorySwap
	// Where the computer does not count swap, the engine notes none.
	return want.Memory > 0 && (want.Memory != c.HostConfig.Memory || swap > 0 && swap != want.Memory)
}

func limitsDiffer(c container, want driver.Spec) bool {
	return cpusDiffer(c, want) || memoryDiffers(c, want)
}

// limitArgs are the engine's options for processors and memory.
func limitArgs(want driver.Spec, computer computer) []string {
	var args []string
	if want.CPUs > 0 {
		args = append(args, "--cpus="+strconv.FormatFloat(want.CPUs, 'f', -1, 64), "--cpuset-cpus="+processors(want, computer))
	}
	if want.Memory > 0 {
		args = append(args, fmt.Sprintf("--memory=%d", want.Memory), fmt.Sprintf("--memory-swap=%d", want.Memory))
	}
	return args
}

// update changes the limits in place; a running machine shows them at once.
func (d Driver) update(c container, want driver.Spec, computer computer) []driver.Step {
	var differences []driver.Difference
	if before := float64(c.HostConfig.NanoCpus) / 1e9; cpusDiffer(c, want) {
		if nanoCPUs(want.CPUs) != c.HostConfig.NanoCpus {
			differences = append(differences, driver.Difference{Name: "cpus", Before: before, After: want.CPUs})
		} else {
			differences = append(differences, driver.Difference{Name: "processors", Before: c.HostConfig.CpusetCpus, After: processors(want, computer)})
		}
	}
	if memoryDiffers(c, want) {
		differences = append(differences, driver.Difference{Name: "memory", Before: c.HostConfig.Memory, After: want.Memory})
	}
	if len(differences) == 0 {
		return nil
	}
	name, running := ContainerName(want.Sandbox, want.Name), c.power() == driver.Started
	return []driver.Step{{
		Name: "change the limits of machine " + want.Name, Differences: differences,
		Do: func(ctx context.Context) error {
			if running && cpusDiffer(c, want) {
				if err := d.leaveProcessors(ctx, c, name, processors(want, computer)); err != nil {
					return err
				}
			}
			_, err := d.Engine.Do(ctx, append(append([]string{"update"}, limitArgs(want, computer)...), name)...)
			if err != nil && strings.Contains(err.Error(), "device or resource busy") {
				return fmt.Errorf("what runs in %s uses more memory than %s: stop some of it, or set more: %w", want.Name, size(want.Memory), err)
			}
			if err == nil && running {
				_, err = d.Engine.Do(ctx, "exec", name, "systemctl", "reload-or-restart", "sandbox-hardware.service")
			}
			return err
		},
	}}
}

// leaveProcessors moves what runs in the machine to its new processors. On cgroup
// v1 the cgroups inside hold those that they have, and the machine could not let go.
func (d Driver) leaveProcessors(ctx context.Context, c container, name, to string) error {
	if from := c.HostConfig.CpusetCpus; from != "" {
		if _, err := d.Engine.Do(ctx, "update", "--cpuset-cpus="+from+","+to, name); err != nil {
			return err
		}
	}
	_, err := d.Engine.Do(ctx, "exec", name, hardwareScript, "--processors", to)
	return err
}

// diskSize is the size that a disk is to have; 0 for no limit.
func diskSize(disk driver.Disk, want driver.Spec) int64 {
	if disk.Size > 0 {
		return disk.Size
	}
	return want.DiskSize
}

func askedDiskSize(c container) int64 {
	asked, _ := strconv.ParseInt(c.Config.Labels[labelDiskSize], 10, 64)
	return asked
}

// diskLimit returns the size that the engine enforces; 0 for none.
func diskLimit(c container) int64 {
	limit, _ := strconv.ParseInt(c.HostConfig.StorageOpt["size"], 10, 64)
	return limit
}

// diskNotes returns a sentence for each kind of size that is not enforced. computer
// is empty for a machine that is not made anew; its own limit then tells.
func diskNotes(s scene, want driver.Spec, computer computer) []string {
	if want.DiskSize == 0 && !slices.ContainsFunc(want.Disks, func(disk driver.Disk) bool { return disk.Size > 0 }) {
		return nil
	}
	root, volumes := computer.limitsRoot, computer.limitsVolumes
	if c := s.container; computer.cpus == 0 && c != nil {
		root = diskLimit(*c) > 0
		volumes = true
	}
	var free, kept []string
	if want.DiskSize > 0 && !root {
		free = append(free, "/")
	}
	for _, disk := range disks(want) {
		wanted := diskSize(disk, want)
		made, ok := int64(0), false
		if v, exists := s.volumes[volumeName(want.Sandbox, want.Name, disk.Name)]; exists {
			made, _ = strconv.ParseInt(v.Labels[labelSize], 10, 64)
			ok = true
		}
		switch {
		case wanted == 0 || ok && made == wanted:
		case ok && made > 0:
			kept = append(kept, disk.Path)
		case ok || !volumes:
			free = append(free, disk.Path)
		}
	}
	var notes []string
	if len(free) > 0 {
		notes = append(notes, fmt.Sprintf("%s of %s share the engine's disk without a limit: it limits file systems only on XFS with project quotas, and / also on btrfs and ZFS",
			strings.Join(free, ", "), want.Name))
	}
	if len(kept) > 0 {
		notes = append(notes, fmt.Sprintf("%s of %s keep the size that they were made with: to change it, remove the machine first (state: absent)", strings.Join(kept, ", "), want.Name))
	}
	return notes
}

// Overcommitted implements driver.Driver.
func (d Driver) Overcommitted(ctx context.Context, sandbox string) (string, error) {
	out, err := d.Engine.Do(ctx, "container", "ls", "--quiet", "--filter", "label="+LabelSandbox+"="+sandbox, "--filter", "label="+LabelMachine)
	if err != nil {
		return "", fmt.Errorf("list the machines of sandbox %s: %w", sandbox, err)
	}
	machines, err := dockercli.Inspect[container](ctx, d.Engine, "container", strings.Fields(string(out))...)
	if err != nil && !errors.Is(err, dockercli.ErrNotFound) {
		return "", err
	}
	found, err := d.computer(ctx)
	if err != nil {
		return "", err
	}
	return overcommitted(sandbox, machines, found), nil
}

func overcommitted(sandbox string, machines []container, computer computer) string {
	var cpus float64
	var memory int64
	for _, m := range machines {
		cpus += float64(m.HostConfig.NanoCpus) / 1e9
		memory += m.HostConfig.Memory
	}
	if cpus <= float64(computer.cpus) && memory <= computer.memory {
		return ""
	}
	return fmt.Sprintf("the machines of sandbox %s may use %v CPUs and %s of memory together, and the computer has %d and %s: what one uses, another misses",
		sandbox, cpus, size(memory), computer.cpus, size(computer.memory))
}
