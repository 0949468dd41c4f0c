// SPDX-License-Identifier: GPL-3.0-or-later

//go:build tofu

package naming

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/naming"
	"github.com/arcodange-org/sandbox/internal/run"
)

// app is one element of the module's variable.
type app struct {
	Name string   `json:"name"`
	Envs []string `json:"envs,omitempty"`
}

// tofu is a working directory of a real OpenTofu with a state of its own.
type tofu struct {
	dir   string // where the root is
	state string
}

// root copies the checkout's tofu/naming and a fixture, in the same places relative to each other.
func root(t *testing.T, fixture, state string) tofu {
	t.Helper()
	base := t.TempDir()
	for _, dir := range []string{"tofu/naming", "tests/naming/testdata/" + fixture} {
		require.NoError(t, os.CopyFS(filepath.Join(base, dir), os.DirFS(filepath.Join("..", "..", dir))))
	}
	w := tofu{dir: filepath.Join(base, "tests/naming/testdata", fixture), state: state}
	_, err := w.run(t, "init", "-input=false")
	require.NoError(t, err)
	return w
}

func (w tofu) run(t *testing.T, args ...string) (run.Result, error) {
	t.Helper()
	program := os.Getenv("SANDBOX_TOFU")
	require.NotEmpty(t, program, "set SANDBOX_TOFU to the pinned OpenTofu; `make test-naming` does")
	if args[0] == "state" {
		args = slices.Concat([]string{"state"}, args[1:2], []string{"-no-color"}, args[2:])
	} else {
		args = slices.Insert(args, 1, "-no-color")
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TF_") })
	return run.Exec{}.Run(context.Background(), run.Cmd{
		Name: program, Args: args, Dir: w.dir,
		Env: append(env, "TF_CLI_CONFIG_FILE=/dev/null", "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1"),
	})
}

func (w tofu) vars(t *testing.T, vars map[string]any) string {
	t.Helper()
	data, err := json.Marshal(vars)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "vars.tfvars.json")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return "-var-file=" + path
}

// change is what a plan would do to one resource.
type change struct {
	Address         string `json:"address"`
	PreviousAddress string `json:"previous_address"`
	Change          struct {
		Actions []string `json:"actions"`
	} `json:"change"`
}

// plan gives the exit status of `tofu plan -detailed-exitcode` (0 none, 2 changes) and what it would do.
func (w tofu) plan(t *testing.T, vars map[string]any) (int, []change) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plan")
	res, err := w.run(t, "plan", "-input=false", "-detailed-exitcode", "-state="+w.state, "-out="+file, w.vars(t, vars))
	require.Contains(t, []int{0, 2}, res.Code, "%v\n%s", err, res.Stderr)
	shown, err := w.run(t, "show", "-json", file)
	require.NoError(t, err)
	var plan struct {
		Changes []change `json:"resource_changes"`
		Drift   []change `json:"resource_drift"`
	}
	require.NoError(t, json.Unmarshal(shown.Stdout, &plan))
	require.Empty(t, plan.Drift)
	return res.Code, plan.Changes
}

func (w tofu) apply(t *testing.T, vars map[string]any) {
	t.Helper()
	_, err := w.run(t, "apply", "-input=false", "-auto-approve", "-state="+w.state, w.vars(t, vars))
	require.NoError(t, err)
}

// addresses are the resources in the state.
func (w tofu) addresses(t *testing.T) []string {
	t.Helper()
	res, err := w.run(t, "state", "list", "-state="+w.state)
	require.NoError(t, err)
	return slices.Sorted(slices.Values(strings.Fields(string(res.Stdout))))
}

// touched are the addresses on which the plan would act, by action.
func touched(changes []change) map[string][]string {
	by := map[string][]string{}
	for _, c := range changes {
		action := strings.Join(c.Change.Actions, "+")
		if c.PreviousAddress != "" {
			action = "move"
		}
		by[action] = append(by[action], c.Address)
	}
	delete(by, "no-op")
	for _, addresses := range by {
		slices.Sort(addresses)
	}
	return by
}

// pairs makes apps with envs, n instances in all, that may live together.
func pairs(t *testing.T, table *naming.Table, n int) ([]app, []naming.Named) {
	t.Helper()
	r := rand.New(rand.NewPCG(2026, 11))
	letters := "abcdefghijklmnopqrstuvwxyz0123456789"
	word := func() string {
		parts := make([]string, 1+r.IntN(3))
		for i := range parts {
			part := make([]byte, 1+r.IntN(7))
			for k := range part {
				part[k] = letters[r.IntN(len(letters))]
			}
			parts[i] = string(part)
		}
		return strings.Join(parts, "-")
	}
	var apps []app
	var instances []naming.Instance
	taken := map[string]bool{}
	for len(instances) < n {
		one := app{Name: word()}
		if table.CheckApp(one.Name) != nil {
			continue
		}
		for range r.IntN(4) {
			env := word()
			if r.IntN(3) == 0 {
				env = naming.Prod
			}
			if table.CheckEnv(env) == nil && !slices.Contains(one.Envs, env) {
				one.Envs = append(one.Envs, env)
			}
		}
		spelled, err := table.Instances([]naming.App{{Name: one.Name, Envs: one.Envs}})
		require.NoError(t, err)
		named, err := table.Names(spelled)
		if err != nil {
			continue
		}
		// Whoever would share a name with one that is there already is left out.
		var names []string
		for _, instance := range named {
			for system, name := range instance.Names {
				if strings.HasPrefix(system, "vault_") && strings.HasSuffix(system, "policy") {
					system = "vault_policies"
				}
				if system != "helm_values" {
					names = append(names, system+" "+name)
				}
			}
		}
		if slices.ContainsFunc(names, func(name string) bool { return taken[name] }) {
			continue
		}
		for _, name := range names {
			taken[name] = true
		}
		apps = append(apps, one)
		instances = append(instances, spelled...)
	}
	named, err := table.Names(instances)
	require.NoError(t, err)
	return apps, named
}

func TestOpenTofuYieldsTheSameNames(t *testing.T) {
	t.Parallel()
	own, err := naming.Read("names.yml", []byte("systems:\n  dns: {prod: <app>.example.org, other: <env>.<app>.example.org}\nremove: [helm_values]\n"))
	require.NoError(t, err)
	shipped, err := naming.Shipped()
	require.NoError(t, err)
	for name, test := range map[string]struct {
		table *naming.Table
		vars  map[string]any
		n     int
	}{
		"by the shipped table": {shipped, map[string]any{}, 3000},
		"by a user's own":      {own, map[string]any{"table": exported(t, own)}, 300},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			apps, named := pairs(t, test.table, test.n)
			w := root(t, "equal", filepath.Join(t.TempDir(), "state"))
			test.vars["apps"] = apps
			w.apply(t, test.vars)
			res, err := w.run(t, "output", "-json", "-state="+w.state, "instances")
			require.NoError(t, err)
			var got map[string]struct {
				App, Env, Key string
				Names         map[string]string
			}
			require.NoError(t, json.Unmarshal(res.Stdout, &got))
			require.Len(t, got, len(named))
			compared := 0
			for _, one := range named {
				other, ok := got[one.Instance.Key()]
				require.True(t, ok, one.Instance.String())
				require.Equal(t, one.Instance, naming.Instance{App: other.App, Env: other.Env})
				require.Equal(t, one.Names, other.Names, one.Instance.String())
				compared += len(one.Names)
			}
			t.Logf("%d instances, %d names: equal", len(named), compared)
		})
	}
}

func exported(t *testing.T, table *naming.Table) json.RawMessage {
	t.Helper()
	data, err := table.Export()
	require.NoError(t, err)
	return data
}

func TestOpenTofuRefusesWhatGoRefuses(t *testing.T) {
	t.Parallel()
	table, err := naming.Shipped()
	require.NoError(t, err)
	w := root(t, "equal", filepath.Join(t.TempDir(), "state"))
	for name, apps := range map[string][]app{
		"upper case":               {{"Erp", nil}},
		"an underscore":            {{"url_shortener", nil}},
		"a leading digit":          {{"1erp", nil}},
		"a leading hyphen":         {{"-erp", nil}},
		"two hyphens":              {{"e--rp", nil}},
		"empty":                    {{"", nil}},
		"64 characters":            {{strings.Repeat("a", 64), nil}},
		"a look-alike":             {{"еrp", nil}},
		"a reserved app":           {{"vault", nil}},
		"an app that ends in prod": {{"erp-prod", nil}},
		"Prod":                     {{"erp", []string{"Prod"}}},
		"an env that ends in prod": {{"erp", []string{"pre-prod"}}},
		"an env twice":             {{"erp", []string{"x", "x"}}},
		"an app twice":             {{"erp", nil}, {"erp", []string{"x"}}},
		"a role that is too long":  {{strings.Repeat("a", 59), nil}},
		"kube-system":              {{"kube", []string{"system"}}},
		"pg_role":                  {{"pg", nil}},
		"erp-sandbox twice":        {{"erp", []string{"prod", "sandbox"}}, {"erp-sandbox", nil}},
		"erp-ops twice":            {{"erp", nil}, {"erp-ops", nil}},
	} {
		var list []naming.App
		for _, one := range apps {
			list = append(list, naming.App{Name: one.Name, Envs: one.Envs})
		}
		instances, err := table.Instances(list)
		if err == nil {
			_, err = table.Names(instances)
		}
		require.Error(t, err, "Go: %s", name)
		res, err := w.run(t, "plan", "-input=false", "-state="+w.state, w.vars(t, map[string]any{"apps": apps}))
		require.Error(t, err, "OpenTofu: %s", name)
		assert.Contains(t, string(res.Stderr), "precondition failed", name)
	}
}

// The proof that envs cost production nothing: a root of today's form is applied,
// then planned in the new form.
func TestProductionAloneIsANoOp(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	today := root(t, "today", state)
	today.apply(t, map[string]any{"applications": []string{"cms", "erp", "url-shortener"}})
	before := today.addresses(t)
	require.Len(t, before, 3*7)

	envs := root(t, "envs", state)
	code, changes := envs.plan(t, map[string]any{"applications": []app{{"cms", nil}, {"erp", []string{"prod"}}, {"url-shortener", []string{"prod"}}}})
	assert.Equal(t, 0, code, "tofu plan says: no changes")
	assert.Empty(t, touched(changes))
	planned := []string{}
	for _, c := range changes {
		planned = append(planned, c.Address)
	}
	assert.ElementsMatch(t, before, planned, "every resource keeps its address")

	withSandbox := map[string]any{"applications": []app{{"cms", nil}, {"erp", []string{"prod", "sandbox"}}, {"url-shortener", nil}}}
	code, changes = envs.plan(t, withSandbox)
	assert.Equal(t, 2, code)
	assert.Equal(t, map[string][]string{"create": {
		`module.app["erp-sandbox"].terraform_data.kubernetes`,
		`module.app["erp-sandbox"].terraform_data.policy["ci"]`,
		`module.app["erp-sandbox"].terraform_data.policy["run"]`,
		`terraform_data.database["erp-sandbox"]`,
		`terraform_data.role["erp-sandbox"]`,
	}}, touched(changes), "the plan creates erp-sandbox and touches nothing else")

	envs.apply(t, withSandbox)
	code, _ = envs.plan(t, withSandbox)
	assert.Equal(t, 0, code)
	code, changes = envs.plan(t, map[string]any{"applications": []app{{"cms", nil}, {"erp", nil}, {"url-shortener", nil}}})
	assert.Equal(t, 2, code)
	assert.Equal(t, []string{"delete"}, slices.Collect(func(yield func(string) bool) {
		for action := range touched(changes) {
			if !yield(action) {
				return
			}
		}
	}), "without its env erp is as before")
}

// The proof has to be able to fail.
func TestAProductionKeyWithTheEnvIsDetected(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	root(t, "today", state).apply(t, map[string]any{"applications": []string{"cms", "erp"}})
	envs := root(t, "envs", state)
	path := filepath.Join(envs.dir, "main.tf")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	const good = "instances = module.naming.instances"
	require.Contains(t, string(data), good)
	bad := strings.Replace(string(data), good, `instances = merge(module.naming.instances, { for i in module.naming.instances : "${i.app}-${i.env}" => i })`, 1)
	require.NoError(t, os.WriteFile(path, []byte(bad), 0o600))
	code, changes := envs.plan(t, map[string]any{"applications": []app{{"cms", nil}, {"erp", nil}}})
	assert.Equal(t, 2, code)
	assert.NotEmpty(t, touched(changes))
}

func helm(t *testing.T, chart string, values map[string]any) string {
	t.Helper()
	program := os.Getenv("SANDBOX_HELM")
	require.NotEmpty(t, program, "set SANDBOX_HELM to the pinned Helm; `make test-naming` does")
	args := []string{"template", "apps", filepath.Join("testdata", chart)}
	if values != nil {
		data, err := json.Marshal(values)
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "values.json")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		args = append(args, "--values", path)
	}
	home := t.TempDir()
	res, err := run.Exec{}.Run(t.Context(), run.Cmd{
		Name: program, Args: args,
		Env: []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "KUBECONFIG=" + filepath.Join(home, "none")},
	})
	require.NoError(t, err)
	return string(res.Stdout)
}

func TestTheAppOfAppsIsByteIdentical(t *testing.T) {
	t.Parallel()
	before := helm(t, "apps-today", nil)
	after := helm(t, "apps-envs", nil)
	require.Equal(t, 3, strings.Count(before, "kind: Application"))
	require.Equal(t, before, after)

	with := helm(t, "apps-envs", map[string]any{"applications": []app{
		{"cms", []string{"prod"}}, {"erp", []string{"prod", "sandbox"}}, {"url-shortener", []string{"prod"}},
	}})
	applications := func(text string) []string { return strings.Split(text, "---\n")[1:] }
	var more []string
	for _, application := range applications(with) {
		if !slices.Contains(applications(before), application) {
			more = append(more, application)
		}
	}
	require.Len(t, applications(with), 4)
	require.Len(t, more, 1, "one Application more, and the others are as they were")
	assert.Contains(t, more[0], "name: erp-sandbox\n")
	assert.Contains(t, more[0], "namespace: erp-sandbox\n")
	assert.Contains(t, more[0], "arcodange-org/erp\n")
	assert.Contains(t, more[0], "- values-sandbox.yaml\n")
}

// The chart puts names together by itself, as charts have to: they are the table's.
func TestTheAppOfAppsYieldsTheSameNames(t *testing.T) {
	t.Parallel()
	table, err := naming.Shipped()
	require.NoError(t, err)
	apps, named := pairs(t, table, 1000)
	for n := range apps {
		if len(apps[n].Envs) == 0 {
			apps[n].Envs = []string{naming.Prod}
		}
	}
	out := helm(t, "apps-envs", map[string]any{"applications": apps})
	found := strings.Split(out, "---\n")[1:]
	require.Len(t, found, len(named))
	for n, one := range named {
		assert.Contains(t, found[n], fmt.Sprintf("metadata:\n  name: %s\n", one.Names["argocd_application"]))
		assert.Contains(t, found[n], fmt.Sprintf("    namespace: %s\n", one.Names["kubernetes_namespace"]))
		assert.Contains(t, found[n], "https://gitea.arcodange.lab/"+one.Names["gitea_repository"]+"\n")
	}
}
