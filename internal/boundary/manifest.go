// SPDX-License-Identifier: GPL-3.0-or-later

package boundary

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
	"github.com/arcodange-org/sandbox/internal/limitedread"
)

// PluginName marks a manifest as a source of an Ansible inventory.
const PluginName = "arcodange.sandbox.boundary"

// Manifest says what is production and what is sandbox.
type Manifest struct {
	File       string
	Production Side
	Sandbox    Side
	Policy     Policy
}

// Side is one of the two sides of the boundary.
type Side struct {
	Addresses     []AddressRule
	Names         []PatternRule // host names
	Endpoints     []EndpointRule
	HostKeys      []PatternRule // SHA256:...
	MachineIDs    []PatternRule
	Hostnames     []PatternRule
	Kube          []KubeRule
	Vaults        []EndpointRule
	KeyFiles      []PatternRule // absolute paths
	Git           []PatternRule // host/path, or an absolute path
	TofuState     []PatternRule // backend:location
	TofuProviders []PatternRule // types
	DNSZones      []PatternRule // names
	DNSZoneIDs    []PatternRule
	Databases     []EndpointRule
	Environment   []PatternRule // names of variables
}

// Policy is what the override asks for beyond i_mean_prod. The engine only
// reads it; whoever lets a run through has to ask for it.
type Policy struct {
	ClusterName string        // has to be typed; empty if nothing has to be
	TokenExpiry time.Duration // how long a token counts; zero if none is asked for
	Evidence    string        // path of the file that has to show promotion; empty if none is asked for
	Promotion   string        // path of the promotion policy that counts; empty if the repository's own does
}

// Rule is an entry of the manifest, so that a decision can point at it.
type Rule struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Text   string `json:"text"` // section and entry, as in "production.addresses: 192.0.2.1"
}

// String is file:line: text.
func (r Rule) String() string { return fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Text) }

// AddressRule is a range of addresses and where it stands.
type AddressRule struct {
	Range
	Rule Rule
}

// PatternRule is a text in which * stands for any run of characters, none included, and where it stands.
type PatternRule struct {
	Pattern string // canonical for its list
	Rule    Rule
}

// Matches tells whether the rule covers a canonical text.
func (r PatternRule) Matches(text string) bool { return glob(r.Pattern, text) }

// EndpointRule is a host (by name or by address), a port, and where it stands.
type EndpointRule struct {
	Name  string // pattern; empty if Range says it
	Range Range
	Port  uint16 // 0 stands for every port
	Rule  Rule
}

// KubeRule is a cluster, by any of what tells it, and where it stands.
type KubeRule struct {
	Server     *EndpointRule // nil if not given
	CASHA256   string        // hexadecimal; empty if not given
	ClusterUID string        // empty if not given
	Rule       Rule
}

// glob tells whether pattern covers text; * is any run of characters.
func glob(pattern, text string) bool {
	star, mark, at := -1, 0, 0
	i := 0
	for i < len(text) {
		switch {
		case at < len(pattern) && pattern[at] == '*':
			star, mark = at, i
			at++
		case at < len(pattern) && pattern[at] == text[i]:
			at++
			i++
		case star >= 0:
			mark++
			at, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[at:], "*") == ""
}

// meet tells whether some text matches both patterns.
func meet(a, b string) bool {
	// Most differ before a star or behind it; the lists of two sides are compared each with each.
	for i := 0; i < min(len(a), len(b)) && a[i] != '*' && b[i] != '*'; i++ {
		if a[i] != b[i] {
			return false
		}
	}
	for i := 1; i <= min(len(a), len(b)) && a[len(a)-i] != '*' && b[len(b)-i] != '*'; i++ {
		if a[len(a)-i] != b[len(b)-i] {
			return false
		}
	}
	// reach[j] says that the part of a read so far and b[:j] match a common text.
	reach := make([]bool, len(b)+1)
	reach[0] = true
	for j := 0; j < len(b) && b[j] == '*'; j++ {
		reach[j+1] = true
	}
	for i := range len(a) {
		next := make([]bool, len(b)+1)
		next[0] = a[i] == '*' && reach[0]
		for j := range len(b) {
			switch {
			case a[i] == '*' || b[j] == '*': // a star takes the other's letter, or nothing
				next[j+1] = next[j] || reach[j+1]
			default:
				next[j+1] = a[i] == b[j] && reach[j]
			}
		}
		reach = next
	}
	return reach[len(b)]
}

// Load reads the manifest in file. Whatever it does not understand is an
// error that gives file, line and column: a manifest half read is no boundary.
func Load(file string) (*Manifest, error) {
	data, err := limitedread.Manifest(file)
	if err != nil {
		return nil, fmt.Errorf("reading the boundary manifest: %w; name the one of your sandbox's inventory", err)
	}
	return Parse(file, data)
}

// Parse reads a manifest that is at hand already; file says in messages where it comes from.
func Parse(file string, data []byte) (*Manifest, error) {
	m, err := parse(file, data)
	if err != nil {
		return nil, fmt.Errorf("reading the boundary manifest: %w", err)
	}
	return m, nil
}

func parse(file string, data []byte) (*Manifest, error) {
	if len(data) > limitedread.ManifestMost {
		return nil, fmt.Errorf("%s has more than %d bytes", file, limitedread.ManifestMost)
	}
	p := parser{file: file}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s:1:1: it is empty; list production and sandbox", file)
		}
		return nil, fmt.Errorf("%s:%w", file, yamlError(err))
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		return nil, p.at(&second, "a second YAML document begins here; keep one")
	} else if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s:%w", file, yamlError(err))
	}
	root := document.Content[0]
	m := &Manifest{File: file}
	err := p.mapping(root, keys{
		"plugin": func(n *yaml.Node) error {
			if n.Value != PluginName {
				return p.at(n, "plugin must be %s, not %q", PluginName, n.Value)
			}
			return nil
		},
		"production": func(n *yaml.Node) error { return p.side(n, "production", &m.Production) },
		"sandbox":    func(n *yaml.Node) error { return p.side(n, "sandbox", &m.Sandbox) },
		"policy":     func(n *yaml.Node) error { return p.policy(n, &m.Policy) },
	})
	if err != nil {
		return nil, err
	}
	if len(m.Sandbox.Addresses) == 0 {
		return nil, p.at(root, "sandbox.addresses is empty, so nothing would be allowed; list the sandbox's addresses")
	}
	if m.Production.rules() == 0 {
		return nil, p.at(root, "production is empty; list what must never be reached")
	}
	return m, m.overlap()
}

// overlap refuses a manifest that calls the same thing production and sandbox.
func (m *Manifest) overlap() error {
	both := func(sandbox, production Rule, what string) error {
		return fmt.Errorf("%s:%d:%d: %s: overlaps with line %d (%s); %s is one or the other",
			sandbox.File, sandbox.Line, sandbox.Column, sandbox.Text, production.Line, production.Text, what)
	}
	for _, sandbox := range m.Sandbox.Addresses {
		for _, production := range m.Production.Addresses {
			if production.Overlaps(sandbox.Range) {
				return both(sandbox.Rule, production.Rule, "an address")
			}
		}
	}
	// An endpoint is compared with the other side's endpoints, and its host with the other side's hosts.
	for sandbox := range m.Sandbox.endpointRules() {
		for production := range m.Production.endpointRules() {
			if sandbox.overlaps(*production) {
				return both(sandbox.Rule, production.Rule, "an endpoint")
			}
		}
		for _, production := range m.Production.Addresses {
			if sandbox.Name == "" && production.Overlaps(sandbox.Range) {
				return both(sandbox.Rule, production.Rule, "an address")
			}
		}
		for _, production := range m.Production.Names {
			if sandbox.Name != "" && meet(sandbox.Name, production.Pattern) {
				return both(sandbox.Rule, production.Rule, "a name")
			}
		}
	}
	mine, theirs := m.Sandbox.patterns(), m.Production.patterns()
	for i, list := range mine {
		for _, sandbox := range list.rules {
			for _, production := range theirs[i].rules {
				if meet(sandbox.Pattern, production.Pattern) {
					return both(sandbox.Rule, production.Rule, list.what)
				}
				if list.what == "a zone" && (meet("*."+sandbox.Pattern, production.Pattern) || meet(sandbox.Pattern, "*."+production.Pattern)) {
					return both(sandbox.Rule, production.Rule, list.what)
				}
			}
		}
	}
	for _, sandbox := range m.Sandbox.Kube {
		for _, production := range m.Production.Kube {
			if sandbox.CASHA256 != "" && sandbox.CASHA256 == production.CASHA256 || sandbox.ClusterUID != "" && sandbox.ClusterUID == production.ClusterUID {
				return both(sandbox.Rule, production.Rule, "a cluster")
			}
		}
	}
	return nil
}

type patternList struct {
	what  string
	rules []PatternRule
}

func (s *Side) patterns() []patternList {
	return []patternList{
		{"a name", s.Names}, {"a host key", s.HostKeys}, {"a machine", s.MachineIDs}, {"a machine", s.Hostnames}, {"a key file", s.KeyFiles},
		{"a repository", s.Git}, {"a state", s.TofuState}, {"a provider", s.TofuProviders}, {"a zone", s.DNSZones}, {"a zone", s.DNSZoneIDs}, {"a variable", s.Environment},
	}
}

// endpointRules yields all entries that have a host and a port, from whatever list.
func (s *Side) endpointRules() iter.Seq[*EndpointRule] {
	return func(yield func(*EndpointRule) bool) {
		for _, list := range [][]EndpointRule{s.Endpoints, s.Vaults, s.Databases} {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
		for _, rule := range s.Kube {
			if rule.Server != nil && !yield(rule.Server) {
				return
			}
		}
	}
}

func (s *Side) rules() int {
	count := len(s.Addresses) + len(s.Endpoints) + len(s.Vaults) + len(s.Databases) + len(s.Kube)
	for _, list := range s.patterns() {
		count += len(list.rules)
	}
	return count
}

func (r EndpointRule) overlaps(o EndpointRule) bool {
	if r.Port != 0 && o.Port != 0 && r.Port != o.Port || (r.Name == "") != (o.Name == "") {
		return false
	}
	if r.Name != "" {
		return meet(r.Name, o.Name)
	}
	return r.Range.Overlaps(o.Range)
}

var yamlLine = lazyregexp.New(`^yaml: line (\d+): `)

// yamlError writes yaml.v3's message in the form of a compiler's. yaml.v3 gives no column for a syntax error: column 1 stands for it.
func yamlError(err error) error {
	text := err.Error()
	if match := yamlLine.FindStringSubmatch(text); match != nil {
		return fmt.Errorf("%s:1: %s", match[1], text[len(match[0]):])
	}
	return fmt.Errorf("1:1: %s", strings.TrimPrefix(text, "yaml: "))
}
