// SPDX-License-Identifier: GPL-3.0-or-later

package boundary

import (
	"fmt"
	"net/netip"
	"strings"
)

// Kind is the kind of a target. It selects the lists of the manifest.
type Kind string

// The kinds, each with the content of Target.Value.
const (
	Host         Kind = "host"          // a host name or address in any spelling, user@host, [address]:port or an ssh:// URI; default port 22
	Endpoint     Kind = "endpoint"      // host:port or a URL; the port is needed
	Address      Kind = "address"       // an address in any spelling; a name is refused
	HostKey      Kind = "ssh_host_key"  // SHA256:..., or a public key as ssh-keyscan or a .pub file has it
	MachineID    Kind = "machine_id"    // the content of /etc/machine-id
	Hostname     Kind = "hostname"      // what a machine calls itself; nothing is resolved
	Kube         Kind = "kube"          // a URL of a Kubernetes API, with Target.CASHA256 and Target.ClusterUID where known; may be empty then
	Vault        Kind = "vault"         // a URL of a Vault
	KeyFile      Kind = "key_file"      // the path of a file with unseal keys
	Git          Kind = "git"           // a URL of a repository, the scp-like form or a path
	TofuState    Kind = "tofu_state"    // backend:location, as in gcs:bucket/prefix
	TofuProvider Kind = "tofu_provider" // the type of a provider without an endpoint
	DNSZone      Kind = "dns_zone"      // the name or id of a zone, or a name in it
	Database     Kind = "database"      // a URL, a DSN of libpq or of Go's MySQL driver, or host[:port]; passwords in it are never repeated
	Environment  Kind = "environment"   // the name of an environment variable that holds a credential
)

// Target is what a decision is about.
type Target struct {
	Kind  Kind   // empty means Host
	Value string // as it was given
	Port  uint16 // 0 means that of Value, or the kind's default
	From  string // where it was found, as file:line or "environment variable X"; empty if it was given directly

	CASHA256   string // for Kube: SHA-256 of the CA's certificate (DER), hexadecimal; empty if unknown
	ClusterUID string // for Kube: UID of the namespace kube-system; empty if unknown
}

// Answer is one address of a name, and its source.
type Answer struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Through string `json:"through"` // "its own spelling", "/etc/hosts:3", "the system's resolver"
}

// Decision is the result of a check, with its reason. Its JSON form is part of
// the interface.
type Decision struct {
	Kind      Kind     `json:"kind"`
	Target    string   `json:"target"` // as given, without passwords
	From      string   `json:"from"`   // where it was found; empty if it was given directly
	Allowed   bool     `json:"allowed"`
	Reason    string   `json:"reason"`    // without a full stop
	Canonical string   `json:"canonical"` // the target in canonical spelling; empty if it could not be read
	Port      uint16   `json:"port"`      // 0 if it has none
	Addresses []string `json:"addresses"` // all addresses that it resolves to; empty if unknown or not applicable
	Resolved  []Answer `json:"resolved"`  // source of each address
	Pinned    string   `json:"pinned"`    // the address to connect to, so that no second resolution can differ; empty unless allowed
	Rule      *Rule    `json:"rule"`      // the entry of the manifest that decided; nil if none did
}

// String is the decision on one line.
func (d Decision) String() string {
	text := fmt.Sprintf("%s (%s): %s", d.Target, d.Kind, d.Reason)
	if d.Rule != nil {
		text += " by " + d.Rule.String()
	}
	if d.From != "" {
		text += ", found in " + d.From
	}
	return text
}

// Explain is the decision on a few lines, for people.
func (d Decision) Explain() string {
	var out strings.Builder
	word := "refused"
	if d.Allowed {
		word = "allowed"
	}
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&out, "  %-10s %s\n", label, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&out, "%s: %s (%s)\n", word, d.Target, d.Kind)
	if d.From != "" {
		line("found in", "%s", d.From)
	}
	if d.Canonical != "" && d.Port != 0 {
		line("means", "%s, port %d", d.Canonical, d.Port)
	} else if d.Canonical != "" {
		line("means", "%s", d.Canonical)
	}
	for _, answer := range d.Resolved {
		line("resolves to", "%s (%s through %s)", answer.Address, answer.Name, answer.Through)
	}
	line("because", "%s", d.Reason)
	if d.Rule != nil {
		line("by", "%s", d.Rule)
	}
	if d.Pinned != "" {
		line("connect to", "%s", d.Pinned)
	}
	return out.String()
}

func (d *Decision) refuse(rule *Rule, format string, args ...any) {
	d.Allowed, d.Rule, d.Pinned, d.Reason = false, rule, "", fmt.Sprintf(format, args...)
}

func (d *Decision) allow(rule *Rule, reason string) {
	d.Allowed, d.Rule, d.Reason = true, rule, reason
}

// answers records the addresses of a name.
func (d *Decision) answers(name string, addresses []netip.Addr, through string) {
	for _, address := range addresses {
		d.Addresses = append(d.Addresses, address.String())
		d.Resolved = append(d.Resolved, Answer{name, address.String(), through})
	}
}
