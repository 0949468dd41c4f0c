// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// summaries are those of the programs' errors. Errors of providers may quote
// values, so they are not shown.
var summaries = []string{
	"Argument or block definition required", "Backend configuration changed", "Backend initialization required",
	"Call to unknown function", "Duplicate output definition", "Duplicate provider configuration", "Duplicate required providers configuration",
	"Duplicate resource", "Duplicate variable declaration", "Error acquiring the state lock", "Error in function call",
	"Failed to get existing workspaces", "Failed to install provider", "Failed to load plugin schemas", "Failed to query available provider packages",
	"Inconsistent dependency lock file", "Incorrect attribute value type", "Incorrect condition type", "Instance cannot be destroyed",
	"Invalid combination of arguments", "Invalid count argument", "Invalid expression", "Invalid for_each argument", "Invalid function argument",
	"Invalid index", "Invalid reference", "Invalid template interpolation value", "Invalid value for variable", "Missing required argument",
	"Missing required provider", "Module not found", "Module not installed", "Moved object still exists", "No value for required variable",
	"Output refers to sensitive values", "Provider configuration not present", "Reference to undeclared input variable",
	"Reference to undeclared local value", "Reference to undeclared module", "Reference to undeclared resource",
	"Required plugins are not installed", "Resource postcondition failed", "Resource precondition failed", "Sensitive value in for_each",
	"Unreadable module directory", "Unsupported Terraform Core version", "Unsupported OpenTofu Core version", "Unsupported argument",
	"Unsupported attribute", "Unsupported block type", "Variables not allowed",
}

const reasonKept = "the reason may quote a value, so plan by hand to read it"

// plain shortens an error to the part before any quoted value, and its position.
func plain(summary string) string {
	if summary == "" {
		return ""
	}
	text, place, _ := strings.Cut(summary, placeMark)
	text, _, _ = strings.Cut(text, ":")
	if !slices.Contains(summaries, text) {
		text = reasonKept
	}
	return text + place
}

// placeMark separates the summary of an error from its position.
const placeMark = "\x00"

// firstError is the line of the first error.
func firstError(stderr []byte) string {
	for line := range strings.Lines(string(stderr)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(strings.Trim(line, "│╷╵ \n")), "Error: "); ok {
			return rest
		}
	}
	return ""
}

// event is a line that `plan -json` prints.
type event struct {
	Type       string `json:"type"`
	Diagnostic struct {
		Severity string `json:"severity"`
		Summary  string `json:"summary"`
		Address  string `json:"address"`
		Range    struct {
			File  string `json:"filename"`
			Start struct {
				Line int `json:"line"`
			} `json:"start"`
		} `json:"range"`
	} `json:"diagnostic"`
}

func events(stdout []byte, each func(event)) {
	lines := bufio.NewScanner(bytes.NewReader(stdout))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) == nil {
			each(e)
		}
	}
}

func diagnosed(stdout []byte) (summary string) {
	events(stdout, func(e event) {
		d := e.Diagnostic
		if d.Severity != "error" || summary != "" {
			return
		}
		summary = d.Summary + placeMark
		if d.Address != "" {
			summary += " for " + d.Address
		}
		if d.Range.File != "" {
			summary += fmt.Sprintf(" at %s:%d", d.Range.File, d.Range.Start.Line)
		}
	})
	return summary
}

var userinfo = lazyregexp.New(`://[^/@\s]*@`)

// mask removes secrets from a text. It keeps values of less than 4 characters, which occur everywhere.
func mask(text string, secrets []string) string {
	text = userinfo.ReplaceAllString(text, "://(masked)@")
	sorted := slices.Clone(secrets)
	slices.SortFunc(sorted, func(a, b string) int { return len(b) - len(a) })
	for _, secret := range sorted {
		if len(secret) >= 4 {
			text = strings.ReplaceAll(text, secret, "(masked)")
		}
	}
	return text
}
