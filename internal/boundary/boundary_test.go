// SPDX-License-Identifier: GPL-3.0-or-later

package boundary

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const manifest = `production:
  addresses:
    - 192.168.1.201-192.168.1.203
    - 2001:db8:1::/64
  names:
    - pi1.home
    - "*.arcodange.lab"
sandbox:
  addresses:
    - 127.0.0.0/8
    - "::1"
    - 172.30.0.0/24
    - fd00:5a::/64
    - 64:ff9b::/96
    - 2002::/16
`

func parsed(t testing.TB) *Manifest {
	t.Helper()
	m, err := parse("boundary.yml", []byte(manifest))
	require.NoError(t, err)
	return m
}

// names stands in for DNS.
type names map[string][]string

func (n names) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	if host == "slow.test" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	texts, ok := n[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var out []netip.Addr
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out, nil
}

var dns = names{
	"node.test": {"172.30.0.11"}, "two.test": {"172.30.0.11", "fd00:5a::11"}, "mixed.test": {"172.30.0.11", "192.168.1.202"},
	"half.test": {"172.30.0.11", "203.0.113.5"}, "prod.test": {"192.168.1.201"}, "mapped.test": {"::ffff:192.168.1.203"},
	"empty.test": {}, "pi1.home": {"172.30.0.11"}, "vault.arcodange.lab": {"172.30.0.11"}, "a.b.arcodange.lab": {"172.30.0.11"},
	"localhost": {"127.0.0.1", "::1"}, "nat.test": {"64:ff9b::c0a8:1c9"}, "11": {"172.30.0.11"},
}

func newChecker(t testing.TB) Checker {
	return Checker{Manifest: parsed(t), Resolver: dns, Timeout: 10 * time.Second}
}

func TestOnlyWhatIsSandboxIsAllowed(t *testing.T) {
	t.Parallel()
	k := newChecker(t)
	for _, target := range []string{
		"172.30.0.11", "172.30.11", "172.30.0.0x0b", "0254.036.0.013", "2887647243", "0xac1e000b", "172.1966091", "172.30.0.11.",
		"::ffff:172.30.0.11", "::FFFF:AC1E:B", "[172.30.0.11]", "fd00:5a::1", "FD00:5A::1", "[fd00:5a::1]", "fd00:5a::1%eth0",
		"127.0.0.1", "127.1", "0x7f.1", "::1", "0:0:0:0:0:0:0:1", "localhost", "LocalHost.", "node.test", "NODE.test", "node.test.", "two.test",
		"64:ff9b::8.8.8.8", "2002:808:808::1",
	} {
		v := k.Decide(t.Context(), hostTarget(target))
		assert.True(t, v.Allowed, "%s: %s", target, v.Reason)
		require.NotNil(t, v.Rule, target)
		assert.Equal(t, "boundary.yml", v.Rule.File)
		assert.NotEmpty(t, v.Addresses)
	}
}

func TestProductionIsRefusedInEverySpellingWithItsRule(t *testing.T) {
	t.Parallel()
	k := newChecker(t)
	for target, line := range map[string]int{
		"192.168.1.201": 3, "192.168.457": 3, "192.11010505": 3, "3232235977": 3, "0xC0A801C9": 3, "0300.0250.01.0311": 3, "0xc0.0xa8.1.201": 3,
		"030052000711": 3, "192.168.1.0311": 3, "192.168.1.203.": 3, "[192.168.1.202]": 3,
		"::ffff:192.168.1.201": 3, "::ffff:c0a8:1c9": 3, "::ffff:192.168.1.201%lo": 3, "::192.168.1.201": 3,
		"64:ff9b::192.168.1.201": 3, "64:ff9b::c0a8:1cb": 3, "64:ff9b:1::c0a8:1c9": 3, "2002:c0a8:01c9::1": 3, "2002:C0A8:01CA:ffff::": 3,
		"fe80::5efe:c0a8:1c9": 3, "fd00:5a::5efe:192.168.1.201": 3, "fd00:5a::200:5efe:c0a8:1c9": 3,
		"2001:db8:1::1": 4, "2001:DB8:1:0:ffff::": 4,
		"pi1.home": 6, "PI1.home": 6, "pi1.home.": 6, "vault.arcodange.lab": 7, "a.b.ARCODANGE.lab.": 7,
		"prod.test": 3, "mixed.test": 3, "mapped.test": 3, "nat.test": 3,
	} {
		v := k.Decide(t.Context(), hostTarget(target))
		assert.False(t, v.Allowed, target)
		if assert.NotNil(t, v.Rule, "%s: %s", target, v.Reason) {
			assert.Equal(t, line, v.Rule.Line, target)
		}
	}
}

func TestWhatIsUnknownIsRefused(t *testing.T) {
	t.Parallel()
	k := newChecker(t)
	for target, reason := range map[string]string{
		"":                 "it is empty",
		".":                "it is empty",
		"203.0.113.5":      "does not list as sandbox",
		"172.30.1.11":      "does not list as sandbox",
		"0.0.0.0":          "does not list as sandbox",
		"::":               "does not list as sandbox",
		"half.test":        "it resolves to 203.0.113.5, which the boundary manifest does not list",
		"nowhere.test":     "it cannot be resolved (no such host)",
		"slow.test":        "it cannot be resolved (no answer within",
		"empty.test":       "it cannot be resolved (it has no address)",
		"256.1.1.1":        "it ends in a number",
		"1.2.3.4.5":        "it ends in a number",
		"4294967296":       "it ends in a number",
		"172.30.0.08":      "it ends in a number",
		" 172.30.0.11":     "neither an address nor a plain host name",
		"172.30.0.11 x":    "neither an address nor a plain host name",
		"172.30.0.11\n":    "neither an address nor a plain host name",
		"１７２.30.0.11":      "neither an address nor a plain host name",
		"172。30。0。11":      "neither an address nor a plain host name",
		"nöde.test":        "neither an address nor a plain host name",
		"node.test..":      "neither an address nor a plain host name",
		"node..test":       "neither an address nor a plain host name",
		"node.test:":       "neither an address nor a plain host name",
		"pi@nöde.test":     "neither an address nor a plain host name",
		"-oProxyCommand=x": "neither an address nor a plain host name",
		"{{ address }}":    "neither an address nor a plain host name",
		"172.30.0.11/24":   "neither an address nor a plain host name",
	} {
		k := k
		if target == "slow.test" {
			k.Timeout = 20 * time.Millisecond
		}
		v := k.Decide(t.Context(), hostTarget(target))
		assert.False(t, v.Allowed, target)
		assert.Nil(t, v.Rule, target)
		assert.Contains(t, v.Reason, reason, target)
	}
}

func TestAResolverThatFailsRefuses(t *testing.T) {
	t.Parallel()
	v := Checker{Manifest: parsed(t), Resolver: broken{}}.Decide(t.Context(), hostTarget("node.test"))
	assert.False(t, v.Allowed)
	assert.Contains(t, v.Reason, "server misbehaving")
}

type broken struct{}

func (broken) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("172.30.0.11")}, errors.New("server misbehaving")
}

func TestAManifestThatIsNotUnderstoodIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, message string }{
		"empty":                      {"", "b.yml:1:1: it is empty"},
		"only a comment":             {"# nothing\n", "b.yml:1:1: "},
		"cut off":                    {"production:\n  addresses: [192.168.1.201\n", "b.yml:"},
		"a syntax error":             {"production:\n  addresses:\n\t- x\n", "b.yml:"},
		"an unknown key":             {"production: {adresses: []}\n", `b.yml:1:14: unknown key "adresses"`},
		"an unknown section":         {"prod: {}\n", `b.yml:1:1: unknown key "prod"`},
		"a key given twice":          {"sandbox: {}\nsandbox: {}\n", "b.yml:2:1: "},
		"a list for a mapping":       {"- x\n", "b.yml:1:1: not a mapping"},
		"a scalar for a list":        {"sandbox: {addresses: 1.2.3.4}\n", "b.yml:1:22: not a list"},
		"a number for a string":      {"sandbox: {addresses: [1]}\n", "b.yml:1:23: must be a string"},
		"null for an entry":          {"sandbox: {addresses: [~]}\n", "b.yml:1:23: must be a string"},
		"no sandbox":                 {"production: {addresses: [192.0.2.1]}\n", "sandbox.addresses: empty"},
		"an empty sandbox":           {"production: {addresses: [192.0.2.1]}\nsandbox: {addresses: []}\n", "b.yml:2:22: empty list"},
		"no production":              {"sandbox: {addresses: [192.0.2.1]}\n", "production: empty"},
		"not an address":             {"sandbox: {addresses: [192.0.2]}\n", `b.yml:1:23: "192.0.2" is not an address`},
		"an octal address":           {"sandbox: {addresses: [192.0.2.011]}\n", "is not an address"},
		"bits behind the prefix":     {"sandbox: {addresses: [192.0.2.1/24]}\n", "write 192.0.2.0/24"},
		"a backward range":           {"sandbox: {addresses: [192.0.2.9-192.0.2.1]}\n", "ends before it begins"},
		"a short range":              {"sandbox: {addresses: [192.0.2.1-9]}\n", "write first-last in full"},
		"a range of two families":    {"sandbox: {addresses: ['192.0.2.1-::1']}\n", "of one family"},
		"IPv4 dressed as IPv6":       {"sandbox: {addresses: ['::ffff:192.0.2.1']}\n", "is not an address"},
		"a block dressed as IPv6":    {"sandbox: {addresses: ['::ffff:192.0.2.0/120']}\n", "write it as IPv4"},
		"not a name":                 {"sandbox: {names: ['a b']}\n", `b.yml:1:19: "a b" is not a host name`},
		"two documents":              {manifest + "---\n{}\n", "a second YAML document begins here"},
		"addresses that overlap":     {"production: {addresses: [192.0.2.0/24]}\nsandbox: {addresses: [192.0.2.7]}\n", "b.yml:2:23: sandbox.addresses: 192.0.2.7: overlaps with line 1"},
		"ranges that touch in one":   {"production: {addresses: [192.0.2.1-192.0.2.5]}\nsandbox: {addresses: [192.0.2.5-192.0.2.9]}\n", "overlaps with line 1"},
		"names that overlap":         {"production: {names: ['*.home']}\nsandbox: {addresses: [192.0.2.1], names: [a.home]}\n", "overlaps with line 1"},
		"patterns that overlap":      {"production: {names: ['pi*']}\nsandbox: {addresses: [192.0.2.1], names: ['*.test']}\n", "overlaps with line 1"},
		"a plugin of another name":   {"plugin: other\nsandbox: {}\n", "b.yml:1:9: plugin must be arcodange.sandbox.boundary"},
		"an alias for a side":        {"production: &x {addresses: [192.0.2.1]}\nsandbox: *x\n", "not a mapping"},
		"a merge key":                {"production: {<<: {addresses: [192.0.2.1]}}\n", `unknown key "<<"`},
		"a tag that makes it binary": {"sandbox: {addresses: [!!binary aGk=]}\n", "must be a string"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse("b.yml", []byte(c.text))
			require.ErrorContains(t, err, c.message)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
	_, err := Load(filepath.Join(t.TempDir(), "none.yml"))
	require.ErrorContains(t, err, "reading the boundary manifest")
}

func TestPatternsMeetIfOneNameMatchesBoth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		meet bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"*", "anything", true}, {"a*", "*b", true}, {"a*c", "*b*", true}, {"a*", "b*", false},
		{"*a", "*b", false}, {"*.lab", "*.fr", false}, {"*.lab", "a.lab.*", true}, {"", "*", true}, {"ab", "a*b*c", false}, {"**", "*", true},
	} {
		assert.Equal(t, c.meet, meet(c.a, c.b), "%s and %s", c.a, c.b)
		assert.Equal(t, c.meet, meet(c.b, c.a), "%s and %s", c.b, c.a)
	}
}

func TestTheShippedManifestKeepsProductionOut(t *testing.T) {
	t.Parallel()
	m, err := Load("../../inventory/sandbox/boundary.yml")
	require.NoError(t, err)
	k := Checker{Manifest: m, Resolver: dns}
	for _, target := range []string{"192.168.1.201", "192.168.1.202", "192.168.1.203", "pi1.home", "pi2.home", "pi3.home", "gitea.arcodange.lab", "192.168.1.200", "192.168.1.204", "127.0.0.1", "[127.0.0.1]:2214", "localhost"} {
		assert.False(t, k.Decide(t.Context(), hostTarget(target)).Allowed, target)
	}
	for _, target := range []string{"172.30.0.11", "172.30.0.12", "172.30.0.13", "[127.0.0.1]:2211", "[127.1]:2213"} {
		assert.True(t, k.Decide(t.Context(), hostTarget(target)).Allowed, target)
	}
}

func TestTheSchemaKnowsTheKeysThatTheReaderKnows(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/schema/boundary.schema.json")
	require.NoError(t, err)
	type object struct {
		Properties map[string]json.RawMessage `json:"properties"`
		Additional any                        `json:"additionalProperties"`
		Items      struct {
			Properties map[string]json.RawMessage `json:"properties"`
			Additional any                        `json:"additionalProperties"`
		} `json:"items"`
	}
	var schema struct {
		object
		Defs map[string]object `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal(data, &schema))

	// The reader knows exactly the keys that the schema has: a key with a value of no
	// use is refused for its value, and one more key for itself.
	try := func(where, key string) string {
		_, err := parse("b.yml", []byte(fmt.Sprintf(where, key)))
		require.Error(t, err, key)
		return err.Error()
	}
	check := func(where string, properties map[string]json.RawMessage, additional any) {
		require.Equal(t, false, additional, where)
		require.NotEmpty(t, properties, where)
		for key := range properties {
			assert.NotContains(t, try(where, key), "unknown key", where)
		}
		assert.Contains(t, try(where, "other"), `unknown key "other"`, where)
	}
	check("%s: 7", schema.Properties, schema.Additional)
	check("policy: {%s: [7]}", schema.Defs["policy"].Properties, schema.Defs["policy"].Additional)
	sides := schema.Defs["side"]
	for _, side := range []string{"production", "sandbox"} {
		check(side+": {%s: 7}", sides.Properties, sides.Additional)
		for list := range sides.Properties {
			if items := schema.Defs[list].Items; items.Properties != nil {
				check(side+": {"+list+": [{%s: {}}]}", items.Properties, items.Additional)
			}
		}
	}
}

// FuzzDecide checks the one property that matters: what is allowed resolves to the
// sandbox alone, however it is spelled, and spelling it canonically changes nothing.
func FuzzDecide(f *testing.F) {
	for _, seed := range []string{"192.168.1.201", "0300.0250.1.0311", "3232235977", "::ffff:c0a8:1c9", "64:ff9b::c0a8:1c9", "2002:c0a8:1c9::", "node.test", "[::1]", "127.1", "fe80::1%x", "0x", "0x.0x.0x.0x", "1.2.3.4.", "172.30.0.11"} {
		f.Add(seed)
	}
	k := newChecker(f)
	inside := func(a netip.Addr, rules []AddressRule) bool {
		return slices.ContainsFunc(rules, func(r AddressRule) bool { return r.Contains(a) })
	}
	f.Fuzz(func(t *testing.T, target string) {
		v := k.Decide(context.Background(), hostTarget(target))
		if v.Target != redact(target) || v.Reason == "" {
			t.Fatalf("%q: no explanation", target)
		}
		if !v.Allowed {
			return
		}
		if v.Rule == nil || len(v.Addresses) == 0 {
			t.Fatalf("%q: allowed without a rule", target)
		}
		for _, text := range v.Addresses {
			a := netip.MustParseAddr(text)
			if !inside(a, k.Manifest.Sandbox.Addresses) {
				t.Fatalf("%q: allowed though %s is not sandbox", target, a)
			}
			for _, b := range Embedded(a) {
				if inside(b, k.Manifest.Production.Addresses) {
					t.Fatalf("%q: allowed though %s is production", target, b)
				}
			}
			if again := k.Decide(context.Background(), hostTarget(text)); !again.Allowed {
				t.Fatalf("%q: %s in canonical spelling is refused: %s", target, text, again.Reason)
			}
		}
	})
}

// FuzzParse holds the reader of manifests to never panic, and to let nothing through that allows production.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{manifest, "", "production: {addresses: [192.0.2.1]}\nsandbox: {addresses: [192.0.2.0/24]}\n", "&a [*a]", "? x\n: y\n", "%YAML 1.1\n---\n{}", "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parse("b.yml", data)
		if err != nil {
			return
		}
		k := Checker{Manifest: m, Resolver: dns}
		for _, rule := range m.Production.Addresses {
			for _, a := range []netip.Addr{rule.First, rule.Last} {
				if k.Decide(context.Background(), hostTarget(a.String())).Allowed {
					t.Fatalf("%s is allowed", a)
				}
			}
		}
	})
}

func hostTarget(value string) Target { return Target{Kind: Host, Value: value} }
