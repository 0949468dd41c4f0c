// SPDX-License-Identifier: GPL-3.0-or-later

package prodipguard

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
		assert.Contains(t, r.Msg, "b (3232235977): it leads to 192.168.1.201, which is production by ")
		assert.Contains(t, r.Msg, "boundary.yml:2: production.addresses: 192.168.1.201-192.168.1.203")
		assert.Contains(t, r.Msg, "c (pi1.home): its name is production")
		assert.Contains(t, r.Msg, "i_mean_prod=true")
		assert.NotContains(t, r.Msg, "\n")
		assert.Len(t, r.Verdicts, 3)
	}
}

func TestProductionThatIsMeantIsLetThroughWithAWarning(t *testing.T) {
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
		"no targets":               {manifest, ``, "a guard that checked nothing has not guarded"},
		"an empty list of targets": {manifest, `, "targets": []`, "a guard that checked nothing has not guarded"},
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

func TestOnAMachineItsOwnAddressesTellWhetherItIsProduction(t *testing.T) {
	t.Parallel()
	r := guard(t, manifest, `, "arrived": true`)
	assert.False(t, r.Failed, r.Msg)
	assert.NotEmpty(t, r.Verdicts)

	// The machine that runs this test plays production, by whatever addresses it has beyond loopback.
	addresses, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, address := range addresses {
		if ip := address.(*net.IPNet).IP; !ip.IsLoopback() && ip.To4() != nil {
			production := fmt.Sprintf("production: {addresses: [%s]}\nsandbox: {addresses: [198.51.100.1]}\n", ip)
			r = guard(t, production, `, "arrived": true`)
			assert.True(t, r.Failed)
			assert.Contains(t, r.Msg, fmt.Sprintf("this machine (%s): it leads to %s, which is production", ip, ip))
			return
		}
	}
	production := "production: {addresses: [127.0.0.1]}\nsandbox: {addresses: [198.51.100.1]}\n"
	assert.True(t, guard(t, production, `, "arrived": true`).Failed)
}

func TestTheModuleIsWellFormed(t *testing.T) {
	t.Parallel()
	require.NoError(t, Module().Check())
}
