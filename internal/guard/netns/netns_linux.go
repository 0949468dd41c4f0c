// SPDX-License-Identifier: GPL-3.0-or-later

package netns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrUnavailable says that this system cannot make the fence; nothing was started.
var ErrUnavailable = errors.New("this system cannot make a network namespace for the command")

// Fence is what the command may reach.
type Fence struct {
	Prefixes []netip.Prefix                                           // where routes lead
	Allow    func(ctx context.Context, to netip.AddrPort) (err error) // asked for every connection; nil error lets it through
	Log      io.Writer                                                // what was held back is written here, one line each
}

// Command is what is run. The standard streams are the caller's own.
type Command struct {
	Args []string
	Env  []string
}

// The second stage of this program, inside the namespaces, is told by its first argument.
const stage = "fence-inside"

// inside is what the second stage is told.
type inside struct {
	Prefixes []netip.Prefix
	Args     []string
}

const (
	device = "sandbox0"
	mtu    = 1500
	// The device's own addresses: link-local and unique-local, seen by nobody but the command.
	address4 = "169.254.77.1/32"
	address6 = "fd77:6663::1/128"
)

// Run starts the command inside and waits for it; code is its exit status, 128
// and the signal's number if one ended it. An error that is ErrUnavailable means
// that nothing was started.
func (f Fence) Run(ctx context.Context, c Command) (code int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "fence"), os.NewFile(uintptr(pair[1]), "fence")
	defer ours.Close()
	defer theirs.Close()
	told, err := json.Marshal(inside{f.Prefixes, c.Args})
	if err != nil {
		return 0, fmt.Errorf("describing the fence: %w", err)
	}
	cmd := exec.Command("/proc/self/exe", stage, string(told))
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Env, os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	uid, gid := os.Geteuid(), os.Getegid()
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
		// The device, and giving up what made it: a user who is not root has no capability after exec but these.
		AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_SETPCAP},
		Pdeathsig:   syscall.SIGKILL,
	}
	// The command is killed when the thread that made it ends, so that thread has to stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Signals from the terminal reach the command by itself; this process only outlives it.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("%w (user and network namespaces): %w", ErrUnavailable, err)
	}
	theirs.Close()
	tun, err := receive(ours)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	close, err := f.relay(ctx, tun)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return 0, err
	}
	defer close()
	// Only now may the command start: before that, its first packets would meet nobody.
	if _, err := ours.Write([]byte{1}); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return 0, fmt.Errorf("letting the command start: %w", err)
	}
	go func() {
		for s := range signals {
			if s == syscall.SIGTERM || s == syscall.SIGHUP {
				_ = cmd.Process.Signal(s)
			}
		}
	}()
	err = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	if cmd.ProcessState.Exited() {
		return cmd.ProcessState.ExitCode(), nil
	}
	return 0, fmt.Errorf("waiting for the command: %w", err)
}

// receive takes the device's descriptor from the second stage, or what went wrong there.
func receive(from *os.File) (int, error) {
	text, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	n, cn, _, _, err := unix.Recvmsg(int(from.Fd()), text, control, 0)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%w: it ended before its device was made", ErrUnavailable)
	}
	if cn == 0 {
		return 0, fmt.Errorf("%w: %s", ErrUnavailable, text[:n])
	}
	messages, err := unix.ParseSocketControlMessage(control[:cn])
	if err != nil || len(messages) != 1 {
		return 0, fmt.Errorf("%w: its device did not arrive (%v)", ErrUnavailable, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return 0, fmt.Errorf("%w: its device did not arrive (%v)", ErrUnavailable, err)
	}
	unix.CloseOnExec(fds[0])
	return fds[0], nil
}

// Inside is the second stage: it must be called first thing in main, and only
// returns if this process is not one.
func Inside(args []string) {
	if len(args) != 3 || args[1] != stage {
		return
	}
	runtime.LockOSThread() // privileges are a thread's, and the one that gives them up has to become the command
	var told inside
	socket := 3
	fail := func(err error) {
		_ = unix.Sendmsg(socket, []byte(err.Error()), nil, nil, 0)
		os.Exit(1)
	}
	if err := json.Unmarshal([]byte(args[2]), &told); err != nil || len(told.Args) == 0 {
		fail(fmt.Errorf("its second stage was told nothing (%v)", err))
	}
	tun, err := connect(told.Prefixes)
	if err != nil {
		fail(err)
	}
	if err := unix.Sendmsg(socket, []byte{0}, unix.UnixRights(tun), nil, 0); err != nil {
		fail(err)
	}
	go_ := make([]byte, 1)
	if n, err := unix.Read(socket, go_); n != 1 || err != nil {
		os.Exit(1) // whoever holds the other end is gone
	}
	_ = unix.Close(tun)
	_ = unix.Close(socket)
	if err := drop(); err != nil {
		fmt.Fprintf(os.Stderr, "prod-ip-guard: fence: giving up privileges: %v\n", err)
		os.Exit(126)
	}
	if err := leaveOutside(); err != nil {
		fmt.Fprintf(os.Stderr, "prod-ip-guard: fence: leaving open connections outside: %v\n", err)
		os.Exit(126)
	}
	path, err := exec.LookPath(told.Args[0])
	if err != nil {
		fmt.Fprintf(os.Stderr, "prod-ip-guard: fence: %v\n", err)
		os.Exit(127)
	}
	err = syscall.Exec(path, told.Args, os.Environ())
	fmt.Fprintf(os.Stderr, "prod-ip-guard: fence: starting %s: %v\n", path, err)
	os.Exit(126)
}

// leaveOutside keeps from the command what whoever started the fence has open
// and left to be inherited: a socket stays in the network that it was made in,
// and reaches whatever that does. Files and pipes stay; a shell hands such over.
func leaveOutside() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			return err
		}
		// Of a socket, the domain tells; an error says that it is none, or that it is gone.
		domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		switch {
		case errors.Is(err, unix.ENOTSOCK) || errors.Is(err, unix.EBADF):
			continue
		case err != nil:
			return err
		case domain == unix.AF_UNIX && fd <= 2: // where output goes to, as under a service manager
			continue
		case fd <= 2:
			return fmt.Errorf("its standard stream %d is a connection; give it a pipe", fd)
		}
		unix.CloseOnExec(fd)
	}
	return nil
}

// connect makes the namespace's one device and its routes.
func connect(prefixes []netip.Prefix) (int, error) {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return 0, fmt.Errorf("finding its loopback: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return 0, fmt.Errorf("starting its loopback: %w", err)
	}
	tun, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("opening /dev/net/tun: %w; as root run: chmod 0666 /dev/net/tun", err)
	}
	request, err := unix.NewIfreq(device)
	if err != nil {
		return 0, fmt.Errorf("naming its device: %w", err)
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(tun, unix.TUNSETIFF, request); err != nil {
		return 0, fmt.Errorf("making its device: %w", err)
	}
	link, err := netlink.LinkByName(device)
	if err != nil {
		return 0, fmt.Errorf("finding its device: %w", err)
	}
	if err := netlink.LinkSetMTU(link, mtu); err != nil {
		return 0, fmt.Errorf("setting its device up: %w", err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return 0, fmt.Errorf("starting its device: %w", err)
	}
	own := map[bool]*netlink.Addr{}
	for _, text := range []string{address4, address6} {
		address, err := netlink.ParseAddr(text)
		if err != nil {
			return 0, fmt.Errorf("giving its device an address: %w", err)
		}
		address.Flags |= unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link, address); err != nil {
			if strings.Contains(text, ":") {
				continue // IPv6 is switched off on this system: then nothing of it is reached, which is the point
			}
			return 0, fmt.Errorf("giving its device an address: %w", err)
		}
		own[address.IP.To4() != nil] = address
	}
	for _, prefix := range prefixes {
		source := own[prefix.Addr().Is4()]
		if source == nil {
			continue
		}
		if prefix.Addr().IsLoopback() {
			continue // the namespace's own
		}
		route := &netlink.Route{
			LinkIndex: link.Attrs().Index, Src: source.IP,
			Dst: &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())},
		}
		if err := netlink.RouteAdd(route); err != nil {
			return 0, fmt.Errorf("making the route to %s: %w", prefix, err)
		}
	}
	return tun, nil
}

// drop gives up what was needed to make the device. A command run as root stays
// root of its own user namespace, which owns nothing outside.
func drop() error {
	for capability := uintptr(0); capability <= unix.CAP_LAST_CAP; capability++ {
		switch capability {
		case unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN, unix.CAP_NET_RAW, unix.CAP_SYS_PTRACE:
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
				return err
			}
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	// What is inherited, root would get back.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var has [2]unix.CapUserData
	if err := unix.Capget(&header, &has[0]); err != nil {
		return err
	}
	has[0].Inheritable, has[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &has[0]); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}
