// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// child makes the test binary a module binary, so that signals and the real stdout can be tested.
const child = "ANSIBLE_PROTOCOL_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		os.Exit(Main(os.Args, childModules()...))
	}
	os.Exit(m.Run())
}

func childModules() []Module {
	secret := Spec{Options: map[string]Option{"password": {NoLog: true}, "file": {Type: Path}}}
	started := func(c *Call) error {
		var args struct {
			File string `arg:"file"`
		}
		if err := c.Bind(&args); err != nil {
			return err
		}
		return os.WriteFile(args.File, nil, 0o600)
	}
	return []Module{
		{Name: "chatty", Spec: secret, Run: func(_ context.Context, c *Call) error {
			fmt.Println(`{"failed": false, "changed": true, "fake": 1}`)
			fmt.Fprintln(os.Stderr, "the password is", c.Arg("password"))
			fmt.Printf("no line end: %s", c.Arg("password"))
			out, err := exec.Command("sh", "-c", "echo from a child").Output()
			c.Return("child", strings.TrimSpace(string(out)))
			return err
		}},
		{Name: "slow", Spec: secret, Run: func(ctx context.Context, c *Call) error {
			c.Differ("started", false, true)
			if err := started(c); err != nil {
				return err
			}
			<-ctx.Done()
			return fmt.Errorf("cleaning up: %w", context.Cause(ctx))
		}},
		{Name: "deaf", Spec: secret, Run: func(_ context.Context, c *Call) error {
			if err := started(c); err != nil {
				return err
			}
			time.Sleep(time.Minute)
			return nil
		}},
	}
}

// object reads the one line that a module may print.
func object(t *testing.T, out []byte) map[string]any {
	t.Helper()
	require.Equal(t, 1, bytes.Count(out, []byte("\n")), "exactly one line: %s", out)
	var result map[string]any
	require.NoError(t, json.Unmarshal(out, &result), "%s", out)
	return result
}

// play runs one module in this process.
func play(t *testing.T, m Module, args string) (result map[string]any, code int) {
	t.Helper()
	var out, log bytes.Buffer
	p := process{stdin: strings.NewReader(args), stdout: &out, stderr: &log, modules: []Module{m}, grace: 50 * time.Millisecond}
	code = p.main(t.Context(), []string{prefix + m.Name, "-"})
	assert.Empty(t, log.String())
	return object(t, out.Bytes()), code
}

func does(run func(ctx context.Context, c *Call) error) Module {
	return Module{Name: "thing", CheckMode: true, Run: run, Spec: Spec{Options: map[string]Option{
		"name": {}, "count": {Type: Int}, "password": {NoLog: true},
	}}}
}

func nothing(context.Context, *Call) error { return nil }

func TestWhatIsNotAnArgumentsFileFailsWithAClearMessage(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"name":`, 2000) + "1" + strings.Repeat("}", 2000)
	for name, c := range map[string]struct{ args, message string }{
		"an empty file":                     {"", "it is empty"},
		"blanks only":                       {" \n", "it is empty"},
		"a list":                            {"[]", "it is a list, not a JSON object"},
		"a string":                          {`"x"`, "it is a string, not a JSON object"},
		"null":                              {"null", "it is null, not a JSON object"},
		"half an object":                    {`{"name": "x"`, "ends too early"},
		"a second object":                   {"{}\n{}", "there is more after the JSON value"},
		"junk behind the object":            {"{} x", "there is more after the JSON value"},
		"a broken line":                     {"{\n  \"name\": x\n}", "line 2 column 11"},
		"a key given twice":                 {`{"name": "x", "name": "y"}`, `the key "name" is given twice`},
		"a key given twice, deeper":         {`{"name": {"a": 1, "a": 2}}`, `the key "a" is given twice`},
		"bytes that are not UTF-8":          {"{\"name\": \"\xff\"}", "it is not UTF-8"},
		"half of a surrogate pair":          {`{"name": "\ud800x"}`, "surrogate"},
		"a number beyond a float":           {`{"name": 1e999}`, "a number beyond"},
		"Python's NaN":                      {`{"name": NaN}`, "it is not JSON from line 1"},
		"an integer without end":            {`{"name": ` + strings.Repeat("9", 5000) + `}`, "more than 4300 digits"},
		"nesting without end":               {deep, "more than 512 levels"},
		"check mode that is no boolean":     {`{"_ansible_check_mode": "perhaps"}`, "_ansible_check_mode is a string, not a boolean"},
		"a module name that is not a text":  {`{"_kit_call": 1}`, "_kit_call is a number, not the name of a module"},
		"a module that is not in here":      {`{"_kit_call": "other"}`, `no module "other" in this binary; it has: thing`},
		"a wrong type":                      {`{"count": "many"}`, `argument count: "many" cannot be read as int; give a whole number`},
		"an unknown argument":               {`{"nme": 1, "zzz": 2}`, "Unsupported parameters for (thing) module: nme, zzz. Supported parameters include: count, name, password."},
		"ANSIBLE_MODULE_ARGS around it all": {`{"ANSIBLE_MODULE_ARGS": {}}`, "Unsupported parameters"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, code := play(t, does(nothing), c.args)
			assert.Equal(t, 1, code)
			assert.Equal(t, true, result["failed"])
			assert.Equal(t, false, result["changed"])
			assert.Contains(t, result["msg"], c.message)
			assert.NotContains(t, result["msg"], "\n")
		})
	}
}

func TestAFileOfArgumentsThatIsMissingOrTooLargeFails(t *testing.T) {
	t.Parallel()
	large := filepath.Join(t.TempDir(), "large")
	file, err := os.Create(large)
	require.NoError(t, err)
	require.NoError(t, file.Truncate(maxInput+1))
	require.NoError(t, file.Close())
	for name, c := range map[string]struct {
		argv    []string
		message string
	}{
		"missing":       {[]string{"thing", filepath.Join(t.TempDir(), "none")}, "no such file"},
		"a directory":   {[]string{"thing", t.TempDir()}, "is a directory"},
		"too large":     {[]string{"thing", large}, "larger than 64 MiB"},
		"not given":     {[]string{"thing"}, "give it one file of arguments"},
		"two given":     {[]string{"thing", "a", "b"}, "give it one file of arguments"},
		"nothing given": {nil, "give it one file of arguments"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			p := process{stdout: &out, stderr: io.Discard, modules: []Module{does(nothing)}}
			assert.Equal(t, 1, p.main(t.Context(), c.argv))
			result := object(t, out.Bytes())
			assert.Equal(t, true, result["failed"])
			assert.Contains(t, result["msg"], c.message)
		})
	}
}

func TestTheModuleIsNamedByTheArgumentsOrByTheBinary(t *testing.T) {
	t.Parallel()
	named := func(name string) Module {
		return Module{Name: name, Run: func(_ context.Context, c *Call) error { c.Return("ran", name); return nil }}
	}
	modules := []Module{named("one"), named("two")}
	for argv0, c := range map[string]struct{ args, ran string }{
		"AnsiballZ_one":                {`{}`, "one"},
		"/tmp/x/AnsiballZ_two":         {`{}`, "two"},
		"two":                          {`{}`, "two"},
		"AnsiballZ___target_linux_arm": {`{"_kit_call": "one"}`, "one"},
	} {
		var out bytes.Buffer
		p := process{stdin: strings.NewReader(c.args), stdout: &out, stderr: io.Discard, modules: modules}
		assert.Equal(t, 0, p.main(t.Context(), []string{argv0, "-"}))
		assert.Equal(t, c.ran, object(t, out.Bytes())["ran"])
	}
}

func TestKeysOfAnsibleAreIgnoredWhateverTheyHold(t *testing.T) {
	t.Parallel()
	result, code := play(t, does(nothing), `{"_ansible_new_in_2_30": {"a": [1]}, "_ansible_version": 5, "_ansible_verbosity": "x", "_ansible_tmpdir": null, "name": "x"}`)
	assert.Equal(t, 0, code)
	args := result["invocation"].(map[string]any)["module_args"]
	assert.Equal(t, map[string]any{"name": "x", "count": nil, "password": nil}, args)
}

func TestCheckModeOfAModuleThatDoesNotKnowItIsSkipped(t *testing.T) {
	t.Parallel()
	m := does(func(context.Context, *Call) error { return errors.New("it ran") })
	m.CheckMode = false
	result, code := play(t, m, `{"_ansible_check_mode": true}`)
	assert.Equal(t, 0, code)
	assert.Equal(t, map[string]any{"skipped": true, "changed": false, "msg": "remote module (thing) does not support check mode"}, result)

	result, _ = play(t, m, `{"_ansible_check_mode": true, "count": "x"}`)
	assert.Equal(t, true, result["failed"], "bad arguments fail in check mode too")
}

func TestChangedAndDiffComeFromOneList(t *testing.T) {
	t.Parallel()
	type machine struct {
		CPUs int `json:"cpus"`
	}
	for name, c := range map[string]struct {
		record  func(c *Call)
		changed bool
		diff    any
	}{
		"nothing recorded":              {func(*Call) {}, false, nil},
		"equal values":                  {func(c *Call) { c.Differ("a", 1, int64(1)); c.Differ("b", []string{"x"}, []any{"x"}) }, false, nil},
		"equal structures in any order": {func(c *Call) { c.Differ("a", map[string]int{"x": 1, "y": 2}, json.RawMessage(`{"y":2,"x":1}`)) }, false, nil},
		"a number and a boolean differ": {func(c *Call) { c.Differ("a", 1, true) }, true, both(map[string]any{"a": 1.0}, map[string]any{"a": true})},
		"null and empty differ":         {func(c *Call) { c.Differ("a", nil, "") }, true, both(map[string]any{"a": nil}, map[string]any{"a": ""})},
		"a structure": {func(c *Call) { c.Differ("m", machine{1}, machine{2}) }, true,
			both(map[string]any{"m": map[string]any{"cpus": 1.0}}, map[string]any{"m": map[string]any{"cpus": 2.0}})},
		"the first before and the last after of a name": {func(c *Call) { c.Differ("s", "a", "b"); c.Differ("s", "b", "c") }, true,
			both(map[string]any{"s": "a"}, map[string]any{"s": "c"})},
		"text line by line": {func(c *Call) { c.DifferText("/etc/x", "a", "a\nb\n") }, true,
			[]any{map[string]any{"before_header": "/etc/x", "after_header": "/etc/x", "before": "a\n", "after": "a\nb\n"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := does(func(_ context.Context, call *Call) error {
				c.record(call)
				return nil
			})
			result, _ := play(t, m, `{"_ansible_diff": true}`)
			assert.Equal(t, c.changed, result["changed"])
			assert.Equal(t, c.diff, result["diff"])
			result, _ = play(t, m, `{}`)
			assert.Equal(t, c.changed, result["changed"])
			assert.NotContains(t, result, "diff", "--diff was not set")
		})
	}
}

func both(before, after any) any { return map[string]any{"before": before, "after": after} }

func TestAnErrorFailsOnOneLineAndKeepsWhatWasDoneSoFar(t *testing.T) {
	t.Parallel()
	result, code := play(t, does(func(_ context.Context, c *Call) error {
		c.Differ("a", 1, 2)
		c.Return("partial", []int{1})
		c.Warn("mind the gap")
		c.Warn("mind the gap")
		c.Deprecate("old", "2.0.0")
		return errors.New("first\nsecond")
	}), `{}`)
	assert.Equal(t, 1, code)
	assert.Equal(t, "first second", result["msg"])
	assert.Equal(t, true, result["changed"])
	assert.Equal(t, []any{1.0}, result["partial"])
	assert.Equal(t, []any{"mind the gap"}, result["warnings"])
	assert.Equal(t, []any{map[string]any{"msg": "old", "version": "2.0.0", "collection_name": "arcodange.sandbox"}}, result["deprecations"])
}

func TestABugOfTheModuleFailsAndSaysSo(t *testing.T) {
	t.Parallel()
	var empty map[string]int
	bugs := map[string]struct {
		run     func(c *Call)
		message string
	}{
		"a panic":                  {func(*Call) { panic("boom") }, "thing panicked: boom (at main_test.go:"},
		"a write to a nil map":     {func(*Call) { empty["x"] = 1 }, "nil map (at main_test.go:"},
		"a panic with nil":         {func(*Call) { panic(nil) }, "thing panicked: panic called with nil"},
		"an end of the goroutine":  {func(*Call) { runtime.Goexit() }, "thing ended its goroutine"},
		"an undeclared option":     {func(c *Call) { c.Arg("nme") }, `the spec has no option "nme"`},
		"a value that is not JSON": {func(c *Call) { c.Return("x", func() {}) }, `the result key "x" cannot be written as JSON`},
	}
	for _, key := range append([]string{"", "a-b", "a b", "_ansible_x", "é"}, reserved...) {
		bugs["the result key "+key] = struct {
			run     func(c *Call)
			message string
		}{func(c *Call) { c.Return(key, 1) }, "is reserved or not an identifier"}
	}
	for name, bug := range bugs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, code := play(t, does(func(_ context.Context, c *Call) error { bug.run(c); return nil }), `{}`)
			assert.Equal(t, 1, code)
			assert.Equal(t, true, result["failed"])
			assert.Contains(t, result["msg"], bug.message)
		})
	}
}

func TestADeadlineFailsEvenIfTheModuleTakesNoNotice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		run     func(ctx context.Context, c *Call) error
		message string
	}{
		"the module gives the context's error": {func(ctx context.Context, _ *Call) error { <-ctx.Done(); return ctx.Err() }, "deadline exceeded"},
		"the module says all went well":        {func(ctx context.Context, _ *Call) error { <-ctx.Done(); return nil }, "thing ran out of time"},
		"the module hangs":                     {func(context.Context, *Call) error { select {} }, "thing did not come back within 50ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			var out bytes.Buffer
			p := process{stdin: strings.NewReader("{}"), stdout: &out, stderr: io.Discard, modules: []Module{does(c.run)}, grace: 50 * time.Millisecond}
			assert.Equal(t, 1, p.main(ctx, []string{"thing", "-"}))
			result := object(t, out.Bytes())
			assert.Equal(t, true, result["failed"])
			assert.Contains(t, result["msg"], c.message)
		})
	}
}

func TestOutputIsAlwaysUTF8AndHasNoTypesOfAnsible(t *testing.T) {
	t.Parallel()
	result, _ := play(t, does(func(_ context.Context, c *Call) error {
		c.Return("raw", "a\xffb")
		c.Return("deep", map[string]any{"k\xff": []string{"\xfe"}, "__ansible_type": "x"})
		c.Warn("w\xff")
		c.Differ("n\xff", "\xff", "b")
		return errors.New("e\xff")
	}), `{"_ansible_diff": true}`)
	assert.Equal(t, "a\ufffdb", result["raw"])
	assert.Equal(t, map[string]any{"k\ufffd": []any{"\ufffd"}}, result["deep"])
	assert.Equal(t, "e\ufffd", result["msg"])
}

func TestTheInvocationIsGivenUnlessAnsibleDoesNotWantIt(t *testing.T) {
	t.Parallel()
	result, _ := play(t, does(nothing), `{"name": "x", "password": "hunter2"}`)
	assert.Equal(t, map[string]any{"module_args": map[string]any{"name": "x", "count": nil, "password": maskWhole}}, result["invocation"])
	result, _ = play(t, does(nothing), `{"_ansible_inject_invocation": false}`)
	assert.NotContains(t, result, "invocation")
}

// startChild runs this test binary as a module binary.
func startChild(t *testing.T, module, args string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "args")
	require.NoError(t, os.WriteFile(file, []byte(args), 0o600))
	self, err := os.Executable()
	require.NoError(t, err)
	cmd = exec.CommandContext(t.Context(), self, file)
	cmd.Args[0] = prefix + module
	cmd.Env = append(os.Environ(), child+"=1")
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	require.NoError(t, cmd.Start())
	return cmd, stdout, stderr
}

func TestAStrayPrintIsNotTakenForAResultAndSecretsDoNotReachStderr(t *testing.T) {
	t.Parallel()
	cmd, stdout, stderr := startChild(t, "chatty", `{"password": "hunter2"}`)
	require.NoError(t, cmd.Wait())
	result := object(t, stdout.Bytes())
	assert.NotContains(t, result, "fake")
	assert.Equal(t, "from a child", result["child"])
	assert.Contains(t, stderr.String(), `"fake": 1`)
	assert.Contains(t, stderr.String(), "the password is ********\n")
	assert.NotContains(t, stdout.String()+stderr.String(), "hunter2")

	cmd, stdout, stderr = startChild(t, "chatty", `{"password": "hunter2", "_ansible_no_log": true}`)
	require.NoError(t, cmd.Wait())
	object(t, stdout.Bytes())
	assert.Empty(t, stderr.String(), "a task with no_log tells nothing")
}

func TestASignalFailsTheModuleWithOneObjectAsTheLastAct(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		if sig == syscall.SIGHUP && signal.Ignored(sig) {
			continue // this test runs under nohup, and so would the child
		}
		for module, message := range map[string]string{
			"slow": "slow was stopped by %[1]s: cleaning up: stopped by %[1]s; run it again",
			"deaf": "deaf was stopped by %[1]s and %[1]s, and may have left work half done; run it again",
		} {
			t.Run(module+" "+sig.String(), func(t *testing.T) {
				t.Parallel()
				ready := filepath.Join(t.TempDir(), "ready")
				cmd, stdout, _ := startChild(t, module, fmt.Sprintf(`{"file": %q}`, ready))
				require.Eventually(t, func() bool { _, err := os.Stat(ready); return err == nil }, 20*time.Second, 5*time.Millisecond)
				require.NoError(t, cmd.Process.Signal(sig))
				if module == "deaf" { // one signal asks, the second does not wait
					time.Sleep(50 * time.Millisecond)
					require.NoError(t, cmd.Process.Signal(sig))
				}
				var exit *exec.ExitError
				require.ErrorAs(t, cmd.Wait(), &exit)
				assert.Equal(t, 1, exit.ExitCode())
				result := object(t, stdout.Bytes())
				assert.Equal(t, true, result["failed"])
				assert.Equal(t, fmt.Sprintf(message, signalName(sig)), result["msg"])
				assert.Equal(t, module == "slow", result["changed"])
			})
		}
	}
}
