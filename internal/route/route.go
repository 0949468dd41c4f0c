// SPDX-License-Identifier: GPL-3.0-or-later

// Package route finds by which interface this computer reaches an address. It
// sends no packet.
package route

import (
	"fmt"
	"net"
	"net/netip"
)

// unrouted is an address of the documentation (RFC 5737), for which no computer has a route of its own.
var unrouted = netip.MustParseAddr("192.0.2.1")

// Interface returns the name of the interface by which packets to the address
// leave; an error if there is no route.
func Interface(to netip.Addr) (string, error) {
	// Connecting a UDP socket only chooses the local address.
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9)))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	interfaces, err := addressed()
	if err != nil {
		return "", err
	}
	for _, i := range interfaces {
		if i.prefix.Addr() == local {
			return i.name, nil
		}
	}
	return "", fmt.Errorf("interface of %s: not found", local)
}

// Default returns the name of the interface of the default route; empty without one.
func Default() string {
	name, _ := Interface(unrouted)
	return name
}

// Check returns an error if packets to the address take a detour. A host that is
// not an address has none.
func Check(host string) error {
	to, err := netip.ParseAddr(host)
	if err != nil {
		return nil
	}
	if leaves, belongs := Detour(to); leaves != "" {
		return fmt.Errorf("%s: packets leave by %s and not by %s, in whose network it is; switch off the exit node or route of the VPN, or give the sandbox another subnet", host, leaves, belongs)
	}
	return nil
}

// Detour returns the interface by which packets to the address leave although it
// lies in the network of another interface, as an exit node of a VPN brings
// about. Both are empty if packets go where they belong.
func Detour(to netip.Addr) (leaves, belongs string) {
	to = to.Unmap()
	interfaces, err := addressed()
	if err != nil {
		return "", ""
	}
	owners := map[string]bool{}
	for _, i := range interfaces {
		if i.prefix.Addr() == to {
			return "", "" // the computer itself
		}
		if i.prefix.Contains(to) {
			// The network of a tunnel's address contains more than the tunnel reaches.
			if !i.tunnel && belongs == "" {
				belongs = i.name
			}
			owners[i.name] = true
		}
	}
	if belongs == "" {
		return "", ""
	}
	if leaves, err = Interface(to); err != nil || owners[leaves] {
		return "", ""
	}
	return leaves, belongs
}

// Claimed returns an interface that already has addresses of the network, or to
// which a route for it leads; empty if packets take the default route only.
func Claimed(network netip.Prefix) string {
	interfaces, err := addressed()
	if err != nil {
		return ""
	}
	for _, i := range interfaces {
		if !i.tunnel && i.prefix.Overlaps(network) {
			return i.name
		}
	}
	if by, err := Interface(network.Addr().Next()); err == nil && by != Default() {
		return by
	}
	return ""
}

type addressedInterface struct {
	name   string
	prefix netip.Prefix // with the interface's own address
	tunnel bool
}

func addressed() ([]addressedInterface, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var found []addressedInterface
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 {
			continue
		}
		for _, address := range addresses {
			if prefix, err := netip.ParsePrefix(address.String()); err == nil {
				found = append(found, addressedInterface{i.Name, prefix, i.Flags&net.FlagPointToPoint != 0})
			}
		}
	}
	return found, nil
}
