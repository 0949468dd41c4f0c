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

// ErrUnavailable means that this system cannot make the namespace; nothing was started.
var ErrUnavailable = errors.New("this system cannot make a network namespace for the command")

// Network is what the command may reach.
type Network struct {
	Prefixes []netip.Prefix                                           // routes of the namespace
	Allow    func(ctx context.Context, to netip.AddrPort) (err error) // called for every connection; an error blocks it
	Log      io.Writer                                                // one line for each blocked connection
}

// Command is the command to run. It has the standard streams of the caller.
type Command struct {
	Args []string
	Env  []string
}

// childArg is the first argument of the child process in the namespace.
const childArg = "netns-child"

// setup is the message to the child process.
type setup struct {
	Prefixes []netip.Prefix
	Args     []string
}

const (
	device = "sandbox0"
	mtu    = 1500
	// Addresses of the device, link-local and unique-local: only the command sees them.
	address4 = "169.254.77.1/32"
	address6 = "fd77:6663::1/128"
)

// Run runs the command in the namespace. code is its exit status, or 128 and the
// number of the signal that ended it.
func (n Network) Run(ctx context.Context, c Command) (code int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "netns"), os.NewFile(uintptr(pair[1]), "netns")
	defer ours.Close()
	defer theirs.Close()
	message, err := json.Marshal(setup{n.Prefixes, c.Args})
	if err != nil {
		return 0, fmt.Errorf("network namespace: %w", err)
	}
	cmd := exec.Command("/proc/self/exe", childArg, string(message))
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Env, os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	uid, gid := os.Geteuid(), os.Getegid()
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
		// To make the device, and to drop capabilities. Without these, a user who is not root has none after exec.
		AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_SETPCAP},
		Pdeathsig:   syscall.SIGKILL,
	}
	// Pdeathsig kills the command when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The terminal sends its signals to the command too; this process must outlive it.
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
	close, err := n.relay(ctx, tun)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return 0, err
	}
	defer close()
	// The command may start now that the relay runs.
	if _, err := ours.Write([]byte{1}); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return 0, fmt.Errorf("starting the command: %w", err)
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

// receive returns the file descriptor of the device from the child, or the child's error.
func receive(from *os.File) (int, error) {
	text, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	n, cn, _, _, err := unix.Recvmsg(int(from.Fd()), text, control, 0)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%w: the child ended before it made the device", ErrUnavailable)
	}
	if cn == 0 {
		return 0, fmt.Errorf("%w: %s", ErrUnavailable, text[:n])
	}
	messages, err := unix.ParseSocketControlMessage(control[:cn])
	if err != nil || len(messages) != 1 {
		return 0, fmt.Errorf("%w: the device was not received (%w)", ErrUnavailable, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return 0, fmt.Errorf("%w: the device was not received (%w)", ErrUnavailable, err)
	}
	unix.CloseOnExec(fds[0])
	return fds[0], nil
}

// RunChild runs the child process in the namespace. It must be called first in
// main, and returns only if this process is not the child.
func RunChild(args []string) {
	if len(args) != 3 || args[1] != childArg {
		return
	}
	runtime.LockOSThread() // capabilities are per thread, and the thread that drops them has to exec the command
	var message setup
	socket := 3
	fail := func(err error) {
		_ = unix.Sendmsg(socket, []byte(err.Error()), nil, nil, 0)
		os.Exit(1)
	}
	if err := json.Unmarshal([]byte(args[2]), &message); err != nil || len(message.Args) == 0 {
		fail(fmt.Errorf("network namespace child received no setup message (%w)", err))
	}
	tun, err := connect(message.Prefixes)
	if err != nil {
		fail(err)
	}
	if err := unix.Sendmsg(socket, []byte{0}, unix.UnixRights(tun), nil, 0); err != nil {
		fail(err)
	}
	go_ := make([]byte, 1)
	if n, err := unix.Read(socket, go_); n != 1 || err != nil {
		os.Exit(1) // the parent has ended
	}
	_ = unix.Close(tun)
	_ = unix.Close(socket)
	if err := drop(); err != nil {
		fmt.Fprintf(os.Stderr, "prod-ip-guard: netns: dropping privileges: %v\n", err)
		os.Exit(126)
	}
	if err := closeSockets(); err != nil {
		fmt.Fprintf(os.Stderr, "prod-ip-guard: netns: closing inherited sockets: %v\n", err)
		os.Exit(126)
	}
	path, err := exec.LookPath(message.Args[0])
	if err != nil {
		fmt.Fprintf(os.Stderr, "prod-ip-guard: netns: %v\n", err)
		os.Exit(127)
	}
	err = syscall.Exec(path, message.Args, os.Environ())
	fmt.Fprintf(os.Stderr, "prod-ip-guard: netns: starting %s: %v\n", path, err)
	os.Exit(126)
}

// closeSockets marks inherited sockets to be closed on exec: a socket stays in
// the network namespace in which it was made. Files and pipes stay open.
func closeSockets() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			return err
		}
		// An error means that it is not a socket, or closed.
		domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		switch {
		case errors.Is(err, unix.ENOTSOCK) || errors.Is(err, unix.EBADF):
			continue
		case err != nil:
			return err
		case domain == unix.AF_UNIX && fd <= 2: // output, as under systemd
			continue
		case fd <= 2:
			return fmt.Errorf("standard stream %d is a network connection; use a pipe", fd)
		}
		unix.CloseOnExec(fd)
	}
	return nil
}

// connect makes the device of the namespace and its routes.
func connect(prefixes []netip.Prefix) (int, error) {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return 0, fmt.Errorf("loopback: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return 0, fmt.Errorf("loopback: %w", err)
	}
	tun, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("opening /dev/net/tun: %w; as root run: chmod 0666 /dev/net/tun", err)
	}
	request, err := unix.NewIfreq(device)
	if err != nil {
		return 0, fmt.Errorf("network device: %w", err)
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(tun, unix.TUNSETIFF, request); err != nil {
		return 0, fmt.Errorf("network device: %w", err)
	}
	link, err := netlink.LinkByName(device)
	if err != nil {
		return 0, fmt.Errorf("network device: %w", err)
	}
	if err := netlink.LinkSetMTU(link, mtu); err != nil {
		return 0, fmt.Errorf("network device: %w", err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return 0, fmt.Errorf("network device: %w", err)
	}
	own := map[bool]*netlink.Addr{}
	for _, text := range []string{address4, address6} {
		address, err := netlink.ParseAddr(text)
		if err != nil {
			return 0, fmt.Errorf("network device: address: %w", err)
		}
		address.Flags |= unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link, address); err != nil {
			if strings.Contains(text, ":") {
				continue // IPv6 is disabled on this system
			}
			return 0, fmt.Errorf("network device: address: %w", err)
		}
		own[address.IP.To4() != nil] = address
	}
	for _, prefix := range prefixes {
		source := own[prefix.Addr().Is4()]
		if source == nil {
			continue
		}
		if prefix.Addr().IsLoopback() {
			continue // of the namespace itself
		}
		route := &netlink.Route{
			LinkIndex: link.Attrs().Index, Src: source.IP,
			Dst: &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())},
		}
		if err := netlink.RouteAdd(route); err != nil {
			return 0, fmt.Errorf("route to %s: %w", prefix, err)
		}
	}
	return tun, nil
}

// drop drops the capabilities that made the device. A command of root stays root
// of its user namespace, which has no rights outside.
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
	// Root would regain inheritable capabilities on exec.
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
