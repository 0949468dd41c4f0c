// SPDX-License-Identifier: GPL-3.0-or-later

package naming

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConventionsThatChangeTheShippedTable(t *testing.T) {
	t.Parallel()
	table, err := Read("names.yml", []byte(`
systems:
  dns: {prod: <app>.example.org, other: <env>.<app>.example.org}
  vault_config: {other: kvv2/<app>/<env>/config}
add:
  bucket:
    what: Bucket of the app's backups
    prod: acme-<app>
    other: acme-<app>--<env>
    allows: bucket
rules:
  bucket:
    says: a bucket has 63 bytes of a-z, 0-9 and hyphens
    max_bytes: 63
    chars: a-z0-9-
    first: a-z0-9
    last: a-z0-9
remove: [gitea_repository]
reserved: {apps: [intranet], envs: [live]}
`))
	require.NoError(t, err)
	named, err := table.Names([]Instance{{"erp", "sandbox"}}, "dns", "vault_config", "bucket", "postgres_role")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{
		"dns": "sandbox.erp.example.org", "vault_config": "kvv2/erp/sandbox/config", "bucket": "acme-erp--sandbox", "postgres_role": "erp_sandbox_role",
	}, named[0].Names)
	assert.NotContains(t, table.Systems(), "gitea_repository")
	require.ErrorContains(t, table.CheckApp("intranet"), "reserved")
	require.ErrorContains(t, table.CheckEnv("live"), "reserved")
	i, err := table.Parse("dns", "sandbox.erp.example.org")
	require.NoError(t, err)
	assert.Equal(t, Instance{"erp", "sandbox"}, i)

	// The shipped table has not changed with it.
	name, err := shippedTable(t).Name("dns", Instance{"erp", "sandbox"})
	require.NoError(t, err)
	assert.Equal(t, "erp-sandbox.arcodange.lab", name)
}

func TestConventionsWithAnEmptyBase(t *testing.T) {
	t.Parallel()
	table, err := Read("names.yml", []byte("base: none\nadd:\n  host: {what: host, prod: <app>, other: <app>-<env>, allows: dns_name}\n"))
	require.NoError(t, err)
	assert.Equal(t, []string{"host"}, table.Systems())
}

func TestInvalidConventions(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, file, want string }{
		{"an unknown system", "systems:\n  mysql: {prod: <app>}", `systems: unknown system "mysql"; known are argocd_application`},
		{"an unknown system under remove", "remove: [mysql]", `remove: unknown system "mysql"`},
		{"a system that is there already under add", "add:\n  dns: {prod: <app>}", `the system "dns" is there already; change it under ` + "`systems`"},
		{"a pattern without the env", "systems:\n  dns: {other: <app>.example.org}", `system "dns": other: "<app>.example.org" lacks <env>`},
		{"a pattern without the app", "systems:\n  dns: {other: <env>.example.org}", `other: "<env>.example.org" lacks <app>`},
		{"a production pattern without the app", "systems:\n  dns: {prod: www.example.org}", `prod: "www.example.org" lacks <app>`},
		{"a production pattern with the env", "systems:\n  dns: {prod: <app>-<env>.example.org}", `contains <env>`},
		{"an unknown placeholder", "systems:\n  dns: {prod: <application>.example.org}", "has the placeholder <application>; <app> and <env> are known"},
		{"an open placeholder", "systems:\n  dns: {prod: <app.example.org}", "has a < or > that belongs to no placeholder"},
		{"a closed placeholder that was never open", "systems:\n  dns: {prod: app>.example.org}", "has a < or > that belongs to no placeholder"},
		{"placeholders without a separator", "systems:\n  dns: {other: <app><env>.example.org}", "put a separator between them"},
		{"fixed text that the system refuses", "systems:\n  dns: {prod: <app>.Example.org}", `matches no valid name: "Example" may not begin with 'E'`},
		{"a fixed part that is empty", "systems:\n  dns: {prod: <app>..org}", "a part of it is empty"},
		{"fixed text that is too long", "systems:\n  postgres_role: {prod: <app>_" + strings.Repeat("x", 70) + "}", "63 are allowed"},
		{"an unknown rule", "systems:\n  dns: {allows: hostname}", `allows: unknown rule "hostname"; known are dns_name`},
		{"an unknown scope", "systems:\n  dns: {scope: global}", `scope is "global"; it must be instance, app or within_app`},
		{"an env form where all envs share the name", "systems:\n  ci_jwt_role: {other: cicd_<app>_<env>}", "is the same in every env"},
		{"an unknown key", "sytems: {}", `names.yml:1:1: unknown key "sytems"`},
		{"an unknown key of a system", "systems:\n  dns: {pord: <app>}", `names.yml:2:9: unknown key "pord"`},
		{"a key twice", "systems: {}\nsystems: {}", "already defined"},
		{"an empty system", "systems:\n  dns:", `systems: "dns" is empty`},
		{"an empty addition", "add:\n  x:", `add: "x" is empty`},
		{"an addition without an env form", "add:\n  x: {prod: <app>, allows: dns_name}", "other: it is empty"},
		{"an addition that is no identifier", "add:\n  my-system: {prod: <app>, other: <app>-<env>, allows: dns_name}", "lower-case letters, digits and underscores"},
		{"an unknown base", "base: mine", `base is "mine"; it must be "reference"`},
		{"no system at all", "base: none", "the table has no system"},
		{"an env that every app has, reserved", "reserved: {envs: [prod]}", "cannot be reserved"},
		{"an empty rule", "rules:\n  x:", `rules: "x" is empty`},
		{"a rule without words", "rules:\n  x: {max_bytes: 3, chars: a-z}", "it must say"},
		{"a rule without a length", "rules:\n  x: {says: y, chars: a-z}", "max_bytes is 0"},
		{"a rule with an unreadable class", "rules:\n  x: {says: y, max_bytes: 3, chars: '[a-z]'}", "cannot be in it"},
		{"a rule with a range that runs backwards", "rules:\n  x: {says: y, max_bytes: 3, chars: z-a}", "is not a range"},
		{"a rule that splits at one of its characters", "rules:\n  x: {says: y, max_bytes: 3, chars: a-z., split: .}", "also one of chars"},
		{"a rule about parts without a split", "rules:\n  x: {says: y, max_bytes: 3, chars: a-z, parts: 2}", "there is no `split`"},
		{"a list", "- dns", "cannot unmarshal !!seq into conventionsFile"},
		{"no YAML", "systems: [", "names.yml:1:1: "},
		{"nothing", "", "names.yml:1:1: it is empty"},
		{"two documents", "base: none\n---\nbase: none\n", "names.yml:2:1: a second YAML document"},
		{"too much", strings.Repeat("# x\n", 300000), "are read at most"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Read("names.yml", []byte(test.file))
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.want)
			assert.NotContains(t, err.Error(), "\n")
			assert.NotContains(t, err.Error(), "naming.")
		})
	}
}
