// SPDX-License-Identifier: GPL-3.0-or-later

//go:build tofu

package tofuplan

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/evidence"
	kit "github.com/arcodange-org/sandbox/internal/gate"
	gate "github.com/arcodange-org/sandbox/internal/gate/plan"
	"github.com/arcodange-org/sandbox/internal/run"
)

// secret stands in variables, attributes and outputs that are sensitive.
const secret = "correct-horse-battery"

// world is a root module, its state, and what the boundary says of the places.
type world struct {
	t    *testing.T
	dir  string
	gate gate.Gate
	opts gate.Options
}

const (
	openTofu  = "OpenTofu"
	terraform = "Terraform"
)

// program is the pinned one of a product.
func program(t *testing.T, product string) string {
	t.Helper()
	variable := map[string]string{openTofu: "SANDBOX_TOFU", terraform: "SANDBOX_TERRAFORM"}[product]
	path := os.Getenv(variable)
	require.NotEmpty(t, path, "set %s to the pinned %s; `make test-tofuplan` does", variable, product)
	return path
}

func build(t *testing.T) *world {
	t.Helper()
	return buildFor(t, openTofu)
}

func buildFor(t *testing.T, product string) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, dir: dir}
	w.gate = gate.Gate{Runner: run.Exec{}, Binary: program(t, product), Env: []string{"PATH=" + os.Getenv("PATH")}, Work: filepath.Join(dir, "work")}
	w.opts = gate.Options{
		Root: filepath.Join(dir, "root"), Override: filepath.Join(dir, "override.tf"), LockTimeout: 1,
		NoChanges: true,
	}
	w.manifest("local", dir+"/sandbox/*")
	w.write("override.tf", w.backend("sandbox/default.tfstate"))
	return w
}

// manifest says where states of the sandbox lie.
func (w *world) manifest(backend, location string) {
	w.t.Helper()
	manifest, err := boundary.Parse("boundary.yml", fmt.Appendf(nil, `
production:
  addresses: [192.0.2.1]
  tofu_state: [{backend: local, locations: ['%[1]s/production/*']}, {backend: gcs, locations: [prod-tf/*]}]
  dns_zones: [{name: example.com}]
sandbox:
  addresses: [127.0.0.0/8]
  tofu_state: [{backend: %[2]s, locations: ['%[3]s']}]
  git: ['%[1]s/forge/*']
  dns_zones: [{name: throwaway.example.net}]
`, w.dir, backend, location))
	require.NoError(w.t, err)
	w.opts.Boundary = boundary.Checker{Manifest: manifest}
}

func (w *world) backend(path string) string {
	return fmt.Sprintf("terraform {\n  backend \"local\" {\n    path = %q\n  }\n}\n", filepath.Join(w.dir, path))
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	require.NoError(w.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(w.t, os.WriteFile(path, []byte(text), 0o644))
}

// apply makes the state that the judged root is held against.
func (w *world) apply(config string) {
	w.t.Helper()
	w.write("applied/main.tf", config)
	w.write("applied/backend.tf", w.backend("sandbox/default.tfstate"))
	for _, args := range [][]string{{"init", "-input=false", "-no-color"}, {"apply", "-input=false", "-no-color", "-auto-approve"}} {
		res, err := run.Exec{}.Run(w.t.Context(), run.Cmd{
			Name: w.gate.Binary, Args: args, Dir: filepath.Join(w.dir, "applied"),
			Env: append(slices.Clone(w.gate.Env), "TF_CLI_CONFIG_FILE=/dev/null", "CHECKPOINT_DISABLE=1"),
		})
		require.NoError(w.t, err, string(res.Stdout)+string(res.Stderr))
	}
}

// wrap puts a script in the program's place; it has the real one as $TOFU.
func (w *world) wrap(script string) {
	w.write("wrapper", "#!/bin/sh\nTOFU="+run.Quote(w.gate.Binary)+"\n"+script+"\n")
	w.gate.Binary = filepath.Join(w.dir, "wrapper")
	require.NoError(w.t, os.Chmod(w.gate.Binary, 0o755))
}

func (w *world) judge() gate.Report {
	w.t.Helper()
	report, err := w.gate.Evaluate(w.t.Context(), w.opts)
	require.NoError(w.t, err)
	data, err := json.Marshal(report)
	require.NoError(w.t, err)
	assert.NotContains(w.t, string(data), secret)
	left, err := os.ReadDir(w.gate.Work)
	if !os.IsNotExist(err) {
		require.NoError(w.t, err)
		assert.Empty(w.t, left, "nothing private is left behind")
	}
	return report
}

// link puts a link in a file's place.
func (w *world) link(name, target string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	require.NoError(w.t, os.MkdirAll(filepath.Dir(path), 0o755))
	if err := os.Remove(path); !os.IsNotExist(err) {
		require.NoError(w.t, err)
	}
	require.NoError(w.t, os.Symlink(target, path))
}

func rules(r gate.Report) []string {
	var out []string
	for _, f := range r.Findings {
		if !slices.Contains(out, f.Rule) {
			out = append(out, f.Rule)
		}
	}
	return out
}

const one = `resource "terraform_data" "a" {
  input = "one"
}
output "a" {
  value = terraform_data.a.input
}
`

const guarded = `variable "pw" {
  sensitive = true
  default   = "correct-horse-battery"
}
resource "terraform_data" "a" {
  input = var.pw
}
output "pw" {
  value     = var.pw
  sensitive = true
}
`

func changes(w *world) { w.opts.NoChanges = false }

func allow(address, action string) func(*world) {
	return func(w *world) {
		w.opts.Waivers = append(w.opts.Waivers, kit.Waiver{Rule: action, Resource: address, Reason: "meant", Expires: time.Now().Format(time.DateOnly)})
	}
}

// store serves a state by HTTP, empty at first.
func store(w *world, locks bool) string {
	locked := 0
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		switch in.Method {
		case "LOCK":
			locked++
		case http.MethodGet:
			out.WriteHeader(http.StatusNotFound)
		}
	}))
	w.t.Cleanup(func() {
		server.Close()
		assert.Equal(w.t, locks, locked > 0, "a plan locks the state where it can")
	})
	w.manifest("http", server.URL+"/*")
	settings := fmt.Sprintf("address = %q\n", server.URL+"/state")
	if locks {
		settings += fmt.Sprintf("lock_address = %[1]q\nunlock_address = %[1]q\n", server.URL+"/lock")
	}
	return "terraform {\n  backend \"http\" {\n" + settings + "  }\n}\n"
}

// hold locks the state as the program does; the lock lasts as long as this process, or until the test has ended.
func hold(w *world) {
	file, err := os.OpenFile(filepath.Join(w.dir, "sandbox/default.tfstate"), os.O_RDWR, 0)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = file.Close() })
	require.NoError(w.t, syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK}))
}

func do(steps ...func(*world)) func(*world) {
	return func(w *world) {
		for _, step := range steps {
			step(w)
		}
	}
}

func files(pairs ...string) func(*world) {
	return func(w *world) {
		for n := 0; n < len(pairs); n += 2 {
			w.write(pairs[n], pairs[n+1])
		}
	}
}

func TestEachSeededDefectIsRedForItsRuleAndNoOther(t *testing.T) {
	t.Parallel()
	defects := map[string]struct {
		applied, config string
		seed            func(*world)
		rule            string
	}{
		"an attribute would change though nothing may": {one, strings.Replace(one, `value = terraform_data.a.input`, `value = "one"`, 1) + "resource \"terraform_data\" \"b\" {}\n", nil, "changed"},
		"only an output would change":                  {one, strings.Replace(one, "terraform_data.a.input", `"other"`, 1), nil, "output"},
		"an output is new":                             {one, one + "output \"b\" {\n  value = 1\n}\n", nil, "output"},
		"a resource moved": {one, strings.ReplaceAll(one, "\"a\" {\n  input", "\"b\" {\n  input") + "moved {\n  from = terraform_data.a\n  to   = terraform_data.b\n}\n", func(w *world) {
			w.write("root/main.tf", strings.Replace(w.read("root/main.tf"), "terraform_data.a.input", "terraform_data.b.input", 1))
		}, "moved"},
		"a resource would be deleted":                         {one + "resource \"terraform_data\" \"b\" {}\n", one + "resource \"terraform_data\" \"c\" {}\n", changes, "delete"},
		"a deletion is listed for another address":            {one + "resource \"terraform_data\" \"b\" {}\n", one, do(changes, allow("terraform_data.bb", "delete")), "delete"},
		"a deletion is listed as a replacement":               {one + "resource \"terraform_data\" \"b\" {}\n", one, do(changes, allow("terraform_data.b", "replace")), "delete"},
		"one of several instances would be deleted":           {"resource \"terraform_data\" \"a\" {\n  count = 2\n}\n", "resource \"terraform_data\" \"a\" {\n  count = 1\n}\n", do(changes, allow("terraform_data.a[0]", "delete")), "delete"},
		"a resource would be replaced":                        {"resource \"terraform_data\" \"a\" {\n  triggers_replace = 1\n}\n", "resource \"terraform_data\" \"a\" {\n  triggers_replace = 2\n}\n", changes, "replace"},
		"a replacement creates before it deletes":             {"resource \"terraform_data\" \"a\" {\n  triggers_replace = 1\n}\n", "resource \"terraform_data\" \"a\" {\n  triggers_replace = 2\n  lifecycle {\n    create_before_destroy = true\n  }\n}\n", changes, "replace"},
		"a resource would be forgotten":                       {one + "resource \"terraform_data\" \"b\" {}\n", one + "removed {\n  from = terraform_data.b\n}\n", changes, "forget"},
		"nothing would change though something must":          {one, one, changes, "no_change"},
		"the root is empty":                                   {"", "terraform {}\n", nil, "nothing_planned"},
		"the state is production's":                           {one, one, func(w *world) { w.write("override.tf", w.backend("production/default.tfstate")) }, "production_state"},
		"production's backend is not overridden":              {one, one, do(files("root/backend.tf", "terraform {\n  backend \"gcs\" {\n    bucket = \"prod-tf\"\n    prefix = \"x\"\n  }\n}\n"), func(w *world) { w.opts.Override = "" }), "production_state"},
		"the state is in a place that the manifest knows not": {one, one, func(w *world) { w.write("override.tf", w.backend("elsewhere/default.tfstate")) }, "unknown_state"},
		"the state leads up out of the sandbox":               {one, one, func(w *world) { w.write("override.tf", w.backend("sandbox/../elsewhere/x")) }, "unknown_state"},
		"the state is a link to production's": {one, one, func(w *world) {
			w.write("production/default.tfstate", w.read("sandbox/default.tfstate"))
			w.link("sandbox/default.tfstate", "../production/default.tfstate")
		}, "production_state"},
		"the state lies in a linked folder": {one, one, func(w *world) {
			w.write("production/default.tfstate", w.read("sandbox/default.tfstate"))
			w.link("sandbox/linked", w.dir+"/production")
			w.write("override.tf", w.backend("sandbox/linked/default.tfstate"))
		}, "production_state"},
		"the state leads up behind a link": {one, one, func(w *world) {
			w.write("production/deep/x", "")
			w.link("sandbox/linked", w.dir+"/production/deep")
			w.write("override.tf", "terraform {\n  backend \"local\" {\n    path = \""+w.dir+"/sandbox/linked/../default.tfstate\"\n  }\n}\n")
		}, "production_state"},
		"the state is a link to somewhere else": {one, one, func(w *world) {
			w.link("sandbox/default.tfstate", w.dir+"/elsewhere/default.tfstate")
		}, "unknown_state"},
		"the query of the address names another state": {one, one, func(w *world) {
			w.manifest("http", "http://127.0.0.1:9/api?ws=sandbox")
			w.write("override.tf", "terraform {\n  backend \"http\" {\n    address        = \"http://127.0.0.1:9/api?ws=production\"\n    lock_address   = \"http://127.0.0.1:9/lock\"\n    unlock_address = \"http://127.0.0.1:9/lock\"\n  }\n}\n")
		}, "unknown_state"},
		"the state's path is relative":                         {one, one, func(w *world) { w.opts.Override = "" }, "unknown_state"},
		"the backend is of an unknown type":                    {one, one, files("override.tf", "terraform {\n  backend \"ftp\" {}\n}\n"), "unknown_state"},
		"the backend keeps its state in memory":                {one, one, files("override.tf", "terraform {\n  backend \"inmem\" {}\n}\n"), "unknown_state"},
		"the backend's settings are left to the command line":  {one, one, files("override.tf", "terraform {\n  backend \"gcs\" {}\n}\n"), "unknown_state"},
		"a remote state of production is read":                 {one, one + "data \"terraform_remote_state\" \"p\" {\n  backend = \"gcs\"\n  config = {\n    bucket = \"prod-tf\"\n    prefix = \"x\"\n  }\n}\n", nil, "production_state"},
		"a provider leads to production":                       {one, one + "provider \"postgresql\" {\n  host = \"192.0.2.1\"\n}\n", nil, "boundary"},
		"production's credential is given":                     {one, one, func(w *world) { w.opts.Environment = map[string]string{"CLOUDFLARE_API_TOKEN": secret} }, "boundary"},
		"the environment narrows the plan":                     {one, one, func(w *world) { w.gate.Env = append(w.gate.Env, "TF_CLI_ARGS_plan=-target=terraform_data.a") }, "targeted"},
		"the environment switches refreshing off":              {one, one, func(w *world) { w.gate.Env = append(w.gate.Env, "TF_CLI_ARGS=-refresh=false") }, "unrefreshed"},
		"the environment switches the lock off, in quotes":     {one, one, func(w *world) { w.gate.Env = append(w.gate.Env, `TF_CLI_ARGS_plan="-lock"=false`) }, "unlocked"},
		"the environment adds something else":                  {one, one, func(w *world) { w.gate.Env = append(w.gate.Env, "TF_CLI_ARGS_init=-upgrade") }, "argument"},
		"the given environment sets a variable of the program": {one, one, func(w *world) { w.opts.Environment = map[string]string{"TF_WORKSPACE": "production"} }, "argument"},
		"an argument narrows the plan":                         {one, one, func(w *world) { w.opts.Arguments = []string{"--exclude=terraform_data.a"} }, "targeted"},
		"an argument switches refreshing off":                  {one, one, func(w *world) { w.opts.Arguments = []string{"-refresh=f"} }, "unrefreshed"},
		"an argument switches the lock off":                    {one, one, func(w *world) { w.opts.Arguments = []string{"-lock=0"} }, "unlocked"},
		"an argument plans another thing":                      {one, one, func(w *world) { w.opts.Arguments = []string{"-destroy"} }, "argument"},
		"an argument replaces the state":                       {one, one, func(w *world) { w.opts.Arguments = []string{"-state=/x"} }, "argument"},
		"the CLI configuration replaces providers":             {one, one, do(files("cli", "provider_installation {\n  dev_overrides {\n    \"a/b\" = \"/x\"\n  }\n  direct {}\n}\n"), func(w *world) { w.opts.CLIConfig = filepath.Join(w.dir, "cli") }), "cli_config"},
		"the CLI configuration holds a credential":             {one, one, do(files("cli", "credentials \"app.example.com\" {\n  token = \"correct-horse-battery\"\n}\n"), func(w *world) { w.opts.CLIConfig = filepath.Join(w.dir, "cli") }), "cli_config"},
		"the program narrows the plan by itself": {one + "resource \"terraform_data\" \"b\" {}\n", one + "resource \"terraform_data\" \"b\" {}\n", func(w *world) {
			w.wrap(`if [ "$1" = plan ]; then exec "$TOFU" "$@" -target=terraform_data.a; fi; exec "$TOFU" "$@"`)
		}, "targeted"},
		"the program does not refresh": {one, one, func(w *world) {
			w.wrap(`if [ "$1" = plan ]; then exec "$TOFU" "$@" -refresh=false; fi; exec "$TOFU" "$@"`)
		}, "unrefreshed"},
		"the state moves on after the plan": {one, one, func(w *world) {
			w.wrap(`[ "$1" != show ] || sed -i 's/"serial": [0-9]*/"serial": 99/' "` + w.dir + `/sandbox/default.tfstate"; exec "$TOFU" "$@"`)
		}, "stale"},
		"another state lies there after the plan": {one, one, func(w *world) {
			w.wrap(`[ "$1" != show ] || sed -i 's/"lineage": ".*"/"lineage": "other"/' "` + w.dir + `/sandbox/default.tfstate"; exec "$TOFU" "$@"`)
		}, "stale"},
		"the state vanishes after the plan": {one, one, func(w *world) {
			w.wrap(`[ "$1" != show ] || rm "` + w.dir + `/sandbox/default.tfstate"; exec "$TOFU" "$@"`)
		}, "stale"},
		"the state is locked by another": {one, one, hold, "errored"},
		"the program reads another state than the root says": {one, one, func(w *world) {
			w.wrap(`if [ "$1" = init ]; then exec "$TOFU" "$@" -backend-config="path=` + w.dir + `/production/default.tfstate"; fi; exec "$TOFU" "$@"`)
		}, "production_state"},
		"the backend locks nothing":       {"", one, do(changes, func(w *world) { w.write("override.tf", store(w, false)) }), "unlocked"},
		"a check fails":                   {one, one + "check \"c\" {\n  assert {\n    condition     = terraform_data.a.input == \"two\"\n    error_message = \"wrong: correct-horse-battery\"\n  }\n}\n", nil, "check"},
		"a condition of a resource fails": {one, strings.Replace(one, "input = \"one\"\n", "input = \"one\"\n  lifecycle {\n    precondition {\n      condition     = 1 == 2\n      error_message = \"wrong: correct-horse-battery\"\n    }\n  }\n", 1), nil, "errored"},
		"the configuration is invalid":    {one, one + "output \"b\" {\n  value = var.nowhere\n}\n", nil, "errored"},
		"a variable has no value":         {one, one + "variable \"x\" {}\n", nil, "errored"},
		"a secret changes":                {guarded, strings.Replace(guarded, "input = var.pw", "input = \"${var.pw}2\"", 1), nil, "changed"},
		"an error quotes a secret":        {guarded, guarded + "resource \"terraform_data\" \"b\" {\n  count = nonsensitive(var.pw)\n}\n", nil, "errored"},
	}
	require.GreaterOrEqual(t, len(defects), 55, "defects were removed: they may no longer be found")
	for name, c := range defects {
		for _, product := range planners(c.config) {
			t.Run(product+", "+name, func(t *testing.T) {
				t.Parallel()
				w := buildFor(t, product)
				if c.applied != "" {
					w.apply(c.applied)
				}
				w.write("root/main.tf", c.config)
				if c.seed != nil {
					c.seed(w)
				}
				report := w.judge()
				assert.Equal(t, evidence.Red, report.Verdict)
				expected := []string{c.rule}
				if len(w.opts.Waivers) > 0 {
					expected = append(expected, "unused_waiver")
				}
				assert.Equal(t, expected, rules(report), report.Summary())
			})
		}
	}
}

// planners are the products that know what a configuration is written in.
func planners(config string) []string {
	if strings.Contains(config, "removed {") { // Terraform since 1.7
		return []string{openTofu}
	}
	return []string{openTofu, terraform}
}

func (w *world) read(name string) string {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, name))
	require.NoError(w.t, err)
	return string(data)
}

func TestValidRootsAreGreen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		applied, config string
		seed            func(*world)
	}{
		"nothing changed":                                 {one, one, nil},
		"nothing changed, and much is secret":             {guarded, guarded, nil},
		"only comments and their places changed":          {one, "# Said otherwise.\n" + one, nil},
		"production's backend is overridden":              {one, "terraform {\n  backend \"gcs\" {\n    bucket = \"prod-tf\"\n    prefix = \"x\"\n  }\n}\n" + one, nil},
		"something is new where changes are expected":     {one, one + "resource \"terraform_data\" \"b\" {}\n", changes},
		"an attribute changes where changes are expected": {one, strings.Replace(one, `"one"`, `"two"`, 1), changes},
		"a deletion that is listed":                       {one + "resource \"terraform_data\" \"b\" {}\n", one, do(changes, allow("terraform_data.b", "delete"))},
		"a replacement that is listed":                    {"resource \"terraform_data\" \"a\" {\n  triggers_replace = 1\n}\n", "resource \"terraform_data\" \"a\" {\n  triggers_replace = 2\n}\n", do(changes, allow("terraform_data.a", "replace"))},
		"a forgetting that is listed":                     {one + "resource \"terraform_data\" \"b\" {}\n", one + "removed {\n  from = terraform_data.b\n}\n", do(changes, allow("terraform_data.b", "forget"))},
		"a check passes":                                  {one, one + "check \"c\" {\n  assert {\n    condition     = terraform_data.a.input == \"one\"\n    error_message = \"wrong\"\n  }\n}\n", nil},
		"the first plan of a state that is not there yet": {"", one, changes},
		"the backend comes from a file": {one, "terraform {\n  backend \"local\" {}\n}\n" + one, func(w *world) {
			w.opts.Override = ""
			w.write("backend.hcl", fmt.Sprintf("path = %q\n", filepath.Join(w.dir, "sandbox/default.tfstate")))
			w.opts.BackendConfigs = []string{filepath.Join(w.dir, "backend.hcl")}
		}},
		"a backend across the network, which locks": {"", one, do(changes, func(w *world) { w.write("override.tf", store(w, true)) })},
		"a module beside the root":                  {"", "module \"m\" {\n  source = \"../modules/m\"\n}\n", do(changes, files("modules/m/main.tf", one))},
		"a variable is given":                       {guarded, strings.Replace(guarded, `  default   = "correct-horse-battery"`+"\n", "", 1), func(w *world) { w.opts.Variables = map[string]any{"pw": secret} }},
		"production's variables are at hand": {guarded, guarded, func(w *world) {
			w.gate.Env = append(w.gate.Env, "TF_VAR_pw=other", "TF_WORKSPACE=production", "AWS_PROFILE=production", "TF_DATA_DIR=/nowhere")
		}},
	} {
		for _, product := range planners(c.config) {
			t.Run(product+", "+name, func(t *testing.T) {
				t.Parallel()
				w := buildFor(t, product)
				if c.applied != "" {
					w.apply(c.applied)
				}
				w.write("root/main.tf", c.config)
				if c.seed != nil {
					c.seed(w)
				}
				before := tree(t, w.opts.Root)
				report := w.judge()
				assert.Equal(t, evidence.Green, report.Verdict, report.Summary())
				assert.Empty(t, report.Findings)
				assert.Equal(t, before, tree(t, w.opts.Root), "the user's tree is left alone")
				assert.Equal(t, product, report.Product)
			})
		}
	}
}

func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			all[path] = "folder"
			return err
		}
		data, err := os.ReadFile(path)
		all[path] = string(data)
		return err
	}))
	return all
}

func TestWhatIsRefusedBeforehandNeverStarts(t *testing.T) {
	t.Parallel()
	for name, seed := range map[string]func(*world){
		"production's state": func(w *world) { w.write("override.tf", w.backend("production/default.tfstate")) },
		"a link to production's state": func(w *world) {
			w.write("production/default.tfstate", "{}")
			w.link("sandbox/default.tfstate", "../production/default.tfstate")
		},
		"an unknown state":    func(w *world) { w.write("override.tf", w.backend("elsewhere/default.tfstate")) },
		"an argument":         func(w *world) { w.opts.Arguments = []string{"-lock=false"} },
		"a smuggled argument": func(w *world) { w.gate.Env = append(w.gate.Env, "TF_CLI_ARGS=-lock=false") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := build(t)
			w.write("root/main.tf", one)
			w.wrap(`if [ "$1" != version ]; then touch "` + w.dir + `/started"; fi; exec "$TOFU" "$@"`)
			seed(w)
			assert.Equal(t, evidence.Red, w.judge().Verdict)
			assert.NoFileExists(t, filepath.Join(w.dir, "started"))
		})
	}
}

func TestABackendThatCannotBeTakenOutIsNotOverridden(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"root/zz_backend_override.tofu": "terraform {}\n", // OpenTofu would read it in the override's place
		"root/backend.tf.json":          `{"terr\u0061form": {"backend": {"gcs": {"bucket": "prod-tf"}}}}`,
		"root/broken.tf.json":           `{"terr`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := build(t)
			w.write("root/main.tf", one)
			w.write(name, text)
			_, err := w.gate.Evaluate(t.Context(), w.opts)
			require.ErrorContains(t, err, "overriding the backend")
			require.ErrorContains(t, err, filepath.Base(name))
		})
	}
}

func TestTwoGatesAtOnceOnOneStateWaitForEachOther(t *testing.T) {
	t.Parallel()
	w := build(t)
	w.apply(one)
	w.write("root/main.tf", one)
	w.opts.LockTimeout = 60
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			report, err := w.gate.Evaluate(t.Context(), w.opts)
			assert.NoError(t, err)
			assert.Equal(t, evidence.Green, report.Verdict, report.Summary())
		})
	}
	all.Wait()
	w.judge() // asserts that nothing is left
}

func TestAModuleThatIsFetchedIsCheckedBeforeItIsPlanned(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		module  string
		verdict evidence.Verdict
	}{
		"a valid one":                    {one, evidence.Green},
		"one that runs a program":        {"data \"external\" \"x\" {\n  program = [\"sh\", \"-c\", \"touch DIR/started\"]\n}\n", evidence.Red},
		"one that reads a state":         {"data \"terraform_remote_state\" \"p\" {\n  backend = \"local\"\n  config  = { path = \"DIR/production/x\" }\n}\n", evidence.Red},
		"one with a provider of its own": {one + "provider \"vault\" {\n  address = \"https://192.0.2.1\"\n}\n", evidence.Red},
	} {
		for _, product := range planners(c.module) {
			t.Run(product+", "+name, func(t *testing.T) {
				t.Parallel()
				w := buildFor(t, product)
				changes(w)
				w.write("forge/m/main.tf", strings.ReplaceAll(c.module, "DIR", w.dir))
				for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "m"}} {
					cmd := exec.Command("git", args...)
					cmd.Dir = filepath.Join(w.dir, "forge/m")
					cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull)
					out, err := cmd.CombinedOutput()
					require.NoError(t, err, string(out))
				}
				w.write("root/main.tf", fmt.Sprintf("module \"m\" {\n  source = \"git::file://%s/forge/m\"\n}\n", w.dir))
				w.wrap(`if [ "$1" = plan ]; then touch "` + w.dir + `/planned"; fi; exec "$TOFU" "$@"`)
				report := w.judge()
				assert.Equal(t, c.verdict, report.Verdict, report.Summary())
				assert.NoFileExists(t, filepath.Join(w.dir, "started"))
				if name == "one that reads a state" { // the others' providers cannot be had here, which is red before
					assert.Equal(t, []string{"boundary"}, rules(report), report.Summary())
				}
				if c.verdict == evidence.Red {
					assert.NoFileExists(t, filepath.Join(w.dir, "planned"))
				}
			})
		}
	}
}

func TestTimeRunsOut(t *testing.T) {
	t.Parallel()
	w := build(t)
	w.write("root/main.tf", one)
	w.wrap(`if [ "$1" = plan ]; then exec sleep 60; fi; exec "$TOFU" "$@"`)
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	report, err := w.gate.Evaluate(ctx, w.opts)
	require.NoError(t, err)
	assert.Equal(t, []string{"incomplete"}, rules(report))
}

func TestThePlanFileIsPrivateAndAKilledRunsIsRemovedByTheNext(t *testing.T) {
	t.Parallel()
	w := build(t)
	w.apply(guarded)
	w.write("root/main.tf", guarded)
	w.wrap(`"$TOFU" "$@"; code=$?; for a in "$@"; do case $a in -out=*) stat -c %a "${a#-out=}" >"` + w.dir + `/mode"; stat -c %s "${a#-out=}" >"` + w.dir + `/size";; esac; done; exit $code`)
	// What a process leaves that was killed: a copy with a plan, and an unlocked lock file.
	w.write("work/plan-1-1/plan", secret)
	w.write("work/plan-1-1.lock", "process 1\n")
	report := w.judge() // asserts that nothing is left
	assert.Equal(t, evidence.Green, report.Verdict, report.Summary())
	assert.Equal(t, "600\n", w.read("mode"))
	assert.NotEqual(t, "0\n", w.read("size"))
}
