// SPDX-License-Identifier: GPL-3.0-or-later

package naming

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// words are few and short on purpose, so that sets of instances do collide.
var words = []string{"a", "b", "erp", "sandbox", "test", "ops", "url", "shortener", "x2", "role", "kube", "system", "pg", "values"}

func randomWord(r *rand.Rand) string {
	parts := make([]string, 1+r.IntN(3))
	for i := range parts {
		parts[i] = words[r.IntN(len(words))]
	}
	return strings.Join(parts, "-")
}

func randomApps(r *rand.Rand, table *Table) []App {
	var apps []App
	seen := map[string]bool{}
	for range 1 + r.IntN(8) {
		app := App{Name: randomWord(r)}
		if seen[app.Name] || table.CheckApp(app.Name) != nil {
			continue
		}
		seen[app.Name] = true
		for range r.IntN(4) {
			env := randomWord(r)
			if r.IntN(3) == 0 {
				env = Prod
			}
			if !slices.Contains(app.Envs, env) {
				app.Envs = append(app.Envs, env)
			}
		}
		apps = append(apps, app)
	}
	return apps
}

func TestProperties(t *testing.T) {
	t.Parallel()
	table := shippedTable(t)
	r := rand.New(rand.NewPCG(20261123, 4))
	valid, refused := 0, 0
	for range 5000 {
		apps := randomApps(r, table)
		instances, err := table.Instances(apps)
		require.NoError(t, err)
		named, err := table.Names(instances)

		// collisions are exactly the names that a plain count finds more than once.
		found, _ := findCollisions(table, instances)
		require.Equal(t, sharedNames(table, instances), len(found) > 0, "%v", apps)

		if err != nil {
			refused++
			continue
		}
		valid++
		for _, n := range named {
			for _, system := range table.Systems() {
				// Production's names do not depend on what else exists.
				alone, err := table.Name(system, n.Instance)
				require.NoError(t, err)
				require.Equal(t, alone, n.Names[system])

				// A name reads back as its instance, or says that it is ambiguous.
				parsed, err := table.Parse(system, alone)
				var ambiguous *Ambiguous
				if errors.As(err, &ambiguous) {
					require.Contains(t, ambiguous.Candidates, n.Instance)
					for _, c := range ambiguous.Candidates {
						name, err := table.Name(system, c)
						require.NoError(t, err)
						require.Equal(t, alone, name)
					}
				} else {
					require.NoError(t, err)
					require.Contains(t, []string{n.Instance.App, ""}, parsed.App)
					require.Contains(t, []string{n.Instance.Env, ""}, parsed.Env)
				}

				// Among a valid set it is never ambiguous, but for files that every app has.
				parsed, err = table.Parse(system, alone, instances...)
				if table.byName[system].Scope != scopeWithinApp {
					require.NoError(t, err)
					require.Equal(t, table.byName[system].owner(n.Instance), parsed)
				}
			}
		}
	}
	require.Greater(t, valid, 500, "the generator makes too few valid sets")
	require.Greater(t, refused, 500, "the generator makes too few sets that are refused")
}

// sharedNames is the plainest way to see a collision: write down who wants which name.
func sharedNames(table *Table, instances []Instance) bool {
	wanted := map[string]string{}
	for _, s := range table.systems {
		for _, i := range instances {
			where, who := s.Space, fmt.Sprint(s.name, i)
			if s.Scope == scopeApp {
				who = fmt.Sprint(s.name, i.App)
			}
			if s.Scope == scopeWithinApp {
				where += " of " + i.App
			}
			key := where + ": " + s.pattern(i).fill(i)
			if other, ok := wanted[key]; ok && other != who {
				return true
			}
			wanted[key] = who
		}
	}
	return false
}

func many(n int) []Instance {
	instances := make([]Instance, 0, n)
	for i := range n {
		env := Prod
		if i%2 == 1 {
			env = "sandbox"
		}
		instances = append(instances, Instance{fmt.Sprintf("app-%05d", i/2), env})
	}
	return instances
}

func TestTenThousandInstancesInAllSystems(t *testing.T) {
	table := shippedTable(t)
	instances := many(10000)
	start := time.Now()
	named, err := table.Names(instances)
	took := time.Since(start)
	require.NoError(t, err)
	require.Len(t, named, 10000)
	t.Logf("%d instances in %d systems: %s", len(instances), len(table.systems), took)
	require.Less(t, took, 5*time.Second, "ten times the figure, for slow machines and the race detector")
}

func BenchmarkNames(b *testing.B) {
	table := shippedTable(b)
	instances := many(10000)
	for b.Loop() {
		if _, err := table.Names(instances); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzParse reads anything back in every system: never a panic, and whatever it
// answers has exactly that name.
func FuzzParse(f *testing.F) {
	for _, name := range []string{
		"erp", "erp-sandbox", "erp_role", "erp_sandbox_role", "url-shortener_x_role", "kvv2/erp/config", "postgres/creds/erp-sandbox",
		"arcodange-org/erp", "erp.arcodange.lab", "chart/values-sandbox.yaml", "erp-sandbox-ops", "erp/main", "", "еrp", "a-b-c-d-e", "prod", "erp-prod",
		"gitea_cicd_erp", "\xff", strings.Repeat("a-", 200), "-", "<app>", "_role",
	} {
		f.Add(name)
	}
	table := shippedTable(f)
	f.Fuzz(func(t *testing.T, name string) {
		for _, system := range table.Systems() {
			i, err := table.Parse(system, name)
			var ambiguous *Ambiguous
			candidates := []Instance{i}
			if errors.As(err, &ambiguous) {
				require.Greater(t, len(ambiguous.Candidates), 1)
				candidates = ambiguous.Candidates
			} else if err != nil {
				require.NotContains(t, err.Error(), "\n")
				continue
			}
			for _, c := range candidates {
				if c.App == "" {
					c.App = "any"
				}
				if c.Env == "" {
					c.Env = Prod
				}
				found, err := table.Name(system, c)
				require.NoError(t, err)
				require.Equal(t, name, found)
			}
		}
	})
}

// FuzzConventions reads any file: an error on one line, or a table that names something.
func FuzzConventions(f *testing.F) {
	f.Add([]byte("systems:\n  dns: {prod: <app>.example.org, other: <app>-<env>.example.org}\n"))
	f.Add([]byte("base: none\nadd:\n  x: {prod: <app>, other: <env>_<app>, allows: vault_name}\nrules: {y: {says: z, max_bytes: 3, chars: a-z}}\n"))
	f.Add([]byte("remove: [dns]\nreserved: {apps: [a]}\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		table, err := Read("names.yml", file)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		require.NotEmpty(t, table.Systems())
	})
}
