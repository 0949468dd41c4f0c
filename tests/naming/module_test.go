// SPDX-License-Identifier: GPL-3.0-or-later

package naming

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/run"
)

var kit string // the target kit, built once

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "naming")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		kit = filepath.Join(dir, "target")
		if _, err := (run.Exec{}).Run(context.Background(), run.Cmd{Name: "go", Args: []string{"build", "-o", kit, "../../cmd/target"}}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// call runs app_env_name as the action plugin does.
func call(t *testing.T, args map[string]any) map[string]any {
	t.Helper()
	args["_kit_call"] = "app_env_name"
	data, err := json.Marshal(args)
	require.NoError(t, err)
	res, err := run.Exec{}.Run(t.Context(), run.Cmd{Name: kit, Args: []string{"-"}, Stdin: strings.NewReader(string(data))})
	var result map[string]any
	require.NoError(t, json.Unmarshal(res.Stdout, &result), "%s %v", res.Stdout, err)
	assert.Equal(t, false, result["changed"], "a pure module never changes anything")
	assert.Equal(t, result["failed"] == true, err != nil)
	return result
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "conventions.yml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestOneAppInOneEnv(t *testing.T) {
	t.Parallel()
	for _, check := range []bool{false, true} {
		result := call(t, map[string]any{"app": "erp", "env": "sandbox", "_ansible_check_mode": check})
		require.Nil(t, result["msg"])
		names := result["names"].(map[string]any)
		assert.Equal(t, "erp_sandbox_role", names["postgres_role"])
		assert.Len(t, names, 15)
		assert.Equal(t, []any{}, result["collisions"])
	}
	assert.Equal(t, map[string]any{"dns": "erp.arcodange.lab"}, call(t, map[string]any{"app": "erp", "systems": "dns"})["names"])
}

func TestAppsWithEnvs(t *testing.T) {
	t.Parallel()
	result := call(t, map[string]any{
		"apps":    []any{"cms", map[string]any{"name": "erp", "envs": []any{"prod", "sandbox"}}},
		"systems": []any{"postgres_database"},
	})
	require.Nil(t, result["msg"])
	assert.Equal(t, []any{
		map[string]any{"app": "cms", "env": "prod", "key": "cms", "names": map[string]any{"postgres_database": "cms"}},
		map[string]any{"app": "erp", "env": "prod", "key": "erp", "names": map[string]any{"postgres_database": "erp"}},
		map[string]any{"app": "erp", "env": "sandbox", "key": "erp-sandbox", "names": map[string]any{"postgres_database": "erp-sandbox"}},
	}, result["instances"])
}

func TestCollisionsFailAndAreReturned(t *testing.T) {
	t.Parallel()
	result := call(t, map[string]any{"apps": []any{"erp-sandbox", map[string]any{"name": "erp", "envs": []any{"sandbox"}}}, "systems": []any{"dns", "ci_jwt_role"}})
	assert.Equal(t, true, result["failed"])
	assert.Equal(t, []any{map[string]any{
		"name":   "erp-sandbox.arcodange.lab",
		"first":  map[string]any{"system": "dns", "app": "erp-sandbox", "env": "prod"},
		"second": map[string]any{"system": "dns", "app": "erp", "env": "sandbox"},
	}}, result["collisions"])
	assert.Contains(t, result["msg"], `both app "erp-sandbox" in env "prod" and app "erp" in env "sandbox"`)
}

func TestNamesThatMustNotHaveChanged(t *testing.T) {
	t.Parallel()
	apps := []any{map[string]any{"name": "erp", "envs": []any{"prod", "sandbox"}}}
	recorded := call(t, map[string]any{"apps": apps})["instances"]

	result := call(t, map[string]any{"apps": apps, "expect": recorded})
	require.Nil(t, result["msg"], "what was returned is what may be expected")
	assert.Equal(t, []any{}, result["differences"])

	conventions := file(t, "systems:\n  dns: {other: <app>.<env>.arcodange.lab}\nremove: [state_prefix]\n")
	result = call(t, map[string]any{"apps": apps, "expect": recorded, "conventions": conventions, "_ansible_diff": true})
	assert.Equal(t, true, result["failed"])
	assert.Contains(t, result["msg"], `dns of erp-sandbox was "erp-sandbox.arcodange.lab" and would be "erp.sandbox.arcodange.lab"`)
	assert.Contains(t, result["msg"], `state_prefix of erp was "erp/main" and no longer exists`)
	assert.Equal(t, map[string]any{
		"before": map[string]any{"dns of erp-sandbox": "erp-sandbox.arcodange.lab", "state_prefix of erp": "erp/main", "state_prefix of erp-sandbox": "erp-sandbox/main"},
		"after":  map[string]any{"dns of erp-sandbox": "erp.sandbox.arcodange.lab", "state_prefix of erp": nil, "state_prefix of erp-sandbox": nil},
	}, result["diff"])
	assert.Len(t, result["differences"], 3)

	result = call(t, map[string]any{"app": "cms", "expect": recorded})
	assert.Equal(t, true, result["failed"], "an instance that is no more has lost its names")
}

func TestInvalidArguments(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 64)
	tests := []struct {
		name string
		args map[string]any
		want string
	}{
		{"neither app nor apps", map[string]any{"env": "prod"}, "one of the following is required: app, apps"},
		{"both app and apps", map[string]any{"app": "erp", "apps": []any{"cms"}}, "mutually exclusive"},
		{"an env beside apps", map[string]any{"env": "sandbox", "apps": []any{"cms"}}, "mutually exclusive"},
		{"upper case", map[string]any{"app": "Erp"}, `has the capital 'E'`},
		{"an underscore", map[string]any{"app": "url_shortener"}, "has an underscore"},
		{"a leading digit", map[string]any{"app": "1erp"}, "begins with the digit"},
		{"a leading hyphen", map[string]any{"app": "-erp"}, "begins with a hyphen"},
		{"an empty app", map[string]any{"app": ""}, "is empty"},
		{"64 characters", map[string]any{"app": long}, "has 64 bytes"},
		{"a look-alike", map[string]any{"app": "еrp"}, "(U+0435)"},
		{"prod spelled Prod", map[string]any{"app": "erp", "env": "Prod"}, `write "prod"`},
		{"an empty env", map[string]any{"app": "erp", "env": ""}, `env "" is empty`},
		{"an env twice", map[string]any{"apps": []any{map[string]any{"name": "erp", "envs": []any{"sandbox", "sandbox"}}}}, `has the env "sandbox" twice`},
		{"an app twice", map[string]any{"apps": []any{"erp", "erp"}}, "is listed twice"},
		{"no envs", map[string]any{"apps": []any{map[string]any{"name": "erp", "envs": []any{}}}}, "envs is empty"},
		{"envs that are a text", map[string]any{"apps": []any{map[string]any{"name": "erp", "envs": "prod"}}}, "element 0 of apps: envs is a text"},
		{"an element without a name", map[string]any{"apps": []any{map[string]any{"envs": []any{"prod"}}}}, "name is missing"},
		{"an element with another key", map[string]any{"apps": []any{map[string]any{"name": "erp", "env": "prod"}}}, "env is a text"},
		{"an element that is a number", map[string]any{"apps": []any{7}}, "neither a text nor a mapping"},
		{"an unknown system", map[string]any{"app": "erp", "systems": []any{"mysql"}}, `unknown system "mysql"`},
		{"a conventions file that is not there", map[string]any{"app": "erp", "conventions": "/nonexistent/x.yml"}, "reading the conventions: open /nonexistent/x.yml"},
		{"a conventions file with an unknown system", map[string]any{"app": "erp", "conventions": file(t, "systems: {mysql: {prod: <app>}}")}, `unknown system "mysql"`},
		{"a conventions file without the env", map[string]any{"app": "erp", "conventions": file(t, "systems: {dns: {other: <app>.x}}")}, "lacks <env>"},
		{"an expectation without names", map[string]any{"app": "erp", "expect": []any{map[string]any{"app": "erp", "names": map[string]any{}}}}, "has no names"},
		{"an unknown argument", map[string]any{"app": "erp", "enviroment": "prod"}, "enviroment"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			result := call(t, test.args)
			assert.Equal(t, true, result["failed"])
			assert.Contains(t, result["msg"], test.want)
			assert.NotContains(t, result["msg"], "\n")
		})
	}
}

// tenThousand asks for the names of 10,000 instances in all systems.
func tenThousand(t testing.TB) string {
	t.Helper()
	apps := make([]any, 5000)
	for i := range apps {
		apps[i] = map[string]any{"name": fmt.Sprintf("app-%04d", i), "envs": []string{"prod", "sandbox"}}
	}
	data, err := json.Marshal(map[string]any{"_kit_call": "app_env_name", "apps": apps})
	require.NoError(t, err)
	return string(data)
}

func TestTenThousandInstancesInOneCall(t *testing.T) {
	t.Parallel()
	res, err := run.Exec{}.Run(t.Context(), run.Cmd{Name: kit, Args: []string{"-"}, Stdin: strings.NewReader(tenThousand(t))})
	require.NoError(t, err)
	assert.Equal(t, 10000, strings.Count(string(res.Stdout), `"postgres_role":`))
}

// The process and its JSON included: what a task pays.
func BenchmarkTenThousandInstances(b *testing.B) {
	question := tenThousand(b)
	for b.Loop() {
		_, err := run.Exec{}.Run(b.Context(), run.Cmd{Name: kit, Args: []string{"-"}, Stdin: strings.NewReader(question)})
		require.NoError(b, err)
	}
}

// A filter asks line by line; one process answers.
func TestManyCallsOfOneProcess(t *testing.T) {
	t.Parallel()
	var in strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&in, `{"_kit_call":"app_env_name","app":"app-%d","env":"sandbox","systems":["postgres_role"]}`+"\n", i)
		if i == 500 {
			in.WriteString("no JSON\n\n" + `{"_kit_call":"app_env_name","app":"Erp"}` + "\n")
		}
	}
	res, err := run.Exec{}.Run(t.Context(), run.Cmd{Name: kit, Args: []string{"--lines"}, Stdin: strings.NewReader(in.String())})
	require.NoError(t, err)
	lines := bufio.NewScanner(strings.NewReader(string(res.Stdout)))
	good, bad := 0, 0
	for lines.Scan() {
		var result map[string]any
		require.NoError(t, json.Unmarshal(lines.Bytes(), &result))
		if result["failed"] == true {
			bad++
			continue
		}
		assert.Equal(t, fmt.Sprintf("app-%d_sandbox_role", good), result["names"].(map[string]any)["postgres_role"])
		good++
	}
	assert.Equal(t, 1000, good)
	assert.Equal(t, 2, bad)
}
