// SPDX-License-Identifier: GPL-3.0-or-later

package docker

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
)

// A node is root on the kernel of the computer that its engine runs on. What it
// may do there stands in the lists below, and what is in none is refused: it has
// no way to the clock, to modules, to I/O ports, to the kernel's log, to swap or
// to disks. Kernel settings are held in the node: see sandbox-entrypoint and
// sandbox-sysctl-filter in the image's recipe.

type allowed struct{ name, reason string }

// capabilities without which a node is no machine. Not among them:
// SYS_TIME (the clock is the host's), SYS_MODULE, SYS_RAWIO (its kernel and
// ports), SYSLOG (its kernel's log), DAC_READ_SEARCH (opens the host's files by
// their handles), WAKE_ALARM and BLOCK_SUSPEND (its sleep), MAC_ADMIN and
// MAC_OVERRIDE (its access policy), SYS_PACCT, PERFMON, BPF, CHECKPOINT_RESTORE.
var capabilities = []allowed{
	{"AUDIT_CONTROL", "logins get a session ID"},
	{"AUDIT_WRITE", "sshd, sudo and su write audit messages"},
	{"CHOWN", "packages and playbooks give files to users"},
	{"DAC_OVERRIDE", "root reads and writes every file of the node"},
	{"FOWNER", "root changes modes of every file of the node"},
	{"FSETID", "a set-user-ID bit stays when root writes a file"},
	{"IPC_LOCK", "Vault and databases lock memory"},
	{"IPC_OWNER", "root removes what a service left in shared memory"},
	{"KILL", "systemd ends services of every user"},
	{"LEASE", "NFS and Samba take leases on files"},
	{"LINUX_IMMUTABLE", "chattr +i"},
	{"MKNOD", "container runtimes make the devices of deviceNodes"},
	{"NET_ADMIN", "addresses, routes, rules and interfaces of its own network namespace"},
	{"NET_BIND_SERVICE", "ports below 1024"},
	{"NET_BROADCAST", "multicast"},
	{"NET_RAW", "ping"},
	{"SETFCAP", "packages and images hold files with capabilities"},
	{"SETGID", "logins and services change their group"},
	{"SETPCAP", "container runtimes and systemd drop capabilities"},
	{"SETUID", "logins and services change their user"},
	{"SYS_ADMIN", "systemd, container runtimes and the kubelet mount and make namespaces"},
	{"SYS_BOOT", "reboot and poweroff end the node's PID namespace; seccomp refuses kexec"},
	{"SYS_CHROOT", "sshd, apt and container runtimes change their root"},
	{"SYS_NICE", "systemd sets priorities"},
	{"SYS_PTRACE", "root reads /proc of every process of the node"},
	{"SYS_TTY_CONFIG", "logins hang up their terminal"},
}

// sysResource is a capability that some hosts cannot grant: see Driver.probe.
var sysResource = allowed{"SYS_RESOURCE", "limits above the hard ones, and scores for the OOM killer below zero"}

type device struct {
	major, minor int
	access       string
	reason       string
}

// deviceNodes are the only devices for which a node can be made, in the machine
// or in a container inside it.
var deviceNodes = []device{
	{0, 0, "m", "marks a removed file in an overlay"},
	{1, 3, "rwm", "/dev/null"},
	{1, 5, "rwm", "/dev/zero"},
	{1, 7, "rwm", "/dev/full"},
	{1, 8, "rwm", "/dev/random"},
	{1, 9, "rwm", "/dev/urandom"},
	{5, 0, "rwm", "/dev/tty"},
	{5, 1, "rwm", "/dev/console"},
	{5, 2, "rwm", "/dev/ptmx"},
	{10, 200, "rwm", "/dev/net/tun: VPNs and user-mode networks"},
	{10, 229, "rwm", "/dev/fuse: file systems in user space"},
}

// withheldCalls are system calls that moby's list allows, each with the reason
// to refuse it.
var withheldCalls = map[string]string{
	"lookup_dcookie":  "profiles the host's kernel",
	"mknod":           "by deviceNodes",
	"mknodat":         "by deviceNodes",
	"perf_event_open": "profiles the host's kernel",
	"quotactl":        "sets quotas of the host's file systems",
	"quotactl_fd":     "sets quotas of the host's file systems",
}

// addedCalls are system calls that moby's list refuses.
var addedCalls = []allowed{
	{"add_key", "container runtimes give each container a keyring"},
	{"keyctl", "container runtimes give each container a keyring"},
	{"pivot_root", "container runtimes change the root of a container"},
	{"request_key", "container runtimes give each container a keyring"},
}

// mobyProfile is what tools/seccomp writes.
//
//go:generate sh -c "go run ../../../tools/seccomp >seccomp.json"
//go:embed seccomp.json
var mobyProfile []byte

type seccompArg struct {
	Index    int    `json:"index"`
	Value    uint64 `json:"value"`
	ValueTwo uint64 `json:"valueTwo"`
	Op       string `json:"op"`
}

// seccompProfile returns the profile for a node in the engine's format.
func seccompProfile() []byte {
	var profile map[string]any
	if err := json.Unmarshal(mobyProfile, &profile); err != nil {
		panic(err) // embedded at build time, and read by every test
	}
	rules, _ := profile["syscalls"].([]any)
	for _, rule := range rules {
		fields, _ := rule.(map[string]any)
		names, _ := fields["names"].([]any)
		fields["names"] = slices.DeleteFunc(names, func(name any) bool {
			called, _ := name.(string)
			return withheldCalls[called] != ""
		})
	}
	allow := func(name, reason string, args ...seccompArg) {
		rules = append(rules, map[string]any{"names": []string{name}, "action": "SCMP_ACT_ALLOW", "comment": reason, "args": args})
	}
	for _, call := range addedCalls {
		allow(call.name, call.reason)
	}
	const kind, character = 0o170000, 0o020000
	for _, call := range []struct {
		name string
		mode int // the argument that is the file's mode; the next is the device
	}{{"mknod", 1}, {"mknodat", 2}} {
		is := func(value uint64) seccompArg {
			return seccompArg{Index: call.mode, Value: kind, ValueTwo: value, Op: "SCMP_CMP_MASKED_EQ"}
		}
		for _, value := range []uint64{0, 0o100000, 0o010000, 0o140000} {
			allow(call.name, "files, pipes and sockets", is(value))
		}
		for _, d := range deviceNodes {
			number := uint64(d.major)<<8 | uint64(d.minor) //nolint:gosec // constants of the table
			allow(call.name, d.reason, is(character), seccompArg{Index: call.mode + 1, Value: number, Op: "SCMP_CMP_EQ"})
		}
	}
	profile["syscalls"] = rules
	out, err := json.Marshal(profile)
	if err != nil {
		panic(err)
	}
	return out
}

// writeProfile writes the profile to a file for the docker command, which the caller removes.
func writeProfile() (string, error) {
	file, err := os.CreateTemp("", "sandbox-seccomp-*.json")
	if err != nil {
		return "", fmt.Errorf("write the seccomp profile: %w", err)
	}
	_, err = file.Write(seccompProfile())
	if err = errors.Join(err, file.Close()); err != nil {
		os.Remove(file.Name())
		return "", fmt.Errorf("write the seccomp profile: %w", err)
	}
	return file.Name(), nil
}

// hostLimits are what the computer that the engine runs on can do.
type hostLimits struct {
	sysResource bool
	cgroup      string // "1" or "2"
}

// confine returns the options of `docker create` that apply the lists. profile
// is the path of a file with seccompProfile.
func confine(profile string, host hostLimits) []string {
	args := []string{
		"--cap-drop=ALL",
		"--security-opt=seccomp=" + profile,
		// Where AppArmor is, the engine's own profile refuses every mount.
		"--security-opt=apparmor=unconfined",
	}
	for _, capability := range capabilities {
		args = append(args, "--cap-add="+capability.name)
	}
	if host.sysResource {
		args = append(args, "--cap-add="+sysResource.name)
	}
	if host.cgroup == "1" {
		// There a privileged container in the node is refused unless the node may use every device. It can make none but deviceNodes.
		return append(args, "--device-cgroup-rule=a *:* rwm")
	}
	for _, d := range deviceNodes {
		args = append(args, fmt.Sprintf("--device-cgroup-rule=c %d:%d %s", d.major, d.minor, d.access))
	}
	return args
}

// confinement identifies the lists: a container whose label differs was made with
// other lists, and is made anew.
var confinement = sync.OnceValue(func() string {
	sum := sha256.New()
	sum.Write(seccompProfile())
	fmt.Fprint(sum, confine("", hostLimits{}))
	return hex.EncodeToString(sum.Sum(nil))[:12]
})
