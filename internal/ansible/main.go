// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// CallKey is the argument that names the module to run when a binary holds
	// several. The action plugins set it; a task cannot.
	CallKey = "_kit_call"
	// maxArgs is the largest file of arguments that is read.
	maxArgs = 64 << 20
	// grace is how long a module may take to clean up after a signal.
	grace = 20 * time.Second
)

// Main runs the module that argv and the file of arguments (argv[1]; "-" means
// stdin) call for, and prints its result as the last act. It returns the exit
// status: 0, or 1 when the result says failed. Ansible goes by the result alone.
//
// While the module runs, os.Stdout is stderr, so that a stray print cannot be
// taken for a result. SIGINT, SIGTERM and SIGHUP end the module's context; it
// has 20 s to clean up, and the result then says which signal it was.
func Main(argv []string, modules ...Module) int {
	out := os.Stdout
	os.Stdout = os.Stderr
	defer func() { os.Stdout = out }()

	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	result := serve(argv, os.Stdin, os.Stderr, signals, modules)
	if _, err := out.Write(encode(result)); err != nil {
		fmt.Fprintf(os.Stderr, "writing the module's result: %v\n", err)
		return 1
	}
	if result["failed"] == true {
		return 1
	}
	return 0
}

func fail(format string, args ...any) map[string]any {
	return map[string]any{"failed": true, "changed": false, "msg": oneLine(fmt.Sprintf(format, args...))}
}

// serve is Main without the process around it.
func serve(argv []string, stdin io.Reader, stderr io.Writer, signals <-chan os.Signal, modules []Module) map[string]any {
	if len(argv) < 2 {
		return fail("%s is run by Ansible with a file of arguments and was given none; use it as a module in a task", filepath.Base(first(argv)))
	}
	data, err := readArgs(argv[1], stdin)
	if err != nil {
		return fail("reading the module's arguments: %v", err)
	}
	args, err := decode(data)
	if err != nil {
		return fail("reading the module's arguments: %v", err)
	}
	name, err := called(argv[0], args)
	if err != nil {
		return fail("%v", err)
	}
	at := slices.IndexFunc(modules, func(m Module) bool { return m.Name == name })
	if at < 0 {
		return fail("this binary holds no module %q; build the collection's binaries anew, they are of another version", name)
	}
	return runModule(modules[at], args, stderr, signals)
}

func first(argv []string) string {
	if len(argv) == 0 {
		return "module"
	}
	return argv[0]
}

func readArgs(path string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxArgs+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxArgs {
		return nil, fmt.Errorf("they are larger than %d MiB", maxArgs>>20)
	}
	return data, nil
}

// called names the module that is wanted: by CallKey, or else by the name the
// binary was started under, which Ansible prefixes (ActionBase._execute_module).
func called(argv0 string, args map[string]any) (string, error) {
	value, ok := args[CallKey]
	delete(args, CallKey)
	if !ok {
		return strings.TrimPrefix(filepath.Base(argv0), "AnsiballZ_"), nil
	}
	name, ok := value.(string)
	if !ok {
		return "", fmt.Errorf("%s must be the name of a module, not a %s", CallKey, kind(value))
	}
	return name, nil
}

func runModule(m Module, args map[string]any, stderr io.Writer, signals <-chan os.Signal) map[string]any {
	c := &Call{secrets: &secrets{}, returned: map[string]any{}}
	c.CheckMode, _ = args["_ansible_check_mode"].(bool)
	c.Diff, _ = args["_ansible_diff"].(bool)
	maps.DeleteFunc(args, func(key string, _ any) bool { return strings.HasPrefix(key, "_ansible_") })

	check := check{secrets: c.secrets}
	check.spec(&m.Spec, args, nil)
	c.args, c.warnings = args, check.warnings
	if len(check.problems) > 0 {
		return c.result(fmt.Errorf("%s: %s", m.Name, strings.Join(check.problems, "; ")))
	}
	if c.CheckMode && !m.CheckMode {
		result := c.result(nil)
		result["skipped"] = true
		result["msg"] = fmt.Sprintf("remote module (%s) does not support check mode", m.Name)
		return result
	}

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	done := make(chan error, 1)
	go func() {
		defer func() {
			if cause := recover(); cause != nil {
				fmt.Fprintf(stderr, "%s\n", c.secrets.text(string(debug.Stack())))
				done <- fmt.Errorf("%s: internal error: %v; this is a defect of the module, please report it", m.Name, cause)
			}
		}()
		done <- m.Run(ctx, c)
	}()
	select {
	case err := <-done:
		return c.result(err)
	case sig := <-signals:
		return c.result(interrupted(m.Name, sig, cancel, done, signals))
	}
}

// interrupted ends the module's context, waits for it to clean up, and tells what happened.
func interrupted(name string, sig os.Signal, cancel context.CancelCauseFunc, done <-chan error, signals <-chan os.Signal) error {
	cause := fmt.Errorf("%s: interrupted by %s", name, signalName(sig))
	cancel(cause)
	select {
	case err := <-done:
		if err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("%w: %w; run it again, it goes on from there", cause, err)
		}
		return fmt.Errorf("%w; run it again, it goes on from there", cause)
	case <-signals:
	case <-time.After(grace):
	}
	return fmt.Errorf("%w before it could clean up; run it again, it completes or removes what was begun", cause)
}

func signalName(sig os.Signal) string {
	names := map[os.Signal]string{syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM", syscall.SIGHUP: "SIGHUP"}
	if name, ok := names[sig]; ok {
		return name
	}
	return sig.String()
}
