// SPDX-License-Identifier: GPL-3.0-or-later

//go:build sandbox && acceptance

package drift

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// together splits the drifts into groups of which each task finds one, so that
// none hides another.
func together() [][]drift {
	var groups, single [][]drift
	for _, d := range drifts {
		if d.alone {
			single = append(single, []drift{d})
			continue
		}
		at := slices.IndexFunc(groups, func(group []drift) bool {
			return !slices.ContainsFunc(group, func(other drift) bool { return other.found == d.found })
		})
		if at < 0 {
			groups = append(groups, nil)
			at = len(groups) - 1
		}
		groups[at] = append(groups[at], d)
	}
	return append(groups, single...)
}

func TestDriftsTogetherAreFoundAndRepaired(t *testing.T) {
	require.GreaterOrEqual(t, len(drifts), 80)
	l := newLab(t)
	for i, group := range together() {
		t.Run(fmt.Sprintf("group %d", i+1), func(t *testing.T) {
			for _, d := range slices.Backward(group) {
				t.Log(d.name)
				l.do(t, d)
			}
			l.repaired(t, group)
		})
	}
}

// on returns drifts of one node that do not hide each other.
func on(node string) (group []drift) {
	for _, d := range drifts {
		if d.where == node && !d.alone && !slices.ContainsFunc(group, func(other drift) bool { return other.found == d.found }) {
			group = append(group, d)
		}
	}
	return group
}

func TestDriftsOfOneNodeAreFoundAndRepairedWithLimit(t *testing.T) {
	l := newLab(t)
	for _, node := range []string{"pi1", "pi2", "pi3"} {
		t.Run(node, func(t *testing.T) {
			group := on(node)
			require.NotEmpty(t, group)
			for _, d := range slices.Backward(group) {
				l.do(t, d)
			}
			l.repaired(t, group, "--limit", node)
		})
	}
	require.Empty(t, l.play(t, "site.yml").changed)
}

// With the tags of its role, a drift is looked for in a quarter of the time.
func TestEachDriftIsFoundAndRepaired(t *testing.T) {
	require.GreaterOrEqual(t, len(drifts), 80)
	l := newLab(t)
	for _, d := range drifts {
		t.Run(d.name, func(t *testing.T) {
			l.do(t, d)
			if d.alone { // it concerns other roles too
				l.repaired(t, []drift{d})
				return
			}
			role, _, _ := strings.Cut(d.found, " : ")
			l.repaired(t, []drift{d}, "--tags", role)
		})
	}
	require.Empty(t, l.play(t, "site.yml").changed)
}
