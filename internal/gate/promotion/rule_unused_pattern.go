// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// unusedPattern is reported for a pattern that matches no file: it is likely to be misspelt, so that its files may have a class with fewer requirements.
type unusedPattern struct{}

func (unusedPattern) Info() gate.Info {
	return gate.Info{ID: "unused_pattern", Summary: "A pattern of the policy matches no file", NeverWaive: noWaiver}
}

func (unusedPattern) Check(_ context.Context, ev *evaluation, _ *gate.Report) {
	for _, p := range ev.policies {
		ev.checkPatterns(p)
	}
}

func (ev *evaluation) checkPatterns(p version) {
	for _, m := range p.Repositories[ev.request.Repository].Classes {
		for _, pattern := range m.Paths {
			matches := func(files map[string]file) bool {
				for path := range files {
					if pattern.match(path) {
						return true
					}
				}
				return false
			}
			if !matches(ev.trees["head"]) && !matches(ev.trees["base"]) {
				ev.addFor("unused_pattern", p.of, "the pattern %s of the class %s matches no file of base or head; correct it, or move it to optional_paths", pattern.Text, m.Class)
			}
		}
	}
}
