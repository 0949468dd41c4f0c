// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// CallKey is the argument that names the module to run when a binary holds
	// several. The action plugins set it; a task cannot.
	CallKey    = "_kit_call"
	collection = "arcodange.sandbox"
	prefix     = "AnsiballZ_" // what Ansible puts before the name of the file it copies
	maxInput   = 64 << 20
	grace      = 20 * time.Second // for Run to return after a signal
)

// Main runs the requested module and returns the exit status: 1 when
// the result has failed: true, else 0. Ansible uses only the result.
//
// argv is os.Args: the name the binary was called by, and the file of
// arguments ("-" means stdin). CallKey in the arguments selects the module, else
// argv[0] as Ansible sets it. The last output is always one JSON object on
// stdout. While the module runs, os.Stdout and os.Stderr both write to stderr,
// with secrets masked, so that other output is not mistaken for a result. SIGINT,
// SIGTERM and SIGHUP cancel the module's context; it has 20 s to clean up, and
// the result names the signal.
func Main(argv []string, modules ...Module) int {
	// Calls are short; less garbage collection halves the time of those with large results.
	debug.SetGCPercent(400)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup leaves it
		signal.Notify(signals, syscall.SIGHUP)
	}
	defer signal.Stop(signals)
	p := process{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		modules: modules, signals: signals, grace: grace, own: true,
	}
	if len(argv) == 2 && argv[1] == linesFlag {
		signal.Stop(signals) // nothing reads them between calls: let them end the process
		return p.lines(context.Background(), argv[0])
	}
	return p.main(context.Background(), argv)
}

// process is one run of the binary.
type process struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	modules        []Module
	signals        <-chan os.Signal
	grace          time.Duration
	own            bool // stdout and stderr are the process's own

	secrets secrets
}

func (p *process) main(ctx context.Context, args []string) (code int) {
	result := p.call(ctx, args)
	if err := p.print(result); err != nil {
		fmt.Fprintf(p.stderr, "writing the result to stdout: %v\n", p.secrets.text(err.Error()))
		return 1
	}
	if failed, _ := result.get("failed"); failed == true {
		return 1
	}
	return 0
}

func failure(format string, args ...any) *dict {
	out := newDict()
	out.set("failed", true)
	out.set("changed", false)
	out.set("msg", fmt.Sprintf(format, args...))
	return out
}

// print writes the result with secrets masked.
func (p *process) print(result *dict) error {
	out := newDict()
	for _, key := range result.keys {
		out.set(key, p.secrets.value(clean(result.values[key])))
	}
	var line bytes.Buffer
	if err := encode(&line, out); err != nil {
		line.Reset()
		if err := encode(&line, failure("the result cannot be written as JSON")); err != nil {
			return err
		}
	}
	line.WriteByte('\n')
	_, err := p.stdout.Write(line.Bytes())
	return err
}

// clean removes, at any depth, the key with which Ansible marks its types, so
// that user data is not taken for one.
func clean(value any) any {
	switch value := value.(type) {
	case []any:
		out := make([]any, len(value))
		for i, item := range value {
			out[i] = clean(item)
		}
		return out
	case *dict:
		out := sizedDict(len(value.keys))
		for _, key := range value.keys {
			if key != "__ansible_type" {
				out.set(strings.ToValidUTF8(key, "\ufffd"), clean(value.values[key]))
			}
		}
		return out
	case string:
		return strings.ToValidUTF8(value, "\ufffd")
	}
	return value
}

func jsonBytes(value any) ([]byte, error) {
	var out bytes.Buffer
	err := encode(&out, value)
	return out.Bytes(), err
}

// read reads the arguments. Its errors never quote them.
func (p *process) read(args []string) (*dict, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("this is a module of the Ansible collection %s: give it one file of arguments as JSON, or - for standard input", collection)
	}
	source, name := p.stdin, "standard input"
	if args[1] != "-" {
		file, err := os.Open(args[1])
		if err != nil {
			return nil, fmt.Errorf("reading the arguments: %w", err)
		}
		defer file.Close()
		source, name = file, args[1]
	}
	data, err := io.ReadAll(io.LimitReader(source, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("reading the arguments: %w", err)
	}
	if len(data) > maxInput {
		return nil, fmt.Errorf("reading the arguments from %s: they are larger than %d MiB", name, maxInput>>20)
	}
	value, err := parseJSON(data, false)
	if err != nil {
		return nil, fmt.Errorf("reading the arguments from %s: %w", name, err)
	}
	given, ok := value.(*dict)
	if !ok {
		return nil, fmt.Errorf("reading the arguments from %s: it is %s, not a JSON object", name, kind(value))
	}
	return given, nil
}

// pick returns the requested module.
func (p *process) pick(args []string, given *dict) (*Module, error) {
	var name string
	if value, ok := given.get(CallKey); ok {
		if name, ok = value.(string); !ok {
			return nil, fmt.Errorf("%s is %s, not the name of a module", CallKey, kind(value))
		}
	} else if len(args) > 0 {
		name = strings.TrimPrefix(filepath.Base(args[0]), prefix)
	}
	var names []string
	for i := range p.modules {
		if p.modules[i].Name == name {
			return &p.modules[i], p.modules[i].Check()
		}
		names = append(names, p.modules[i].Name)
	}
	slices.Sort(names)
	return nil, fmt.Errorf("no module %q in this binary; it has: %s (name one in %s)", name, strings.Join(names, ", "), CallKey)
}

// internals are the settings that Ansible passes with the arguments.
type internals struct {
	check, diff, noLog, ignoreUnknown, invocation bool
	verbosity                                     int
}

// split removes Ansible's own keys from given. Unknown ones are ignored.
func split(given *dict) (*dict, internals, error) {
	args, in := newDict(), internals{invocation: true}
	flags := map[string]*bool{
		"_ansible_check_mode": &in.check, "_ansible_diff": &in.diff, "_ansible_no_log": &in.noLog,
		"_ansible_ignore_unknown_opts": &in.ignoreUnknown, "_ansible_inject_invocation": &in.invocation,
	}
	for _, key := range given.keys {
		value := given.values[key]
		if flag := flags[key]; flag != nil {
			truth, err := coerceBool(value)
			if err != nil {
				return nil, in, fmt.Errorf("%s is %s, not a boolean", key, kind(value))
			}
			*flag = truth == true
			continue
		}
		if key == "_ansible_verbosity" {
			if n, ok := value.(int64); ok {
				in.verbosity = int(n)
			}
		}
		if key != CallKey && !strings.HasPrefix(key, "_ansible_") {
			args.set(key, value)
		}
	}
	return args, in, nil
}

// call does everything but print.
func (p *process) call(ctx context.Context, argv []string) (result *dict) {
	defer func() {
		if r := recover(); r != nil {
			result = failure("the module protocol panicked: %v", r)
		}
	}()
	given, err := p.read(argv)
	if err != nil {
		return failure("%v", err)
	}
	module, err := p.pick(argv, given)
	if err != nil {
		return failure("%v", err)
	}
	args, in, err := split(given)
	if err != nil {
		return failure("%s: %v", module.Name, err)
	}
	parsed := module.Spec.parse(args, &p.secrets)
	if err := parsed.err(module.Name, &module.Spec, in.ignoreUnknown); err != nil {
		result = failure("%v", err)
		if len(parsed.warnings) > 0 {
			result.set("warnings", texts(parsed.warnings))
		}
		return result
	}
	if in.check && !module.CheckMode {
		result = newDict()
		result.set("skipped", true)
		result.set("changed", false)
		result.set("msg", fmt.Sprintf("remote module (%s) does not support check mode", module.Name))
		return result
	}
	c := &Call{
		CheckMode: in.check, Diff: in.diff, Verbosity: in.verbosity,
		args: parsed.args, secrets: &p.secrets, warnings: parsed.warnings,
	}
	result = c.result(p.run(ctx, module, c, in))
	if in.invocation {
		echo := newDict()
		echo.set("module_args", module.Spec.censor(parsed.args))
		result.set("invocation", echo)
	}
	return result
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, text := range list {
		out[i] = text
	}
	return out
}

// censor masks the values of NoLog options.
func (s *Spec) censor(args *dict) *dict {
	out := newDict()
	for _, name := range args.keys {
		value, o := args.values[name], s.Options[name]
		switch inner := value.(type) {
		case *dict:
			if o.Spec != nil {
				value = o.Spec.censor(inner)
			}
		case []any:
			items := slices.Clone(inner)
			for i, item := range items {
				if item, ok := item.(*dict); ok && o.Spec != nil {
					items[i] = o.Spec.censor(item)
				}
			}
			value = items
		}
		if o.NoLog && value != nil {
			value = maskWhole
		}
		out.set(name, value)
	}
	return out
}

// result returns the object that Ansible reads.
func (c *Call) result(err error) *dict {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := newDict()
	if c.results != nil {
		for _, key := range c.results.keys {
			out.set(key, c.results.values[key])
		}
	}
	out.set("changed", c.changed())
	if c.Diff && len(c.differences) > 0 {
		out.set("diff", c.diff())
	}
	if err != nil {
		out.set("failed", true)
		out.set("msg", oneLine(err.Error()))
	}
	if len(c.warnings) > 0 {
		out.set("warnings", texts(c.warnings))
	}
	if len(c.deprecations) > 0 {
		out.set("deprecations", slices.Clone(c.deprecations))
	}
	return out
}

func oneLine(text string) string { return strings.Join(strings.FieldsFunc(text, lineEnd), " ") }

func lineEnd(r rune) bool { return r == '\n' || r == '\r' }

// run runs the module. Its error is the module's, or describes a panic or the signal that stopped it.
func (p *process) run(ctx context.Context, module *Module, c *Call, in internals) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer p.redirect(in.noLog)()
	done := make(chan error, 1)
	go guarded(ctx, module, c, done)

	var stopped os.Signal
	var late <-chan time.Time
	ended := ctx.Done()
	for {
		select {
		case err := <-done:
			switch {
			case stopped != nil && err != nil:
				return fmt.Errorf("%s was stopped by %s: %w; run it again", module.Name, signalName(stopped), err)
			case stopped != nil:
				return fmt.Errorf("%s was stopped by %s; run it again", module.Name, signalName(stopped))
			case err == nil && ctx.Err() != nil:
				return fmt.Errorf("%s ran out of time: %w", module.Name, context.Cause(ctx))
			}
			return err
		case sig := <-p.signals:
			if stopped != nil { // the second signal: do not wait
				return fmt.Errorf("%s was stopped by %s and %s, and may have left work half done; run it again", module.Name, signalName(stopped), signalName(sig))
			}
			stopped = sig
			cancel(fmt.Errorf("stopped by %s", signalName(sig)))
		case <-ended:
			ended = nil
			late = time.After(p.grace)
		case <-late:
			why := context.Cause(ctx)
			return fmt.Errorf("%s did not come back within %s after it was cancelled (%w), and may have left work half done; run it again", module.Name, p.grace, why)
		}
	}
}

func signalName(sig os.Signal) string {
	switch sig {
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGHUP:
		return "SIGHUP"
	}
	return sig.String()
}

// guarded sends the error of Run to done. A panic becomes an error with its file and line.
func guarded(ctx context.Context, module *Module, c *Call, done chan<- error) {
	err := errors.New(module.Name + " ended its goroutine; this is a bug of the module")
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s panicked: %v (at %s); this is a bug of the module", module.Name, r, panicPlace(debug.Stack()))
		}
		done <- err
	}()
	err = module.Run(ctx, c)
}

// panicPlace returns the file and line of the panic: the first stack frame after the runtime's.
func panicPlace(stack []byte) string {
	place, seen := "an unknown line", false
	for line := range strings.Lines(string(stack)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "panic(") {
			seen = true
			continue
		}
		file, rest, ok := strings.Cut(line, ".go:")
		if !seen || !ok || strings.Contains(file, "/runtime/") {
			continue
		}
		number, _, _ := strings.Cut(rest, " ")
		if _, err := strconv.Atoi(number); err == nil {
			return filepath.Base(file) + ".go:" + number
		}
	}
	return place
}

// redirect writes the output of Run to stderr, masked, line by line; with no_log
// it discards the output. It stays in effect until the process ends, so that a Run
// that did not return in time cannot print after the result. drain waits until
// all output so far is written.
func (p *process) redirect(silent bool) (drain func()) {
	if !p.own {
		return func() {}
	}
	read, write, err := os.Pipe()
	if err != nil { // discard the output rather than leak secrets
		void, _ := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		os.Stdout, os.Stderr = void, void
		return func() {}
	}
	os.Stdout, os.Stderr = write, write
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		p.copyMasked(read, silent)
	}()
	return func() {
		write.Close()
		select {
		case <-copied:
		case <-time.After(time.Second): // a child of Run holds the other end
		}
	}
}

func (p *process) copyMasked(from io.Reader, silent bool) {
	var pending []byte
	buffer := make([]byte, 32<<10)
	flush := func(upTo int) {
		if upTo > 0 && !silent {
			_, _ = io.WriteString(p.stderr, p.secrets.text(string(pending[:upTo])))
		}
		pending = pending[upTo:]
	}
	for {
		n, err := from.Read(buffer)
		pending = append(pending, buffer[:n]...)
		flush(bytes.LastIndexByte(pending, '\n') + 1)
		if err != nil {
			flush(len(pending))
			return
		}
	}
}

// Arguments returns the coerced arguments and the warnings for a file of
// arguments. It does not run the module. Tests use it to compare a spec with its
// documentation and with AnsibleModule.
func (m Module) Arguments(data []byte) (args map[string]any, warnings []string, err error) {
	if err := m.Check(); err != nil {
		return nil, nil, err
	}
	value, err := parseJSON(data, false)
	if err != nil {
		return nil, nil, err
	}
	given, ok := value.(*dict)
	if !ok {
		return nil, nil, fmt.Errorf("the arguments are %s, not a JSON object", kind(value))
	}
	given, in, err := split(given)
	if err != nil {
		return nil, nil, err
	}
	var hidden secrets
	parsed := m.Spec.parse(given, &hidden)
	if err := parsed.err(m.Name, &m.Spec, in.ignoreUnknown); err != nil {
		return nil, parsed.warnings, errors.New(hidden.text(err.Error()))
	}
	return plain(parsed.args).(map[string]any), parsed.warnings, nil
}
