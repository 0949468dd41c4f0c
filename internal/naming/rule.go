// SPDX-License-Identifier: GPL-3.0-or-later

package naming

import (
	"errors"
	"fmt"
	"strings"
)

// rule is a rule for the names of systems, as in the table.
type rule struct {
	Says             string   `yaml:"says"`
	MaxBytes         int      `yaml:"max_bytes"`
	Split            string   `yaml:"split"`
	Parts            int      `yaml:"parts"`
	PartMaxBytes     int      `yaml:"part_max_bytes"`
	Chars            string   `yaml:"chars"`
	First            string   `yaml:"first"`
	Last             string   `yaml:"last"`
	Reserved         []string `yaml:"reserved"`
	ReservedPrefixes []string `yaml:"reserved_prefixes"`

	name               string
	chars, first, last class
}

// class is a set of ASCII characters.
type class [128]bool

func (c *class) has(b byte) bool { return b < 128 && c[b] }

// parseClass parses the inside of a regular expression's brackets: characters and ranges, a hyphen last.
func parseClass(text string) (class, error) {
	var c class
	if text == "" {
		return c, errors.New("it is empty")
	}
	for at := 0; at < len(text); at++ {
		low := text[at]
		if low >= 128 || low <= ' ' || strings.IndexByte(`[]^\/"`, low) >= 0 {
			return c, fmt.Errorf("%q cannot be in it; printable ASCII without brackets, ^, \\, / and quotes can", text[at:at+1])
		}
		high := low
		if at+2 < len(text) && text[at+1] == '-' {
			high = text[at+2]
			at += 2
			if high >= 128 || high < low || low == '-' {
				return c, fmt.Errorf("%q is not a range of characters", text[at-2:at+1])
			}
		} else if low == '-' && at != len(text)-1 {
			return c, errors.New("a hyphen outside a range must be the last character")
		}
		for b := low; b <= high; b++ {
			c[b] = true
		}
	}
	return c, nil
}

// compile checks the rule itself.
func (r *rule) compile(name string) error {
	r.name = name
	bad := func(format string, args ...any) error {
		return fmt.Errorf("rule %q: %w", name, fmt.Errorf(format, args...))
	}
	if r.Says == "" {
		return bad("it must say, in `says`, what it allows")
	}
	if r.MaxBytes < 1 || r.MaxBytes > 4096 {
		return bad("max_bytes is %d; it must be 1 to 4096", r.MaxBytes)
	}
	if len(r.Split) > 1 {
		return bad("split is %q; it must be one character", r.Split)
	}
	if r.Split == "" && (r.PartMaxBytes != 0 || r.Parts != 0) {
		return bad("part_max_bytes and parts are about parts, and there is no `split`")
	}
	if r.PartMaxBytes < 0 || r.Parts < 0 {
		return bad("part_max_bytes and parts cannot be negative")
	}
	if r.First == "" {
		r.First = r.Chars
	}
	if r.Last == "" {
		r.Last = r.Chars
	}
	for _, c := range []struct {
		key, text string
		into      *class
	}{{"chars", r.Chars, &r.chars}, {"first", r.First, &r.first}, {"last", r.Last, &r.last}} {
		var err error
		if *c.into, err = parseClass(c.text); err != nil {
			return bad("%s is %q: %w", c.key, c.text, err)
		}
	}
	if r.Split != "" && r.chars.has(r.Split[0]) {
		return bad("split is %q, which is also one of chars", r.Split)
	}
	return nil
}

// refusal is the reason why a rule does not allow a name; part is the invalid part.
type refusal struct {
	part string
	why  string
}

// check returns why name breaks the rule; nil if it does not.
func (r *rule) check(name string) *refusal {
	if len(name) > r.MaxBytes {
		return &refusal{name[r.MaxBytes:], fmt.Sprintf("it has %d bytes and %d are allowed, so that %q is too much", len(name), r.MaxBytes, name[r.MaxBytes:])}
	}
	if r.Split == "" {
		return r.checkPart(name)
	}
	rest, parts := name, 1
	for {
		part, after, more := strings.Cut(rest, r.Split)
		if found := r.checkPart(part); found != nil {
			return found
		}
		if !more {
			break
		}
		rest = after
		parts++
	}
	if r.Parts != 0 && parts != r.Parts {
		return &refusal{name, fmt.Sprintf("it has %d parts between %q and must have %d", parts, r.Split, r.Parts)}
	}
	return nil
}

func (r *rule) checkPart(part string) *refusal {
	if part == "" {
		return &refusal{part, "a part of it is empty"}
	}
	if r.PartMaxBytes != 0 && len(part) > r.PartMaxBytes {
		return &refusal{part, fmt.Sprintf("its part %q has %d bytes and %d are allowed", part, len(part), r.PartMaxBytes)}
	}
	for at := range len(part) {
		switch b := part[at]; {
		case at == 0 && !r.first.has(b):
			return &refusal{part, fmt.Sprintf("%q may not begin with %q", part, b)}
		case at == len(part)-1 && !r.last.has(b):
			return &refusal{part, fmt.Sprintf("%q may not end with %q", part, b)}
		case at != 0 && at != len(part)-1 && !r.chars.has(b):
			return &refusal{part, fmt.Sprintf("%q may not hold %q", part, b)}
		}
	}
	for _, word := range r.Reserved {
		if part == word {
			return &refusal{part, fmt.Sprintf("%q is reserved by the system", part)}
		}
	}
	for _, prefix := range r.ReservedPrefixes {
		if strings.HasPrefix(part, prefix) {
			return &refusal{part, fmt.Sprintf("names that begin with %q are reserved by the system", prefix)}
		}
	}
	return nil
}
