// SPDX-License-Identifier: GPL-3.0-or-later

package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/dockercli"
	"github.com/arcodange-org/sandbox/internal/driver"
	"github.com/arcodange-org/sandbox/internal/run"
)

// broken is an engine that fails every command in the same way.
type broken string

func (b broken) Run(_ context.Context, c run.Cmd) (run.Result, error) {
	res := run.Result{Stderr: []byte(b), Code: 1}
	return res, &run.Error{Cmd: c, Result: res, Err: errors.New("exit status 1")}
}

func want() driver.Spec {
	return driver.Spec{
		Sandbox: "sandbox", Name: "pi1", Image: "node", User: "pi", Address: "172.30.0.11",
		Network: driver.Network{Name: "sandbox", Subnet: "172.30.0.0/24"},
	}
}

func TestAnEngineThatDoesNotAnswerIsToldOnceAndInOneLine(t *testing.T) {
	t.Parallel()
	for said, sentinel := range map[string]error{
		"Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?": dockercli.ErrNoEngine,
		"permission denied while trying to connect to the Docker daemon socket":                             dockercli.ErrNoPermission,
	} {
		d := Driver{Engine: dockercli.Engine{Runner: broken(said)}}
		for _, power := range []driver.Power{driver.Started, driver.Absent} {
			_, err := d.Plan(t.Context(), want(), power)
			require.ErrorIs(t, err, sentinel)
			assert.Equal(t, 1, strings.Count(err.Error(), said))
			assert.NotContains(t, err.Error(), "\n")
		}
	}
}

func TestWhatTheEngineSaysBecomesWhatToDo(t *testing.T) {
	t.Parallel()
	for said, test := range map[string]struct {
		is   error
		says string
	}{
		"Error response from daemon: No such image: node":                                                            {driver.ErrNoImage, "sandbox_image"},
		"Error response from daemon: Address already in use":                                                         {driver.ErrAddressTaken, "172.30.0.11"},
		"driver failed programming external connectivity: Bind for 127.0.0.1:2211 failed: port is already allocated": {nil, "choose another host_port"},
		"OCI runtime create failed: unable to apply caps: operation not permitted":                                   {nil, "no longer grants a capability"},
	} {
		err := explain(errors.New(said), want())
		if test.is != nil {
			assert.ErrorIs(t, err, test.is, said)
		}
		assert.ErrorContains(t, err, test.says)
	}
	assert.NoError(t, explain(nil, want()))
}

func TestANodeIsGivenWhatTheListsNameAndNothingElse(t *testing.T) {
	t.Parallel()
	args := createArgs(want(), computer{}, nil, "started", confine("profile.json", hostLimits{cgroup: "2"}))
	assert.Contains(t, args, "--cap-drop=ALL")
	assert.Contains(t, args, "--security-opt=seccomp=profile.json")
	assert.Contains(t, args, "--device-cgroup-rule=c 1:3 rwm")
	for _, refused := range []string{
		"--privileged", "--cap-add=ALL", "--cap-add=SYS_TIME", "--cap-add=SYS_MODULE", "--cap-add=SYS_RAWIO", "--cap-add=SYSLOG", "--cap-add=DAC_READ_SEARCH",
		"--cap-add=SYS_RESOURCE", "--security-opt=systempaths=unconfined", "--device-cgroup-rule=a *:* rwm",
	} {
		assert.NotContains(t, args, refused)
	}
	assert.Equal(t, "node", args[len(args)-1])
	assert.Contains(t, confine("", hostLimits{sysResource: true}), "--cap-add=SYS_RESOURCE")
	assert.Contains(t, confine("", hostLimits{cgroup: "1"}), "--device-cgroup-rule=a *:* rwm")
}

func TestEveryLineOfTheListsHasItsReason(t *testing.T) {
	t.Parallel()
	for _, list := range [][]allowed{capabilities, addedCalls, {sysResource}} {
		for i, entry := range list {
			assert.NotEmpty(t, entry.reason, entry.name)
			assert.True(t, i == 0 || list[i-1].name < entry.name, "%s: not in order", entry.name)
		}
	}
	for _, d := range deviceNodes {
		assert.NotEmpty(t, d.reason, d)
	}
}

func TestTheProfileHasEachCallOfMobysListButThoseWithheld(t *testing.T) {
	t.Parallel()
	var moby, ours seccomp.Seccomp
	require.NoError(t, json.Unmarshal(mobyProfile, &moby))
	require.NoError(t, json.Unmarshal(seccompProfile(), &ours))
	assert.Equal(t, specs.ActErrno, ours.DefaultAction)
	unconditional := func(profile seccomp.Seccomp) map[string]bool {
		calls := map[string]bool{}
		for _, rule := range profile.Syscalls {
			for _, name := range rule.Names {
				calls[name] = calls[name] || rule.Action == specs.ActAllow && len(rule.Args) == 0
			}
		}
		return calls
	}
	theirs, is := unconditional(moby), unconditional(ours)
	for name := range withheldCalls {
		assert.Contains(t, theirs, name)
		assert.False(t, is[name], name)
		delete(theirs, name)
	}
	for _, call := range addedCalls {
		assert.NotContains(t, theirs, call.name, "moby's list has it now")
		theirs[call.name] = true
	}
	for name := range is {
		assert.Contains(t, []string{"mknod", "mknodat", name}, name)
	}
	delete(is, "mknod")
	delete(is, "mknodat")
	assert.Equal(t, theirs, is)
}

func TestPublishedPortsListenOnLoopbackOnlyAndStayTheSame(t *testing.T) {
	t.Parallel()
	w := want()
	w.Ports = []driver.Port{{Port: 22}, {Port: 6443, HostPort: 16443}}
	first := createArgs(w, computer{}, nil, "started", nil)
	assert.Contains(t, first, "--publish=127.0.0.1:16443:6443/tcp")
	assert.Equal(t, first, createArgs(w, computer{}, nil, "started", nil))
	for _, arg := range first {
		if strings.HasPrefix(arg, "--publish=") {
			assert.True(t, strings.HasPrefix(arg, "--publish=127.0.0.1:"), arg)
		}
	}
	old := &container{}
	old.HostConfig.PortBindings = map[string][]struct{ HostIp, HostPort string }{"22/tcp": {{"127.0.0.1", "20222"}}}
	assert.Contains(t, createArgs(w, computer{}, old, "started", nil), "--publish=127.0.0.1:20222:22/tcp")
}

func TestAWantedDiskMayTakeThePlaceOfOneThatEveryMachineHas(t *testing.T) {
	t.Parallel()
	w := want()
	w.Disks = []driver.Disk{{Name: "k3s", Path: "/var/lib/rancher"}, {Name: "longhorn", Path: "/mnt/data"}}
	names := []string{}
	for _, disk := range disks(w) {
		names = append(names, disk.Name)
	}
	assert.Equal(t, []string{"longhorn", "containerd", "docker", "kubelet", "k3s"}, names)
}

func TestADiskCannotHaveTheNameOfOneThatEveryMachineHasElsewhere(t *testing.T) {
	t.Parallel()
	w := want()
	w.Disks = []driver.Disk{{Name: "docker", Path: "/mnt/data"}}
	_, err := Driver{Engine: dockercli.Engine{Runner: broken("not asked")}}.Plan(t.Context(), w, driver.Started)
	require.ErrorIs(t, err, driver.ErrInvalid)
	assert.ErrorContains(t, err, "/var/lib/docker")
}

func TestAPrivateKeyIsNeverPartOfADifference(t *testing.T) {
	t.Parallel()
	w := want()
	w.HostKey, w.HostPublic = []byte("secret half"), "ssh-ed25519 AAAA"
	for name, is := range map[string]map[string][]byte{
		"nothing there":   nil,
		"another machine": {"ssh_host_ed25519_key": []byte("other secret"), "ssh_host_ed25519_key.pub": []byte("ssh-ed25519 BBBB\n")},
		"half damaged":    {"user": []byte("pi\n"), "ssh_host_ed25519_key": []byte("damaged"), "ssh_host_ed25519_key.pub": []byte("ssh-ed25519 AAAA\n")},
	} {
		found := seedDrift(is, w)
		assert.NotEmpty(t, found, name)
		for _, d := range found {
			assert.NotContains(t, fmt.Sprint(d), "secret")
		}
	}
	assert.Empty(t, seedDrift(seed(w), w))
}

func TestAContainerThatIsBeingRemovedIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, said := range []string{
		"Error response from daemon: RWLayer of container 289bbb8d is unexpectedly nil",
		"Error response from daemon: container is marked for removal and cannot be started",
		"Error response from daemon: removal of container a is already in progress",
	} {
		assert.True(t, leaving(errors.New(said)), said)
	}
	assert.False(t, leaving(nil))
	assert.False(t, leaving(errors.New("Error response from daemon: conflict")))
}

func TestADiskOfAnotherMachineOfTheSameSandboxIsNotTouched(t *testing.T) {
	t.Parallel()
	// Two machines whose disks come to the same name: a with b-data, and a-b with data.
	name := volumeName("sandbox", "a", "b-data")
	require.Equal(t, name, volumeName("sandbox", "a-b", "data"))
	s := scene{volumes: map[string]volume{name: {Name: name, Labels: map[string]string{LabelSandbox: "sandbox", LabelMachine: "a-b"}}}}
	for _, power := range []driver.Power{driver.Started, driver.Absent} {
		assert.ErrorIs(t, s.owned(driver.Spec{Sandbox: "sandbox", Name: "a"}, power), driver.ErrNotOwned)
		assert.NoError(t, s.owned(driver.Spec{Sandbox: "sandbox", Name: "a-b"}, power))
	}
}
