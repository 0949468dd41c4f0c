// SPDX-License-Identifier: GPL-3.0-or-later

package netns

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"golang.org/x/sys/unix"
)

const (
	dialTimeout = 30 * time.Second
	udpIdle     = 60 * time.Second
	halfOpen    = 1024 // pending connections
)

// relay accepts connections on the device, opens an allowed one from here, and joins the two.
func (n Network) relay(ctx context.Context, tun int) (closer func(), err error) {
	if err := unix.SetNonblock(tun, true); err != nil {
		return nil, fmt.Errorf("network device: %w", err)
	}
	device, err := fdbased.New(&fdbased.Options{FDs: []int{tun}, MTU: mtu})
	if err != nil {
		return nil, fmt.Errorf("network device: %w", err)
	}
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	const nic = 1
	if err := s.CreateNIC(nic, device); err != nil {
		return nil, fmt.Errorf("network stack: %s", err)
	}
	s.SetPromiscuousMode(nic, true)
	s.SetSpoofing(nic, true)
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}, {Destination: header.IPv6EmptySubnet, NIC: nic}})

	streams := tcp.NewForwarder(s, 0, halfOpen, func(r *tcp.ForwarderRequest) {
		to := addrPort(r.ID())
		out, err := n.dial(ctx, "tcp", to)
		if err != nil {
			r.Complete(true)
			return
		}
		var queue waiter.Queue
		endpoint, failed := r.CreateEndpoint(&queue)
		r.Complete(failed != nil)
		if failed != nil {
			out.Close()
			return
		}
		join(gonet.NewTCPConn(&queue, endpoint), out)
	})
	s.SetTransportProtocolHandler(tcp.ProtocolNumber, streams.HandlePacket)
	datagrams := udp.NewForwarder(s, func(r *udp.ForwarderRequest) {
		to := addrPort(r.ID())
		var queue waiter.Queue
		endpoint, failed := r.CreateEndpoint(&queue)
		if failed != nil {
			return
		}
		in := gonet.NewUDPConn(&queue, endpoint)
		out, err := n.dial(ctx, "udp", to)
		if err != nil {
			in.Close()
			return
		}
		go relayDatagrams(in, out)
	})
	s.SetTransportProtocolHandler(udp.ProtocolNumber, datagrams.HandlePacket)
	return s.Destroy, nil
}

func addrPort(id stack.TransportEndpointID) netip.AddrPort {
	address, _ := netip.AddrFromSlice(id.LocalAddress.AsSlice())
	return netip.AddrPortFrom(address.Unmap(), id.LocalPort)
}

func (n Network) dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	if err := n.Allow(ctx, to); err != nil {
		fmt.Fprintf(n.Log, "prod-ip-guard: netns: blocked connection to %s: %v\n", to, err)
		return nil, err
	}
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, to.String())
}

// half is a stream that can end in one direction.
type half interface {
	net.Conn
	CloseWrite() error
}

func join(a, b net.Conn) {
	var both sync.WaitGroup
	copyHalf := func(to, from net.Conn) {
		defer both.Done()
		_, _ = io.Copy(to, from)
		if h, ok := to.(half); ok {
			_ = h.CloseWrite()
		}
	}
	both.Add(2)
	go copyHalf(a, b)
	go copyHalf(b, a)
	go func() {
		both.Wait()
		a.Close()
		b.Close()
	}()
}

// relayDatagrams passes datagrams both ways until none has come for a while.
func relayDatagrams(a, b net.Conn) {
	defer a.Close()
	defer b.Close()
	pass := func(to, from net.Conn, done chan<- struct{}) {
		defer func() { done <- struct{}{} }()
		buffer := make([]byte, 65535)
		for {
			_ = from.SetReadDeadline(time.Now().Add(udpIdle))
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	done := make(chan struct{}, 2)
	go pass(a, b, done)
	go pass(b, a, done)
	<-done
}
