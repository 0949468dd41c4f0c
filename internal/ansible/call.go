// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// Module is one Ansible module.
type Module struct {
	Name      string
	Spec      Spec
	CheckMode bool // Run changes nothing if Call.CheckMode is set

	// Run does the work. An error fails the call with that message; the result
	// still has what was recorded in the Call. When ctx is cancelled (usually by a
	// signal), Run MUST return within 20 s. A goroutine that Run starts MUST NOT
	// panic: Go cannot recover that here.
	Run func(ctx context.Context, c *Call) error
}

// Check returns an error if the module's definition is invalid. Call it in a test.
func (m Module) Check() error {
	if !identifier.MatchString(m.Name) {
		return fmt.Errorf("module %q: a name is letters, digits and underscores", m.Name)
	}
	if m.Run == nil {
		return fmt.Errorf("module %s: it has no Run", m.Name)
	}
	if err := m.Spec.check(""); err != nil {
		return fmt.Errorf("module %s: %w", m.Name, err)
	}
	return nil
}

// Call is one call of a module: its arguments and its result. Its methods
// are safe for concurrent use.
type Call struct {
	CheckMode bool // report changes without making them
	Diff      bool // set by --diff
	Verbosity int  // the number of -v

	args    *dict
	secrets *secrets

	mu           sync.Mutex
	differences  []difference
	results      *dict
	warnings     []string
	deprecations []any
}

type difference struct {
	name          string
	before, after any
	text          bool
	still         bool // shown, but not a change
}

// Arg is the coerced value of one option: nil, bool, int64, *big.Int, float64,
// string, []any or map[string]any.
func (c *Call) Arg(name string) any {
	value, ok := c.args.get(name)
	if !ok {
		panic(fmt.Sprintf("the spec has no option %q", name))
	}
	return plain(value)
}

// Differ records that the value called name changes from before to after, or
// would in check mode. Equal values add nothing. `changed` and `diff` both come
// from this list, so they cannot disagree.
func (c *Call) Differ(name string, before, after any) { c.differ(name, before, after, false) }

// DifferText is Differ for the text of a file: shown line by line, name as the header.
func (c *Call) DifferText(name, before, after string) { c.differ(name, before, after, true) }

// Contrast adds expected and found to `diff` without a change, for a module that only compares.
func (c *Call) Contrast(name string, expected, found any) {
	c.record(name, expected, found, difference{still: true})
}

func (c *Call) differ(name string, before, after any, text bool) {
	c.record(name, before, after, difference{text: text})
}

func (c *Call) record(name string, before, after any, d difference) {
	was, err := valueOf(before)
	if err != nil {
		panic(fmt.Sprintf("difference %s: before cannot be written as JSON: %v", name, err))
	}
	is, err := valueOf(after)
	if err != nil {
		panic(fmt.Sprintf("difference %s: after cannot be written as JSON: %v", name, err))
	}
	if same(was, is) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	d.name, d.before, d.after = name, was, is
	c.differences = append(c.differences, d)
}

// same is equality with types: 1 and true differ, unlike in Python.
func same(a, b any) bool {
	left, errLeft := jsonBytes(a)
	right, errRight := jsonBytes(b)
	return errLeft == nil && errRight == nil && bytes.Equal(left, right) || equal(a, b) && kind(a) == kind(b) && !scalar(a)
}

func scalar(value any) bool {
	switch value.(type) {
	case []any, *dict:
		return false
	}
	return true
}

// Changed reports whether a difference was recorded.
func (c *Call) Changed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed()
}

func (c *Call) changed() bool {
	return slices.ContainsFunc(c.differences, func(d difference) bool { return !d.still })
}

var identifier = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reserved are the keys of a result that the protocol itself writes, and the
// methods of a Python dict, which hide a key of that name from dot notation.
var reserved = []string{
	"failed", "changed", "msg", "diff", "skipped", "invocation", "warnings", "deprecations", "exception",
	"rc", "stdout", "stderr", "ansible_facts", "__ansible_type",
	"clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values",
}

// Return adds a key to the result; value is anything encoding/json can write.
// A reserved key, or a value that cannot be written, is a bug of the module and panics.
func (c *Call) Return(key string, value any) {
	if slices.Contains(reserved, key) || strings.HasPrefix(key, "_ansible_") || !identifier.MatchString(key) {
		panic(fmt.Sprintf("the result key %q is reserved or not an identifier", key))
	}
	tree, err := valueOf(value)
	if err != nil {
		panic(fmt.Sprintf("the result key %q cannot be written as JSON: %v", key, err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.results == nil {
		c.results = newDict()
	}
	c.results.set(key, tree)
}

// Warn shows msg to the user as a warning. The same message is shown once.
func (c *Call) Warn(msg string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.warnings, msg) {
		c.warnings = append(c.warnings, msg)
	}
}

// Deprecate warns the user about something that this version of the collection removes.
func (c *Call) Deprecate(msg, version string) {
	entry := newDict()
	entry.set("msg", msg)
	entry.set("version", version)
	entry.set("collection_name", collection)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deprecations = append(c.deprecations, entry)
}

// Secret masks value in all later output: the result, messages and stderr.
func (c *Call) Secret(value string) { c.secrets.add(value) }

// Mask returns text with secrets masked.
func (c *Call) Mask(text string) string { return c.secrets.text(text) }

// diff returns Ansible's `diff`: one entry for all named values, and one for each text.
func (c *Call) diff() any {
	before, after := newDict(), newDict()
	var texts []any
	for _, d := range c.differences {
		if d.text {
			entry := newDict()
			entry.set("before_header", d.name)
			entry.set("after_header", d.name)
			entry.set("before", lines(d.before))
			entry.set("after", lines(d.after))
			texts = append(texts, entry)
			continue
		}
		if !before.has(d.name) {
			before.set(d.name, d.before)
		}
		after.set(d.name, d.after)
	}
	named := newDict()
	named.set("before", before)
	named.set("after", after)
	switch {
	case len(texts) == 0:
		return named
	case len(before.keys) > 0:
		texts = append([]any{named}, texts...)
	}
	return texts
}

// lines returns text with a final line end, else the diff has a marker for its absence.
func lines(value any) string {
	text := coerceStr(value)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}
