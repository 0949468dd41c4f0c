// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// incomplete is reported for a run with missing events, with higher counts in
// Ansible's recap than in the events, or with an error of the program
// that no event explains.
type incomplete struct{}

func (incomplete) Info() gate.Info {
	return gate.Info{ID: "incomplete", Summary: "The run ended early, or not all of its events arrived", NeverWaive: "what was not seen was not checked; run it again"}
}

func (incomplete) Check(_ context.Context, r *recording, report *gate.Report) {
	add := func(host, found string) {
		f := r.whole("incomplete", "the events of the whole run", found)
		f.Host = host
		report.Add(f)
	}
	last := r.events[len(r.events)-1]
	counted := map[string]counts{}
	switch {
	case r.broken != nil:
		add("", r.broken.Error())
		return
	case last.Kind != "end":
		found := "the run stopped before its recap"
		if r.ended != nil {
			found += ": " + how(r.ended)
		}
		add("", found)
		return
	}
	if err := json.Unmarshal(last.Hosts, &counted); err != nil {
		add("", "Ansible's recap cannot be read: "+err.Error())
		return
	}
	for _, host := range slices.Sorted(maps.Keys(counted)) {
		recap, seen := counted[host], r.counted[host]
		for _, row := range []struct {
			what        string
			recap, seen int
		}{
			{"changed", recap.Changed, seen.Changed}, {"failed or rescued", recap.Failures + recap.Rescued, seen.Failures},
			{"unreachable", recap.Unreachable, seen.Unreachable}, {"skipped", recap.Skipped, seen.Skipped}, {"ignored", recap.Ignored, seen.Ignored},
		} {
			if row.recap > row.seen {
				add(host, fmt.Sprintf("Ansible counted %d %s and the events have %d", row.recap, row.what, row.seen))
			}
		}
	}
	if r.ended != nil && !r.has(report, "failed", "rescued_failure", "unreachable") {
		add("", how(r.ended))
	}
}
