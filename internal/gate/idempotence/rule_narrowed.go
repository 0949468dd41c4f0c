// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// narrowed is reported for tags and a starting task that come from the
// environment or ansible.cfg, and not from the options.
type narrowed struct{}

func (narrowed) Info() gate.Info {
	return gate.Info{ID: "narrowed", Summary: "Tags or a starting task that are not options of the module left tasks out", NeverWaive: "use the options tags and skip_tags"}
}

func (narrowed) Check(_ context.Context, r *recording, report *gate.Report) {
	begin, tags := r.events[0], r.expected.Tags
	if len(tags) == 0 {
		tags = []string{"all"}
	}
	if !sameSet(begin.Tags, tags) {
		report.Add(r.whole("narrowed", "tags "+strings.Join(tags, ","), "the run had the tags "+strings.Join(begin.Tags, ",")))
	}
	if !sameSet(begin.SkipTags, r.expected.SkipTags) {
		report.Add(r.whole("narrowed", "skipped tags: "+strings.Join(r.expected.SkipTags, ","), "the run skipped the tags "+strings.Join(begin.SkipTags, ",")))
	}
	if begin.StartAt != "" {
		report.Add(r.whole("narrowed", "every task", fmt.Sprintf("the run started at the task %q", begin.StartAt)))
	}
}

func sameSet(a, b []string) bool {
	set := func(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
	return slices.Equal(set(a), set(b))
}
