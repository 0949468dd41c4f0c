// SPDX-License-Identifier: GPL-3.0-or-later

package docker

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/dockercli"
	"github.com/arcodange-org/sandbox/internal/driver"
	"github.com/arcodange-org/sandbox/internal/run"
)

// told is an engine that answers `docker info` and nothing else.
type told string

func (t told) Run(context.Context, run.Cmd) (run.Result, error) {
	return run.Result{Stdout: []byte(t)}, nil
}

func limited(cpus float64, memory int64) container {
	var c container
	c.State.Status = "running"
	c.HostConfig.NanoCpus, c.HostConfig.Memory, c.HostConfig.MemorySwap = nanoCPUs(cpus), memory, memory
	return c
}

const gib = int64(1) << 30

func TestAMachineCountsAsManyProcessorsAsItMayUse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cpus     float64
		address  string
		computer int
		want     string
	}{
		"one of two":                               {1, "172.30.0.11", 2, "1"},
		"the next machine gets the other":          {1, "172.30.0.12", 2, "0"},
		"a fraction counts as a whole":             {0.5, "172.30.0.12", 2, "0"},
		"more than one and less than two":          {1.5, "172.30.0.11", 4, "2,3"},
		"machines in a row share none if they can": {2, "172.30.0.12", 8, "0,1"},
		"all of them":                              {4, "172.30.0.13", 4, "0,1,2,3"},
		"around the end":                           {3, "172.30.0.10", 4, "0,2,3"},
	} {
		w := want()
		w.CPUs, w.Address = test.cpus, test.address
		set := processors(w, computer{cpus: test.computer})
		assert.Equal(t, test.want, set, name)
		assert.Equal(t, strings.Count(test.want, ",")+1, counted(set), name)
	}
	assert.Equal(t, 0, counted(""))
	assert.Equal(t, 5, counted("0-2,5,7"))
}

func TestALimitThatWasChangedByHandIsADifference(t *testing.T) {
	t.Parallel()
	w := want()
	w.CPUs, w.Memory = 2, 4*gib
	as := func(change func(*container)) container {
		c := limited(2, 4*gib)
		c.HostConfig.CpusetCpus = "0-1"
		change(&c)
		return c
	}
	for name, test := range map[string]struct {
		is   container
		want []string
	}{
		"nothing":              {as(func(*container) {}), nil},
		"memory":               {as(func(c *container) { c.HostConfig.Memory = gib }), []string{"memory"}},
		"swap beside it":       {as(func(c *container) { c.HostConfig.MemorySwap = 8 * gib }), []string{"memory"}},
		"swap is not counted":  {as(func(c *container) { c.HostConfig.MemorySwap = -1 }), nil},
		"time":                 {as(func(c *container) { c.HostConfig.NanoCpus = 1e9 }), []string{"cpus"}},
		"processors":           {as(func(c *container) { c.HostConfig.CpusetCpus = "1" }), []string{"processors"}},
		"no limit at all":      {limited(0, 0), []string{"cpus", "memory"}},
		"the same in one form": {as(func(c *container) { c.HostConfig.CpusetCpus = "0,1" }), nil},
	} {
		names := []string(nil)
		for _, step := range (Driver{}).update(test.is, w, computer{cpus: 2}) {
			for _, d := range step.Differences {
				names = append(names, d.Name)
			}
		}
		assert.Equal(t, test.want, names, name)
		assert.Equal(t, test.want != nil, limitsDiffer(test.is, w), name)
	}
}

func TestMoreThanTheComputerHasIsRefused(t *testing.T) {
	t.Parallel()
	info, err := json.Marshal(map[string]any{"NCPU": 2, "MemTotal": 8 * gib, "CgroupVersion": "2", "Driver": "overlay2", "DriverStatus": [][]string{{"Backing Filesystem", "extfs"}}})
	require.NoError(t, err)
	d := Driver{Engine: dockercli.Engine{Runner: told(info)}}
	for said, change := range map[string]func(*driver.Spec){
		"cpus 4: the computer has 2":                     func(w *driver.Spec) { w.CPUs = 4 },
		"memory of 16.0 GiB: the computer has 8.0 GiB":   func(w *driver.Spec) { w.Memory = 16 * gib },
		"cpus 2.5: the computer has 2: use at most that": func(w *driver.Spec) { w.CPUs = 2.5 },
	} {
		w := want()
		change(&w)
		_, err := d.limits(t.Context(), scene{}, w)
		require.ErrorIs(t, err, driver.ErrInvalid)
		assert.ErrorContains(t, err, said)
		assert.NotContains(t, err.Error(), "\n")
	}
	w := want()
	w.CPUs, w.Memory = 2, 8*gib
	found, err := d.limits(t.Context(), scene{}, w)
	require.NoError(t, err)
	assert.Equal(t, computer{cpus: 2, memory: 8 * gib, cgroup: "2", storage: "overlay2 on extfs"}, found)
}

func TestWhatTheMachinesMayUseTogetherIsCompared(t *testing.T) {
	t.Parallel()
	c := computer{cpus: 4, memory: 8 * gib}
	for name, test := range map[string]struct {
		machines []container
		says     string
	}{
		"none":                    {nil, ""},
		"as much as there is":     {[]container{limited(2, 4*gib), limited(2, 4*gib)}, ""},
		"without limits":          {[]container{limited(0, 0), limited(0, 0), limited(0, 0)}, ""},
		"more memory":             {[]container{limited(1, 4*gib), limited(1, 4*gib), limited(1, gib)}, "3 CPUs and 9.0 GiB of memory together, and the computer has 4 and 8.0 GiB"},
		"more processors":         {[]container{limited(3, gib), limited(1.5, gib)}, "4.5 CPUs and 2.0 GiB"},
		"a third pushes it over":  {[]container{limited(2, gib), limited(2, gib), limited(0.5, gib)}, "4.5 CPUs"},
		"one without, two beside": {[]container{limited(0, 0), limited(4, 8*gib)}, ""},
	} {
		said := overcommitted("sandbox", test.machines, c)
		if test.says == "" {
			assert.Empty(t, said, name)
			continue
		}
		assert.Contains(t, said, test.says, name)
	}
}

func TestTheSizeOfADiskIsLimitedWhereTheEngineCanAndSaidWhereItCannot(t *testing.T) {
	t.Parallel()
	w := want()
	w.DiskSize = 8 * gib
	w.Disks = []driver.Disk{{Name: "data", Path: "/mnt/data", Size: 2 * gib}}
	text := func(c computer) string { return strings.Join(createArgs(w, c, nil, "started", nil), "\n") }
	all, root, none := computer{cpus: 2, limitsRoot: true, limitsVolumes: true}, computer{cpus: 2, limitsRoot: true}, computer{cpus: 2}
	can := text(all)
	assert.Contains(t, can, "--storage-opt=size=8589934592")
	assert.Regexp(t, `target=/mnt/data\S*,volume-opt=size=2147483648\n`, can)
	assert.Regexp(t, `target=/var/lib/rancher\S*,volume-opt=size=8589934592\n`, can)
	assert.Contains(t, text(root), "--storage-opt=size=8589934592")
	assert.NotContains(t, text(root), "volume-opt=size")
	assert.NotContains(t, text(none), "-opt=size")

	assert.Empty(t, diskNotes(scene{}, w, all))
	const systems = "/mnt/data, /var/lib/containerd, /var/lib/docker, /var/lib/kubelet, /var/lib/rancher of pi1 share the engine's disk"
	for name, test := range map[string]struct {
		computer computer
		says     string
	}{"only the root": {root, systems}, "nothing": {none, "/, " + systems}} {
		notes := diskNotes(scene{}, w, test.computer)
		require.Len(t, notes, 1, name)
		assert.True(t, strings.HasPrefix(notes[0], test.says), notes[0])
	}
	made := scene{container: &container{}, volumes: map[string]volume{"sandbox-pi1-data": {Labels: map[string]string{labelSize: "1073741824"}}}}
	made.container.HostConfig.StorageOpt = map[string]string{"size": "8589934592"}
	notes := diskNotes(made, w, computer{})
	require.Len(t, notes, 1)
	assert.Contains(t, notes[0], "/mnt/data of pi1 keep the size that they were made with")
	w.DiskSize, w.Disks = 0, nil
	assert.Empty(t, diskNotes(scene{}, w, none))
	assert.True(t, noQuota(errors.New("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")))
}

func TestWhatANodeLacksIsWrittenToItInOneLineEach(t *testing.T) {
	t.Parallel()
	text := string(seed(want())["lacks"])
	assert.Equal(t, len(Driver{}.Lacks()), strings.Count(text, "\n"))
	assert.Regexp(t, `(?m)^iscsi: machines of the driver docker lack iscsi \(.+\); use a driver .+: lima, multipass, vagrant$`, text)
}
