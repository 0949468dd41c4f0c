// SPDX-License-Identifier: GPL-3.0-or-later

package boundary

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// Resolver turns a name into all of its addresses. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Witness is a Resolver that can tell through what it knows a name.
type Witness interface {
	Through(name string) string
}

// System asks what the other programs on this system ask: getaddrinfo(3) where
// Go was built with cgo and the system's configuration calls for it, else Go's
// own reading of /etc/hosts, /etc/nsswitch.conf and /etc/resolv.conf. Where the
// two could differ, the pinned address still is the one that was checked. The
// zero value is ready for use.
type System struct{}

// LookupNetIP implements Resolver.
func (System) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return (&net.Resolver{}).LookupNetIP(ctx, network, host)
}

const hostsFile = "/etc/hosts"

// Through implements Witness: the line of /etc/hosts that has name, if one does.
func (System) Through(name string) string {
	data, err := os.ReadFile(hostsFile)
	if err != nil {
		return "the system's resolver"
	}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text, _, _ := strings.Cut(string(line), "#")
		for i, word := range strings.Fields(text) {
			if i > 0 && strings.EqualFold(strings.TrimSuffix(word, "."), name) {
				return fmt.Sprintf("%s:%d", hostsFile, number)
			}
		}
	}
	return "the system's resolver"
}

// resolve turns a name into all of its addresses, within the engine's time.
func (c Checker) resolve(ctx context.Context, name string) (addresses []netip.Addr, through string, err error) {
	resolver, timeout := c.Resolver, c.Timeout
	if resolver == nil {
		resolver = System{}
	}
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	type answer struct {
		addresses []netip.Addr
		err       error
	}
	// getaddrinfo(3) cannot be interrupted, so it is left behind rather than waited for.
	answered := make(chan answer, 1)
	go func() {
		addresses, err := resolver.LookupNetIP(ctx, "ip", name)
		answered <- answer{addresses, err}
	}()
	var got answer
	select {
	case got = <-answered:
	case <-ctx.Done():
		got.err = ctx.Err()
	}
	var dns *net.DNSError
	switch {
	case errors.As(got.err, &dns) && dns.IsNotFound:
		return nil, "", errors.New("no such host")
	case ctx.Err() != nil && got.err != nil:
		return nil, "", fmt.Errorf("no answer within %s", timeout)
	case got.err != nil:
		return nil, "", got.err
	case len(got.addresses) == 0:
		return nil, "", errors.New("it has no address")
	}
	through = "the resolver"
	if witness, ok := resolver.(Witness); ok {
		through = witness.Through(name)
	}
	for _, address := range got.addresses {
		addresses = append(addresses, address.Unmap())
	}
	return addresses, through, nil
}
