// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/oneline"
	"github.com/arcodange-org/sandbox/internal/strictyaml"
)

// Waiver lets a drift be until a day, for a reason.
type Waiver struct {
	Path    string    `json:"path"` // of the drift; * stands for one segment, but not for the first
	Reason  string    `json:"reason"`
	Expires time.Time `json:"-"`       // midnight UTC of the last day on which it holds
	Last    string    `json:"expires"` // the same as YYYY-MM-DD
	Place   string    `json:"where"`   // file:line
}

// String is the waiver on one line, as evidence has it.
func (w Waiver) String() string { return fmt.Sprintf("%s until %s: %s", w.Path, w.Last, w.Reason) }

// Waived is a drift that a waiver lets be.
type Waived struct {
	Drift
	Reason  string `json:"reason"`
	Expires string `json:"expires"`
}

// longest is how far ahead a waiver may expire: one that nobody has to look at again is no waiver.
const longest = 366 * 24 * time.Hour

// LoadWaivers reads the waivers in file, as ParseWaivers does.
func LoadWaivers(file string, now time.Time) ([]Waiver, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the waivers: %w", err)
	}
	return ParseWaivers(file, data, now)
}

// ParseWaivers reads a list of waivers: each with path, reason and expires, the
// last at most 366 days after now. file says in messages where it comes from.
func ParseWaivers(file string, data []byte, now time.Time) ([]Waiver, error) {
	p := parser{strictyaml.File(file)}
	root, err := p.Document(data)
	if err != nil {
		return nil, fmt.Errorf("reading the waivers: %w", err)
	}
	var waivers []Waiver
	err = named(p, root, &waivers, "waiver", func(w Waiver) string { return w.Path }, func(n *yaml.Node, into *Waiver) error {
		into.Place = fmt.Sprintf("%s:%d", file, n.Line)
		return p.Mapping(n, []string{"path", "reason", "expires"}, strictyaml.Keys{
			"path":    func(n *yaml.Node) error { return p.waivedPath(n, into) },
			"reason":  func(n *yaml.Node) error { return p.reason(n, into) },
			"expires": func(n *yaml.Node) error { return p.expiry(n, into, now) },
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading the waivers: %w", err)
	}
	return waivers, nil
}

func (p parser) waivedPath(n *yaml.Node, into *Waiver) error {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		return p.At(n, "the path of a drift is needed here, such as nodes/*/architecture")
	}
	segments := strings.Split(n.Value, "/")
	switch {
	case slices.Contains(segments, ""):
		return p.At(n, "%q has an empty segment", n.Value)
	case strings.Contains(segments[0], "*") || segments[0] == "waivers" || len(segments) < 2:
		return p.At(n, "%q does not begin with the section that it waives a drift of", n.Value)
	case slices.ContainsFunc(segments, func(s string) bool { return s != "*" && strings.Contains(s, "*") }):
		return p.At(n, "%q: * stands for a whole segment", n.Value)
	}
	into.Path = n.Value
	return nil
}

func (p parser) reason(n *yaml.Node, into *Waiver) error {
	into.Reason = oneline.Join(n.Value)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" || into.Reason == "" {
		return p.At(n, "a reason is needed here")
	}
	return nil
}

func (p parser) expiry(n *yaml.Node, into *Waiver, now time.Time) error {
	day, err := time.Parse(time.DateOnly, n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		return p.At(n, "a day is needed here, as YYYY-MM-DD")
	}
	if day.Sub(now) > longest {
		return p.At(n, "%s is more than a year ahead: choose a day by which somebody looks at it again", n.Value)
	}
	into.Expires, into.Last = day, n.Value
	return nil
}

func (w Waiver) covers(path string) bool {
	mine, theirs := strings.Split(w.Path, "/"), strings.Split(path, "/")
	return len(mine) == len(theirs) &&
		slices.EqualFunc(mine, theirs, func(m, t string) bool { return m == "*" || m == t })
}

// expired tells whether the last day of a waiver is over.
func (w Waiver) expired(now time.Time) bool { return !now.Before(w.Expires.AddDate(0, 0, 1)) }

// Waive parts drifts into those that stand and those that a waiver lets be. A
// waiver that expired waives nothing and is a drift itself. unused are those
// that hold and were not needed.
func Waive(drifts []Drift, waivers []Waiver, now time.Time) (standing []Drift, waived []Waived, unused []Waiver) {
	standing, waived, unused = []Drift{}, []Waived{}, []Waiver{}
	used := make([]bool, len(waivers))
	for _, drift := range drifts {
		at := -1
		for i, w := range waivers {
			if !w.expired(now) && w.covers(drift.Path) {
				used[i] = true
				if at < 0 {
					at = i
				}
			}
		}
		if at < 0 {
			standing = append(standing, drift)
			continue
		}
		waived = append(waived, Waived{Drift: drift, Reason: waivers[at].Reason, Expires: waivers[at].Last})
	}
	for i, w := range waivers {
		switch {
		case w.expired(now):
			standing = append(standing, Drift{Path: "waivers/" + w.Path, Expected: "a waiver that holds", Found: "expired on " + w.Last, Source: w.Place})
		case !used[i]:
			unused = append(unused, w)
		}
	}
	return standing, waived, unused
}
