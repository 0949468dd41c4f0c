// SPDX-License-Identifier: GPL-3.0-or-later

package ansible

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// Module is one Ansible module.
type Module struct {
	Name string // as in a task, without namespace and collection
	Spec Spec
	// CheckMode says that Run honours Call.CheckMode. Without it the module is
	// skipped in check mode and Run is not called.
	CheckMode bool
	// Run does the work. It MUST change nothing when Call.CheckMode is true, and
	// MUST tell every change through Call.Differ in both modes alike. An error
	// becomes the result's msg, on one line; changes told until then stay in it.
	// Run SHOULD return soon after ctx ends, having undone or completed what it began.
	Run func(ctx context.Context, c *Call) error
}

// Call is one invocation of a module: what came in, and what will go out. Its
// methods may be called from several goroutines.
type Call struct {
	CheckMode bool // foretell, do not change
	Diff      bool // the user asked for differences

	args    map[string]any
	secrets *secrets

	mu          sync.Mutex
	differences []difference
	returned    map[string]any
	warnings    []string
}

type difference struct {
	name          string
	before, after any
}

// Differ records that what name stands for is before now and is (or in check
// mode would be) after once the module is done. Equal values record nothing.
// `changed` and `diff` both come from this list alone, so they cannot disagree.
func (c *Call) Differ(name string, before, after any) {
	if reflect.DeepEqual(plain(before), plain(after)) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.differences = append(c.differences, difference{name, before, after})
}

// Changed tells whether any difference was recorded.
func (c *Call) Changed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.differences) > 0
}

// reserved are the result's keys that belong to the protocol.
var reserved = map[string]bool{
	"changed": true, "failed": true, "msg": true, "skipped": true, "diff": true, "warnings": true, "deprecations": true,
	"invocation": true, "exception": true, "rc": true, "stdout": true, "stderr": true, "ansible_facts": true,
}

// Return sets a key of the result. The value must be one that encoding/json can
// write. Keys of the protocol (changed, failed, diff, …) and keys that a
// playbook could not name are a mistake of the module, and panic.
func (c *Call) Return(key string, value any) {
	if reserved[key] || strings.HasPrefix(key, "_") || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || key == "" {
		panic(fmt.Sprintf("module returns the reserved or malformed key %q", key))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.returned[key] = value
}

// Warn shows msg to the user beside the result.
func (c *Call) Warn(msg string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.warnings = append(c.warnings, msg)
}

// Secret keeps value out of everything that leaves the program from here on.
func (c *Call) Secret(value string) { c.secrets.addText(value) }

// result is the object that Ansible gets. err is what Run returned.
func (c *Call) result(err error) map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	result := map[string]any{}
	for key, value := range c.returned {
		result[key] = c.secrets.value(plain(value))
	}
	result["changed"] = len(c.differences) > 0
	if c.Diff && len(c.differences) > 0 {
		before, after := map[string]any{}, map[string]any{}
		for _, d := range c.differences {
			before[d.name] = plain(d.before)
			after[d.name] = plain(d.after)
		}
		result["diff"] = map[string]any{"before": c.secrets.value(before), "after": c.secrets.value(after)}
	}
	if len(c.warnings) > 0 {
		warnings := make([]any, len(c.warnings))
		for i, warning := range c.warnings {
			warnings[i] = c.secrets.text(oneLine(warning))
		}
		result["warnings"] = warnings
	}
	if err != nil {
		result["failed"] = true
		result["msg"] = c.secrets.text(oneLine(err.Error()))
	}
	return result
}

// plain turns any value into decoded JSON: nil, bool, string, int64, float64, []any, map[string]any.
func plain(value any) any {
	switch v := value.(type) {
	case nil, bool, string, int64, float64:
		return v
	case int:
		return int64(v)
	}
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%v", value)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	decoded, err := decodeValue(decoder, 0)
	if err != nil {
		return string(data)
	}
	return decoded
}

// oneLine joins the lines of text: a message of Ansible is one line.
func oneLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, " ")
}

// encode writes a result as one line of valid UTF-8.
func encode(result map[string]any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(result); err != nil {
		// Only a value that is not JSON could do this, and plain lets none through.
		return []byte(`{"failed": true, "changed": false, "msg": "the module's result cannot be written as JSON"}` + "\n")
	}
	return bytes.ToValidUTF8(out.Bytes(), []byte("\uFFFD"))
}
