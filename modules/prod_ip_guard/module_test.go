// SPDX-License-Identifier: GPL-3.0-or-later

package prodipguard

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// child makes the test binary the module's own.
const child = "PROD_IP_GUARD_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		os.Exit(ansible.Main(os.Args, Module()))
	}
	os.Exit(m.Run())
}

const manifest = `production:
  addresses: [192.168.1.201-192.168.1.203]
  names: [pi1.home]
sandbox:
  addresses: [127.0.0.0/8, "::1", 172.30.0.0/24]
`

type result struct {
	Failed     bool
	Changed    bool
	Msg        string
	Overridden bool
	Warnings   []string
	Verdicts   []struct {
		Host, Target, Reason string
		Allowed              bool
		Addresses            []string
		Rule                 *struct {
			File string
			Line int
		}
	}
}

// guard calls the module as Ansible does; args is what stands in the task beside boundary.
func guard(t *testing.T, manifest, args string) result {
	t.Helper()
	file := filepath.Join(t.TempDir(), "boundary.yml")
	require.NoError(t, os.WriteFile(file, []byte(manifest), 0o600))
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-")
	cmd.Args[0] = "AnsiballZ_prod_ip_guard"
	cmd.Env = append(os.Environ(), child+"=1")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(`{"boundary": %q%s}`, file, args))
	out, _ := cmd.Output()
	var r result
	require.NoError(t, json.Unmarshal(out, &r), string(out))
	assert.False(t, r.Changed)
	return r
}

func TestTheGuardLetsTheSandboxThrough(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"true", "false"} {
		r := guard(t, manifest, `, "targets": [{"host": "pi1", "address": "172.30.0.11"}, {"host": "me", "address": "127.0.0.1"}], "_ansible_check_mode": `+mode)
		assert.False(t, r.Failed, r.Msg)
		require.Len(t, r.Verdicts, 2)
		assert.True(t, r.Verdicts[0].Allowed)
		assert.Equal(t, 5, r.Verdicts[0].Rule.Line)
	}
}

func TestTheGuardRefusesAndNamesTargetRuleAndWayOut(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"true", "false"} {
		r := guard(t, manifest, `, "targets": [{"host": "a", "address": "172.30.0.11"}, {"host": "b", "address": "3232235977"}, {"host": "c", "address": "pi1.home"}], "_ansible_check_mode": `+mode)
		assert.True(t, r.Failed)
		assert.Contains(t, r.Msg, "refused, 2 of 3 targets")
		assert.Contains(t, r.Msg, "b (3232235977): it resolves to 192.168.1.201, which is production by ")
		assert.Contains(t, r.Msg, "boundary.yml:2: production.addresses: 192.168.1.201-192.168.1.203")
		assert.Contains(t, r.Msg, "c (pi1.home): its name is production")
		assert.Contains(t, r.Msg, "i_mean_prod=true")
		assert.NotContains(t, r.Msg, "\n")
		assert.Len(t, r.Verdicts, 3)
	}
}

func TestAnOverrideAllowsProductionWithAWarning(t *testing.T) {
	t.Parallel()
	r := guard(t, manifest, `, "targets": [{"host": "b", "address": "192.168.1.201"}], "i_mean_prod": true`)
	assert.False(t, r.Failed)
	assert.True(t, r.Overridden)
	require.Len(t, r.Warnings, 1)
	assert.Contains(t, r.Warnings[0], "crossed on purpose: b (192.168.1.201)")
	assert.False(t, r.Verdicts[0].Allowed, "the verdict stays what it is")

	r = guard(t, manifest, `, "targets": [{"host": "b", "address": "172.30.0.11"}], "i_mean_prod": true`)
	assert.False(t, r.Overridden, "nothing was refused")
	assert.Empty(t, r.Warnings)
}

func TestAGuardThatCannotCheckFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ manifest, args, message string }{
		"no targets":               {manifest, ``, "nothing to check"},
		"an empty list of targets": {manifest, `, "targets": []`, "nothing to check"},
		"a target without address": {manifest, `, "targets": [{"host": "a"}]`, "missing required arguments: address found in targets"},
		"an empty address":         {manifest, `, "targets": [{"host": "a", "address": ""}]`, "a (): it is empty"},
		"an override that is odd":  {manifest, `, "targets": [], "i_mean_prod": "perhaps"`, `argument i_mean_prod: "perhaps" cannot be read as bool`},
		"a manifest cut off":       {"production:\n", `, "targets": [{"host": "a", "address": "127.0.0.1"}]`, "boundary.yml:1:12"},
		"an override cannot mend a manifest": {"", `, "targets": [{"host": "a", "address": "127.0.0.1"}], "i_mean_prod": true`,
			"reading the boundary manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := guard(t, c.manifest, c.args)
			assert.True(t, r.Failed)
			assert.Contains(t, r.Msg, c.message)
		})
	}
}

func TestOnAMachineItsOwnAddressesAreChecked(t *testing.T) {
	t.Parallel()
	// The machine that runs this test plays both sides, by an address that it has beyond loopback.
	addresses, err := net.InterfaceAddrs()
	require.NoError(t, err)
	own := ""
	for _, address := range addresses {
		if ip := address.(*net.IPNet).IP; ip.IsGlobalUnicast() && ip.To4() != nil {
			own = ip.String()
		}
	}
	if own == "" {
		r := guard(t, manifest, `, "check_remote_host": true`)
		assert.True(t, r.Failed, "a machine without addresses is unknown")
		return
	}
	r := guard(t, fmt.Sprintf("production: {addresses: [%s]}\nsandbox: {addresses: [198.51.100.1]}\n", own), `, "check_remote_host": true`)
	assert.True(t, r.Failed)
	assert.Contains(t, r.Msg, fmt.Sprintf("this machine (%s): it resolves to %s, which is production", own, own))

	r = guard(t, fmt.Sprintf("production: {addresses: [198.51.100.1]}\nsandbox: {addresses: [%s]}\n", own), `, "check_remote_host": true`)
	assert.False(t, r.Failed, r.Msg)
	assert.NotEmpty(t, r.Verdicts)
}

const (
	hostKey   = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBv0bMZxkLWgJ3JjNSyDjKcDUdHnQqHZYyhCJ5GmJ1sD root@node"
	machineID = "0123456789abcdef0123456789abcdef"
	caPEM     = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n"
	caSHA256  = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // of "abc"
)

func TestAMachineIsRecognisedByAnyOfItsIdentities(t *testing.T) {
	t.Parallel()
	fingerprint, err := boundary.Fingerprint(hostKey)
	require.NoError(t, err)
	const (
		someone   = "production: {addresses: [192.0.2.1]}\nsandbox: {addresses: [198.51.100.1]"
		elsewhere = "}\nsandbox: {addresses: [198.51.100.0/24]}\n"
	)
	for name, c := range map[string]struct{ manifest, addresses, refused string }{
		"an address of the sandbox":                   {someone + "}\n", "127.0.0.1/8 198.51.100.1/24 10.0.2.15/24 fe80::1/64", ""},
		"a machine-id of the sandbox behind NAT":      {someone + ", machines: [{machine_id: " + machineID + "}]}\n", "127.0.0.1/8 10.0.2.15/24", ""},
		"a host key of the sandbox behind NAT":        {someone + ", ssh_host_keys: ['" + fingerprint + "']}\n", "10.0.2.15/24", ""},
		"a hostname of the sandbox behind NAT":        {someone + ", machines: [{hostname: node}]}\n", "10.0.2.15/24", ""},
		"a cluster of the sandbox behind NAT":         {someone + ", kube: [{ca_sha256: " + caSHA256 + "}]}\n", "10.0.2.15/24", ""},
		"nothing that is listed":                      {someone + "}\n", "127.0.0.1/8 10.0.2.15/24 fe80::1/64", "no identity of the machine is listed as sandbox"},
		"loopback alone, which every machine has":     {"production: {addresses: [192.0.2.1]}\nsandbox: {addresses: [127.0.0.0/8]}\n", "127.0.0.1/8", "no identity of the machine"},
		"no address at all":                           {someone + ", machines: [{hostname: node}]}\n", "", "they cannot be read"},
		"an address of production beside one of ours": {someone + "}\n", "198.51.100.1/24 192.0.2.1/24", "it resolves to 192.0.2.1, which is production"},
		"an address of production inside IPv6":        {someone + "}\n", "198.51.100.1/24 2002:c000:201::1/64", "which is production"},
		"a machine-id of production behind a forward": {"production: {machines: [{machine_id: 01234567-89ab-cdef-0123-456789abcdef}]" + elsewhere, "198.51.100.1/24", "it is a machine-id of production"},
		"a host key of production behind a forward":   {"production: {ssh_host_keys: ['" + fingerprint + "=']" + elsewhere, "198.51.100.1/24", "it is a host key of production"},
		"a hostname of production behind a forward":   {"production: {machines: [{hostname: NODE}]" + elsewhere, "198.51.100.1/24", "it is a hostname of production"},
		"a cluster of production behind a forward":    {"production: {kube: [{ca_sha256: " + caSHA256 + "}]" + elsewhere, "198.51.100.1/24", "its CA is that of a cluster of production"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := boundary.Parse("boundary.yml", []byte(c.manifest))
			require.NoError(t, err)
			root := t.TempDir()
			for path, content := range map[string]string{
				"etc/machine-id": machineID + "\n", "etc/ssh/ssh_host_ed25519_key.pub": hostKey + "\n",
				"var/lib/rancher/k3s/agent/server-ca.crt": caPEM,
			} {
				path = filepath.Join(root, path)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
				require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			}
			var addresses []net.Addr
			for _, text := range strings.Fields(c.addresses) {
				ip, network, err := net.ParseCIDR(text)
				require.NoError(t, err)
				addresses = append(addresses, &net.IPNet{IP: ip, Mask: network.Mask})
			}
			decisions := checkRemoteHost(t.Context(), boundary.Checker{Manifest: m}, machine{
				root: root, addresses: func() ([]net.Addr, error) { return addresses, nil }, hostname: func() (string, error) { return "node", nil },
			})
			var refused []string
			for _, d := range decisions {
				if !d.Allowed {
					refused = append(refused, d.Reason)
				}
			}
			if c.refused == "" {
				assert.Empty(t, refused)
				return
			}
			require.NotEmpty(t, refused)
			assert.Contains(t, refused[0], c.refused)
		})
	}
}

func TestAMachineWhoseFilesAreBrokenIsRefused(t *testing.T) {
	t.Parallel()
	m, err := boundary.Parse("boundary.yml", []byte(manifest))
	require.NoError(t, err)
	for path, content := range map[string]string{
		"etc/machine-id": "rubbish", "etc/ssh/ssh_host_rsa_key.pub": "rubbish", "var/lib/rancher/k3s/server/tls/server-ca.crt": "rubbish",
	} {
		root := t.TempDir()
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		decisions := checkRemoteHost(t.Context(), boundary.Checker{Manifest: m}, machine{root: root, addresses: func() ([]net.Addr, error) {
			return []net.Addr{&net.IPNet{IP: net.IPv4(172, 30, 0, 11), Mask: net.CIDRMask(24, 32)}}, nil
		}})
		refused := 0
		for _, d := range decisions {
			if !d.Allowed {
				refused++
				assert.Equal(t, path, d.From)
			}
		}
		assert.Equal(t, 1, refused, path)
	}
}

func TestATargetMayBeOfAnotherKindThanAHost(t *testing.T) {
	t.Parallel()
	r := guard(t, manifest, `, "targets": [
		{"host": "a", "address": "https://127.0.0.1:6443", "kind": "kube"},
		{"host": "b", "address": "ssh://git@192.168.1.201:2222/org/app.git", "kind": "git"},
		{"host": "c", "address": "postgres://u:hidden-word@192.168.1.202/app", "kind": "database"},
		{"host": "d", "address": "127.0.0.1", "port": 2222}]`)
	assert.True(t, r.Failed)
	assert.Contains(t, r.Msg, "refused, 2 of 4 targets")
	assert.NotContains(t, r.Msg, "hidden-word")
	assert.True(t, guard(t, manifest, `, "targets": [{"host": "a", "address": "127.0.0.1", "port": 70000}]`).Failed)
}

func TestTheManifestMayComeAsText(t *testing.T) {
	t.Parallel()
	r := guard(t, "", `, "content": "production: {addresses: [192.0.2.1]}\nsandbox: {addresses: [127.0.0.1]}\n", "targets": [{"host": "a", "address": "127.0.0.1"}]`)
	assert.False(t, r.Failed, r.Msg)
	r = guard(t, manifest, `, "content": "", "targets": [{"host": "a", "address": "127.0.0.1"}]`)
	assert.True(t, r.Failed, "an empty text is no manifest, whatever the file holds")
}

func TestTheKitForTargetsReadsNoExternalReferences(t *testing.T) {
	t.Parallel()
	r := guard(t, manifest, `, "external_references": {"environment": true}`)
	assert.True(t, r.Failed)
	assert.Contains(t, r.Msg, "only available on the controller")
	assert.Contains(t, guard(t, manifest, `, "external_references": {}`).Msg, "nothing to check")
}

func TestTheModuleIsWellFormed(t *testing.T) {
	t.Parallel()
	require.NoError(t, Module().Check())
}

// documented is an option as the documentation has it.
type documented struct {
	Type       string                `yaml:"type"`
	Elements   string                `yaml:"elements"`
	Required   bool                  `yaml:"required"`
	Default    any                   `yaml:"default"`
	Choices    yaml.Node             `yaml:"choices"`
	Suboptions map[string]documented `yaml:"suboptions"`
}

func TestTheDocumentationIsWhatTheModuleAccepts(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../plugins/modules/prod_ip_guard.py")
	require.NoError(t, err)
	_, text, _ := strings.Cut(string(data), "DOCUMENTATION = r\"\"\"\n")
	text, _, _ = strings.Cut(text, "\"\"\"")
	var doc struct {
		Options map[string]documented `yaml:"options"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(text), &doc))
	types := map[ansible.Type]string{ansible.Str: "str", ansible.Int: "int", ansible.Bool: "bool", ansible.Path: "path", ansible.List: "list", ansible.Dict: "dict"}
	var compare func(at string, options map[string]ansible.Option, described map[string]documented)
	compare = func(at string, options map[string]ansible.Option, described map[string]documented) {
		assert.Equal(t, slices.Sorted(maps.Keys(options)), slices.Sorted(maps.Keys(described)), at)
		for name, option := range options {
			d := described[name]
			assert.Equal(t, types[option.Type], d.Type, at+name)
			if option.Type == ansible.List {
				assert.Equal(t, types[option.Elements], d.Elements, at+name)
			}
			assert.Equal(t, option.Required, d.Required, at+name)
			assert.Equal(t, option.Default, d.Default, at+name)
			var choices []string
			for i, node := range d.Choices.Content {
				if d.Choices.Kind == yaml.SequenceNode || i%2 == 0 {
					choices = append(choices, node.Value)
				}
			}
			assert.Equal(t, option.Choices, choices, at+name)
			if option.Spec != nil {
				compare(at+name+".", option.Spec.Options, d.Suboptions)
			}
		}
	}
	compare("", Module().Spec.Options, doc.Options)
}
