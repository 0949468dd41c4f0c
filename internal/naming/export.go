// SPDX-License-Identifier: GPL-3.0-or-later

package naming

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// exported is a table in the form of tofu/naming: all references resolved, and classes of characters as regular expressions.
type exported struct {
	Reserved exportedWords             `json:"reserved"`
	Systems  map[string]exportedSystem `json:"systems"`
}

type exportedWords struct {
	Apps []string `json:"apps"`
	Envs []string `json:"envs"`
}

type exportedSystem struct {
	Scope            string   `json:"scope"`
	Space            string   `json:"space"`
	Prod             string   `json:"prod"`
	Other            string   `json:"other"`
	Says             string   `json:"says"`
	MaxBytes         int      `json:"max_bytes"`
	Split            string   `json:"split"`
	Parts            int      `json:"parts"`
	PartMaxBytes     int      `json:"part_max_bytes"`
	Pattern          string   `json:"pattern"`
	Reserved         []string `json:"reserved"`
	ReservedPrefixes []string `json:"reserved_prefixes"`
}

// Export returns the table as JSON for the OpenTofu module tofu/naming.
func (t *Table) Export() ([]byte, error) {
	out := exported{
		Reserved: exportedWords{slices.Sorted(maps.Keys(t.reservedApps)), slices.Sorted(maps.Keys(t.reservedEnvs))},
		Systems:  make(map[string]exportedSystem, len(t.systems)),
	}
	for _, s := range t.systems {
		out.Systems[s.name] = exportedSystem{
			Scope: s.Scope, Space: s.Space, Prod: s.Prod, Other: s.Other,
			Says: s.rule.Says, MaxBytes: s.rule.MaxBytes, Split: s.rule.Split, Parts: s.rule.Parts, PartMaxBytes: s.rule.PartMaxBytes,
			Pattern: s.rule.pattern(), Reserved: orEmpty(s.rule.Reserved), ReservedPrefixes: orEmpty(s.rule.ReservedPrefixes),
		}
	}
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(out); err != nil {
		return nil, fmt.Errorf("writing the table of names as JSON: %w", err)
	}
	return data.Bytes(), nil
}

// orEmpty returns words as a list that JSON encodes as [] and not as null.
func orEmpty(words []string) []string { return append([]string{}, words...) }

// pattern returns a regular expression (RE2) for the character rules of checkPart.
func (r *rule) pattern() string {
	var single class
	for b := range single {
		single[b] = r.first[b] && r.last[b]
	}
	long := fmt.Sprintf("[%s][%s]*[%s]", r.first.String(), r.chars.String(), r.last.String())
	if only := single.String(); only != "" {
		return fmt.Sprintf("^([%s]|%s)$", only, long)
	}
	return "^" + long + "$"
}

// String is the class as it is written between the brackets of a regular expression.
func (c class) String() string {
	var out strings.Builder
	hyphen := false
	for low := 0; low < len(c); low++ {
		if !c[low] {
			continue
		}
		high := low
		for high+1 < len(c) && c[high+1] && high+1 != '-' && low != '-' {
			high++
		}
		switch {
		case low == '-':
			hyphen = true
		case high-low > 1:
			fmt.Fprintf(&out, "%c-%c", low, high)
		default:
			for b := low; b <= high; b++ {
				fmt.Fprintf(&out, "%c", b)
			}
		}
		low = high
	}
	if hyphen {
		out.WriteByte('-')
	}
	return out.String()
}
