// SPDX-License-Identifier: GPL-3.0-or-later

package naming

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func shippedTable(t testing.TB) *Table {
	t.Helper()
	table, err := Shipped()
	require.NoError(t, err)
	return table
}

// The reference lab's names, written out by hand: the table must yield these, byte by byte.
func TestNamesOfTheReferenceLab(t *testing.T) {
	t.Parallel()
	table := shippedTable(t)
	want := map[Instance]map[string]string{
		{"erp", "prod"}: {
			"gitea_repository": "arcodange-org/erp", "helm_values": "chart/values.yaml", "ci_jwt_role": "gitea_cicd_erp",
			"postgres_database": "erp", "postgres_role": "erp_role", "vault_postgres_creds": "postgres/creds/erp",
			"vault_kubernetes_role": "erp", "vault_policy": "erp", "vault_ci_policy": "erp-ops", "vault_config": "kvv2/erp/config",
			"kubernetes_namespace": "erp", "kubernetes_service_account": "erp", "argocd_application": "erp",
			"state_prefix": "erp/main", "dns": "erp.arcodange.lab",
		},
		{"erp", "sandbox"}: {
			"gitea_repository": "arcodange-org/erp", "helm_values": "chart/values-sandbox.yaml", "ci_jwt_role": "gitea_cicd_erp",
			"postgres_database": "erp-sandbox", "postgres_role": "erp_sandbox_role", "vault_postgres_creds": "postgres/creds/erp-sandbox",
			"vault_kubernetes_role": "erp-sandbox", "vault_policy": "erp-sandbox", "vault_ci_policy": "erp-sandbox-ops",
			"vault_config": "kvv2/erp-sandbox/config", "kubernetes_namespace": "erp-sandbox", "kubernetes_service_account": "erp-sandbox",
			"argocd_application": "erp-sandbox", "state_prefix": "erp-sandbox/main", "dns": "erp-sandbox.arcodange.lab",
		},
		// Only the joints of a role are underscores, or production's roles would be renamed.
		{"url-shortener", "prod"}: {
			"gitea_repository": "arcodange-org/url-shortener", "helm_values": "chart/values.yaml", "ci_jwt_role": "gitea_cicd_url-shortener",
			"postgres_database": "url-shortener", "postgres_role": "url-shortener_role", "vault_postgres_creds": "postgres/creds/url-shortener",
			"vault_kubernetes_role": "url-shortener", "vault_policy": "url-shortener", "vault_ci_policy": "url-shortener-ops",
			"vault_config": "kvv2/url-shortener/config", "kubernetes_namespace": "url-shortener", "kubernetes_service_account": "url-shortener",
			"argocd_application": "url-shortener", "state_prefix": "url-shortener/main", "dns": "url-shortener.arcodange.lab",
		},
	}
	for instance, names := range want {
		named, err := table.Names([]Instance{instance})
		require.NoError(t, err)
		assert.Equal(t, names, named[0].Names, instance.String())
	}
	role, err := table.Name("postgres_role", Instance{"url-shortener", "sandbox"})
	require.NoError(t, err)
	assert.Equal(t, "url-shortener_sandbox_role", role)
}

func TestAppsOfTheReferenceLabCanLiveTogether(t *testing.T) {
	t.Parallel()
	table := shippedTable(t)
	var apps []App
	for _, name := range []string{"tools", "cms", "webapp", "url-shortener", "dance-lessons-coach", "telegram-gateway", "plausible"} {
		apps = append(apps, App{Name: name})
	}
	apps = append(apps, App{"erp", []string{"prod", "sandbox"}})
	instances, err := table.Instances(apps)
	require.NoError(t, err)
	named, err := table.Names(instances)
	require.NoError(t, err)
	assert.Len(t, named, 9)
}

func TestInvalidAppsAndEnvs(t *testing.T) {
	t.Parallel()
	table := shippedTable(t)
	tests := []struct{ name, app, env, want string }{
		{"an upper-case app", "ERP", "prod", `has the capital 'E'; names are lower case, write "erp"`},
		{"an app with an underscore", "url_shortener", "prod", `has an underscore; words are joined by hyphens, write "url-shortener"`},
		{"an app that begins with a digit", "2erp", "prod", `begins with the digit '2'`},
		{"an app that begins with a hyphen", "-erp", "prod", "begins with a hyphen"},
		{"an app that ends with a hyphen", "erp-", "prod", "ends with a hyphen"},
		{"an app with two hyphens in a row", "er--p", "prod", "two hyphens in a row"},
		{"an empty app", "", "prod", `app "" is empty`},
		{"an app of 64 characters", strings.Repeat("a", 64), "prod", "has 64 bytes; at most 63"},
		{"an app with a Cyrillic look-alike", "еrp", "prod", "(U+0435), which is not ASCII"},
		{"an app with a full-width letter", "ｅrp", "prod", "(U+FF45), which is not ASCII"},
		{"an app with a hyphen that is none", "url‐shortener", "prod", "(U+2010), which is not ASCII"},
		{"an app with a blank", "e rp", "prod", `has the character ' '`},
		{"an app that is not UTF-8", "e\xffrp", "prod", "not valid UTF-8"},
		{"an app with a line break", "erp\n", "prod", `has the character '\n'`},
		{"an app with a slash", "erp/main", "prod", `has the character '/'`},
		{"prod as an app", "prod", "prod", "is reserved for production"},
		{"an app that ends in prod", "erp-prod", "prod", "call the app erp and give it the env prod"},
		{"postgres as an app", "postgres", "prod", "the word is reserved"},
		{"kube-system as an app", "kube-system", "prod", "the word is reserved"},
		{"default as an app", "default", "prod", "the word is reserved"},
		{"vault as an app", "vault", "prod", "the word is reserved"},
		{"prod spelled Prod", "erp", "Prod", `env "Prod" has the capital 'P'; names are lower case, write "prod"`},
		{"PROD", "erp", "PROD", `write "prod"`},
		{"an empty env", "erp", "", `env "" is empty`},
		{"an env with an underscore", "erp", "pre_live", `write "pre-live"`},
		{"an env that begins with a digit", "erp", "1st", "begins with the digit"},
		{"an env that begins with a hyphen", "erp", "-x", "begins with a hyphen"},
		{"an env of 64 characters", "erp", strings.Repeat("e", 64), "has 64 bytes; at most 63"},
		{"an env with a look-alike", "erp", "sаndbox", "(U+0430), which is not ASCII"},
		{"an env that ends in prod", "erp", "pre-prod", "is reserved for production"},
		{"an env that is a reserved word", "erp", "default", "the word is reserved"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := table.Names([]Instance{{test.app, test.env}})
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.want)
			assert.NotContains(t, err.Error(), "\n")
			_, err = table.Name("dns", Instance{test.app, test.env})
			require.Error(t, err)
			_, err = table.Instances([]App{{test.app, []string{test.env}}})
			require.Error(t, err)
		})
	}
}

func TestDuplicatesInLists(t *testing.T) {
	t.Parallel()
	table := shippedTable(t)
	_, err := table.Instances([]App{{"erp", []string{"sandbox", "prod", "sandbox"}}})
	require.EqualError(t, err, `app "erp" has the env "sandbox" twice; an env exists once`)
	_, err = table.Instances([]App{{"erp", nil}, {"cms", nil}, {"erp", []string{"sandbox"}}})
	require.EqualError(t, err, `app "erp" is listed twice; merge its envs`)
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := shippedTable(t).Instances([]App{{"ERP", nil}, {"cms", []string{"Prod", "x_y"}}})
	require.Error(t, err)
	for _, want := range []string{`"ERP"`, `"Prod"`, `"x_y"`} {
		assert.Contains(t, err.Error(), want)
	}
}

func TestNamesThatASystemWouldRefuseOrCut(t *testing.T) {
	t.Parallel()
	table := shippedTable(t)
	tests := []struct {
		name     string
		system   string
		instance Instance
		part     string
		want     []string
	}{
		{
			"a role that PostgreSQL would cut", "postgres_role", Instance{strings.Repeat("a", 59), "prod"}, "e",
			[]string{"postgres_role", "(64 bytes)", "it has 64 bytes and 63 are allowed", "rule postgres_role", `the app "aaa`},
		},
		{
			"a database that PostgreSQL would cut because of its env", "postgres_database", Instance{"erp", strings.Repeat("e", 60)}, "e",
			[]string{"postgres_database", "(64 bytes)", "rule postgres_database", `the env "eee`},
		},
		{
			"a namespace that is no DNS-1123 label", "kubernetes_namespace", Instance{strings.Repeat("n", 40), strings.Repeat("e", 30)}, "eeeeeeee",
			[]string{"kubernetes_namespace", "(71 bytes)", "rule kubernetes_namespace", "DNS-1123"},
		},
		{
			"a label of a DNS name", "dns", Instance{strings.Repeat("n", 40), strings.Repeat("e", 30)}, strings.Repeat("n", 40) + "-" + strings.Repeat("e", 30),
			[]string{"rule dns_name", "has 71 bytes and 63 are allowed"},
		},
		{
			"a namespace of Kubernetes itself, put together from app and env", "kubernetes_namespace", Instance{"kube", "system"}, "kube-system",
			[]string{`names that begin with "kube-" are reserved by the system`},
		},
		{
			"a role of PostgreSQL itself", "postgres_role", Instance{"pg", "prod"}, "pg_role",
			[]string{`names that begin with "pg_" are reserved by the system`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := table.Name(test.system, test.instance)
			var refused *refusedError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, test.system, refused.System)
			assert.Equal(t, test.part, refused.Part)
			for _, want := range test.want {
				assert.Contains(t, err.Error(), want)
			}
			_, err = table.Names([]Instance{test.instance})
			require.ErrorAs(t, err, &refused)
		})
	}
}

func TestTheLongestNamesThatFit(t *testing.T) {
	t.Parallel()
	table := shippedTable(t)
	_, err := table.Names([]Instance{{strings.Repeat("a", 58), Prod}}) // + _role
	require.NoError(t, err)
	_, err = table.Names([]Instance{{strings.Repeat("a", 50), "sandbox"}}) // _sandbox_role
	require.NoError(t, err)
	_, err = table.Names([]Instance{{strings.Repeat("a", 51), "sandbox"}})
	require.Error(t, err)
	_, err = table.Name("kubernetes_namespace", Instance{strings.Repeat("a", 63), Prod})
	require.NoError(t, err)
}

func TestAnAppWithTheNameOfAnotherInAnEnv(t *testing.T) {
	t.Parallel()
	table := shippedTable(t)
	instances, err := table.Instances([]App{{"erp", []string{"prod", "sandbox"}}, {"erp-sandbox", nil}})
	require.NoError(t, err)
	found, err := findCollisions(table, instances)
	require.NoError(t, err)
	first, second := Instance{"erp", "sandbox"}, Instance{"erp-sandbox", "prod"}
	var systems []string
	for _, c := range found {
		assert.Equal(t, first, c.First.Instance)
		assert.Equal(t, second, c.Second.Instance)
		systems = append(systems, c.First.System)
	}
	// Repository and CI role have one name per app, values files lie in different repositories, and the
	// role is erp_sandbox_role on one side and erp-sandbox_role on the other.
	assert.ElementsMatch(t, []string{
		"argocd_application", "dns", "kubernetes_namespace", "kubernetes_service_account", "postgres_database", "state_prefix",
		"vault_ci_policy", "vault_config", "vault_kubernetes_role", "vault_policy", "vault_postgres_creds",
	}, systems)

	_, err = table.Names(instances)
	var collisions Collisions
	require.ErrorAs(t, err, &collisions)
	assert.Contains(t, err.Error(), `dns "erp-sandbox.arcodange.lab" would be both app "erp" in env "sandbox" and app "erp-sandbox" in env "prod"`)
}

func TestCollisionsThatAreEasilyOverlooked(t *testing.T) {
	t.Parallel()
	table := shippedTable(t)
	t.Run("an app called as the CI policy of another", func(t *testing.T) {
		found, err := findCollisions(table, []Instance{{"erp", Prod}, {"erp-ops", Prod}})
		require.NoError(t, err)
		assert.Equal(t, []Collision{{"erp-ops", Party{"vault_ci_policy", Instance{"erp", Prod}}, Party{"vault_policy", Instance{"erp-ops", Prod}}}}, found)
	})
	t.Run("an env called ops", func(t *testing.T) {
		found, err := findCollisions(table, []Instance{{"erp", Prod}, {"erp", "ops"}})
		require.NoError(t, err)
		assert.Equal(t, []Collision{{"erp-ops", Party{"vault_ci_policy", Instance{"erp", Prod}}, Party{"vault_policy", Instance{"erp", "ops"}}}}, found)
	})
	t.Run("three parties for one name are three pairs", func(t *testing.T) {
		found, err := findCollisions(table, []Instance{{"a", "b-c"}, {"a-b", "c"}, {"a-b-c", Prod}}, "dns")
		require.NoError(t, err)
		assert.Len(t, found, 3)
	})
	t.Run("no collision where the systems in question do not collide", func(t *testing.T) {
		found, err := findCollisions(table, []Instance{{"erp", "sandbox"}, {"erp-sandbox", Prod}}, "postgres_role", "gitea_repository", "helm_values")
		require.NoError(t, err)
		assert.Empty(t, found)
	})
	t.Run("one name for all envs of an app is no collision", func(t *testing.T) {
		found, err := findCollisions(table, []Instance{{"erp", Prod}, {"erp", "sandbox"}, {"erp", "test"}}, "gitea_repository", "ci_jwt_role")
		require.NoError(t, err)
		assert.Empty(t, found)
	})
	t.Run("the same instance twice is a collision", func(t *testing.T) {
		found, err := findCollisions(table, []Instance{{"erp", Prod}, {"erp", Prod}}, "dns")
		require.NoError(t, err)
		assert.Len(t, found, 1)
	})
}

func TestSystemsThatTheTableDoesNotHave(t *testing.T) {
	t.Parallel()
	table := shippedTable(t)
	_, err := table.Names([]Instance{{"erp", Prod}}, "dns", "mysql")
	require.ErrorContains(t, err, `unknown system "mysql"; known are argocd_application, ci_jwt_role`)
	_, err = table.Name("mysql", Instance{"erp", Prod})
	require.Error(t, err)
	_, err = findCollisions(table, nil, "mysql")
	require.Error(t, err)
	_, err = table.Parse("mysql", "erp")
	require.Error(t, err)
}

func TestParsingNamesBack(t *testing.T) {
	t.Parallel()
	table := shippedTable(t)
	erp := []Instance{{"erp", Prod}, {"erp", "sandbox"}, {"url-shortener", Prod}}
	tests := []struct {
		name         string
		system, text string
		known        []Instance
		want         Instance
		err          string
	}{
		{"one word is production's", "postgres_database", "erp", nil, Instance{"erp", Prod}, ""},
		{"two words could be app and env", "postgres_database", "erp-sandbox", nil, Instance{},
			`is ambiguous: it could be app "erp-sandbox" in env "prod" or app "erp" in env "sandbox"`},
		{"two words among known instances", "postgres_database", "erp-sandbox", erp, Instance{"erp", "sandbox"}, ""},
		{"an app of two words among known instances", "postgres_database", "url-shortener", erp, Instance{"url-shortener", Prod}, ""},
		{"a name of no known instance", "postgres_database", "url-test", erp, Instance{}, "cannot be the name of an app"},
		{"a role tells app from env by itself", "postgres_role", "url-shortener_sandbox_role", nil, Instance{"url-shortener", "sandbox"}, ""},
		{"production's role", "postgres_role", "url-shortener_role", nil, Instance{"url-shortener", Prod}, ""},
		{"a repository belongs to all envs", "gitea_repository", "arcodange-org/erp", nil, Instance{App: "erp"}, ""},
		{"a repository among known instances is one answer", "gitea_repository", "arcodange-org/erp", erp, Instance{App: "erp"}, ""},
		{"a values file belongs to any app", "helm_values", "chart/values-sandbox.yaml", nil, Instance{Env: "sandbox"}, ""},
		{"production's values file", "helm_values", "chart/values.yaml", nil, Instance{Env: Prod}, ""},
		{"a values file among known instances", "helm_values", "chart/values-sandbox.yaml", erp, Instance{"erp", "sandbox"}, ""},
		{"a values file that two known apps have", "helm_values", "chart/values.yaml", erp, Instance{}, "is ambiguous"},
		{"a CI policy of three words", "vault_ci_policy", "erp-sandbox-ops", nil, Instance{}, "is ambiguous"},
		{"another organisation's repository", "gitea_repository", "someone/erp", nil, Instance{}, "names have the form arcodange-org/<app>"},
		{"a name of a reserved app", "postgres_database", "postgres", nil, Instance{}, "is not a valid name"},
		{"a name that ends in prod", "dns", "erp-prod.arcodange.lab", nil, Instance{}, "cannot be the name of an app"},
		{"another zone", "dns", "erp.example.org", nil, Instance{}, "cannot be the name of an app"},
		{"nothing", "dns", "", nil, Instance{}, "is not a valid name: a part of it is empty"},
		{"no ASCII", "dns", "еrp.arcodange.lab", nil, Instance{}, "is not a valid name"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := table.Parse(test.system, test.text, test.known...)
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
	_, err := table.Parse("postgres_database", "a-b-c")
	var ambiguous *Ambiguous
	require.True(t, errors.As(err, &ambiguous))
	assert.Equal(t, []Instance{{"a-b-c", Prod}, {"a", "b-c"}, {"a-b", "c"}}, ambiguous.Candidates)
}

// findCollisions returns the collisions in the named systems, or in all.
func findCollisions(t *Table, instances []Instance, systems ...string) ([]Collision, error) {
	picked, err := t.pick(systems)
	if err != nil {
		return nil, err
	}
	return t.collisions(instances, picked), nil
}
