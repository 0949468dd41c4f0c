// SPDX-License-Identifier: GPL-3.0-or-later

package prodipguard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
)

// machine is the machine that the module runs on.
type machine struct {
	root      string // of the file system; empty is /
	addresses func() ([]net.Addr, error)
	hostname  func() (string, error)
}

// clusterCAs are the files with the CA of the cluster that this machine is a node of.
var clusterCAs = []string{
	"/var/lib/rancher/k3s/server/tls/server-ca.crt", "/var/lib/rancher/k3s/agent/server-ca.crt",
	"/var/lib/rancher/rke2/server/tls/server-ca.crt", "/var/lib/rancher/rke2/agent/server-ca.crt",
	"/etc/kubernetes/pki/ca.crt",
}

// checkRemoteHost checks this machine by its addresses, host keys, hostname,
// machine-id and cluster, whatever the connection. An identity that is listed as
// production refuses it. At least one must be listed as sandbox; unlisted ones are
// then ignored, since every machine has some.
func checkRemoteHost(ctx context.Context, checker boundary.Checker, m machine) []boundary.Decision {
	if m.addresses == nil {
		m.addresses = net.InterfaceAddrs
	}
	if m.hostname == nil {
		m.hostname = os.Hostname
	}
	var decisions []boundary.Decision
	refuse := func(kind boundary.Kind, target, from, reason string) {
		decisions = append(decisions, boundary.Decision{
			Kind: kind, Target: target, From: from, Reason: reason, Addresses: []string{}, Resolved: []boundary.Answer{},
		})
	}
	known := false
	ask := func(t boundary.Target, evidence bool) {
		d := checker.Decide(ctx, t)
		switch {
		case d.Allowed:
			known = known || evidence
		case d.Rule == nil && (d.Canonical != "" || t.Kind == boundary.Kube):
			d.Allowed, d.Reason = true, "it is the machine's own, and the boundary manifest does not list it"
		}
		decisions = append(decisions, d)
	}

	addresses, err := m.addresses()
	if err != nil || len(addresses) == 0 {
		refuse(boundary.Address, "its own addresses", "its interfaces", "they cannot be read, so the machine cannot be identified")
	}
	for _, address := range addresses {
		prefix, err := netip.ParsePrefix(address.String())
		if err != nil {
			refuse(boundary.Address, address.String(), "its interfaces", "it is an address that cannot be read")
			continue
		}
		// Loopback and link-local addresses do not identify a machine.
		own := prefix.Addr().Unmap()
		ask(boundary.Target{Kind: boundary.Address, Value: own.WithZone("").String(), From: "its interfaces"}, !own.IsLoopback() && !own.IsLinkLocalUnicast())
	}

	if name, err := m.hostname(); err != nil || name == "" {
		refuse(boundary.Hostname, "its hostname", "its kernel", "it cannot be read")
	} else {
		ask(boundary.Target{Kind: boundary.Hostname, Value: name, From: "its kernel"}, true)
	}

	file := func(path string) string { return filepath.Join(m.root, path) }
	// read returns the content of a file, or an empty string if it does not exist or this user may not read it. Any other error refuses.
	read := func(kind boundary.Kind, path string) string {
		data, err := os.ReadFile(path)
		switch {
		case err == nil:
			return string(data)
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			return ""
		}
		var failed *fs.PathError
		if errors.As(err, &failed) {
			err = failed.Err
		}
		refuse(kind, filepath.Base(path), path, "it cannot be read ("+err.Error()+")")
		return ""
	}
	if id := strings.TrimSpace(read(boundary.MachineID, file("/etc/machine-id"))); id != "" && id != "uninitialized" {
		ask(boundary.Target{Kind: boundary.MachineID, Value: id, From: file("/etc/machine-id")}, true)
	}
	keys, _ := filepath.Glob(file("/etc/ssh/ssh_host_*_key.pub")) // the pattern is well-formed
	for _, path := range keys {
		if line := read(boundary.HostKey, path); line != "" {
			ask(boundary.Target{Kind: boundary.HostKey, Value: strings.TrimSpace(line), From: path}, true)
		}
	}
	for _, path := range clusterCAs {
		path = file(path)
		rest := []byte(read(boundary.Kube, path))
		if len(rest) == 0 {
			continue
		}
		certificates := 0
		for {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			certificates++
			sum := sha256.Sum256(block.Bytes)
			ask(boundary.Target{Kind: boundary.Kube, CASHA256: hex.EncodeToString(sum[:]), From: path}, true)
		}
		if certificates == 0 {
			refuse(boundary.Kube, "its cluster's CA", path, "it holds no certificate")
		}
	}
	if !known {
		refuse("machine", "its identity", "all of the above", "no identity of the machine is listed as sandbox: neither an address beyond loopback, nor its hostname, machine-id, host keys or cluster")
	}
	return decisions
}
