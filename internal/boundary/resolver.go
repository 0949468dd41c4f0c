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

// Resolver returns all addresses of a name. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// witness is a Resolver that names the source of its answer for a name.
type witness interface {
	Through(name string) string
}

// System resolves as Go does: by getaddrinfo(3) with cgo, else by /etc/hosts and
// /etc/resolv.conf. Other programs may get other answers, but connect to the
// pinned address, which was checked. The zero value is ready for use.
type System struct{}

// LookupNetIP implements Resolver.
func (System) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return (&net.Resolver{}).LookupNetIP(ctx, network, host)
}

const hostsFile = "/etc/hosts"

// Through implements witness: it returns the line of /etc/hosts that has name, if one does.
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

// resolve returns all addresses of a name, within the timeout.
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
	// getaddrinfo(3) cannot be interrupted.
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
	if witness, ok := resolver.(witness); ok {
		through = witness.Through(name)
	}
	for _, address := range got.addresses {
		addresses = append(addresses, address.Unmap())
	}
	return addresses, through, nil
}
