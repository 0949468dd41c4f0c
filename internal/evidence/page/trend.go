// SPDX-License-Identifier: GPL-3.0-or-later

package page

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/evidence"
)

// The plot's measures, in the units of its view box.
const (
	width, height          = 600.0, 180.0
	left, right, top, base = 64.0, 12.0, 12.0, 28.0
)

// trend is the durations of one gate's newest runs.
type trend struct {
	Name        string
	ID          string
	Runs        int
	Caption     string // description of the plot
	Line        string // points of the line
	Marks       []mark
	Ticks       []tick
	First, Last string // dates below the axis
}

type mark struct {
	X, Y  string
	Red   bool
	Cross string // path, for a red one
}

type tick struct{ Y, TextY, Label string }

func trends(entries []evidence.Entry) []trend {
	runs := map[string][]evidence.Entry{}
	var names []string
	for _, entry := range entries {
		if runs[entry.What] == nil {
			names = append(names, entry.What)
		}
		runs[entry.What] = append(runs[entry.What], entry)
	}
	slices.SortFunc(names, gatesFirst)
	var found []trend
	for i, name := range names {
		own := runs[name]
		if len(own) < 2 {
			continue // one point is no trend
		}
		found = append(found, trendOf(name, fmt.Sprintf("trend-%d", i+1), own[max(0, len(own)-inPlot):]))
	}
	return found
}

func trendOf(name, id string, runs []evidence.Entry) trend {
	t := trend{
		Name: name, ID: id, Runs: len(runs),
		First: runs[0].Time.UTC().Format(time.DateOnly), Last: runs[len(runs)-1].Time.UTC().Format(time.DateOnly),
	}
	var sorted []time.Duration
	red := 0
	for _, run := range runs {
		sorted = append(sorted, run.Duration)
		if verdict(run) == "red" {
			red++
		}
	}
	slices.Sort(sorted)
	slowest := sorted[len(sorted)-1]
	step, unit, word := scale(slowest)
	highest := math.Max(1, math.Ceil(float64(slowest)/float64(step))) * float64(step)
	y := func(d float64) float64 { return top + (height-top-base)*(1-d/highest) }
	x := func(i int) float64 {
		return left + (width-left-right)*float64(i)/float64(len(runs)-1)
	}
	for value := 0.0; value <= highest+1; value += float64(step) {
		t.Ticks = append(t.Ticks, tick{Y: number(y(value)), TextY: number(y(value) + 4), Label: fmt.Sprintf("%g %s", value/float64(unit), word)})
	}
	var points []string
	for i, run := range runs {
		px, py := x(i), y(float64(run.Duration))
		points = append(points, number(px)+","+number(py))
		m := mark{X: number(px), Y: number(py), Red: verdict(run) == "red"}
		if m.Red {
			const arm = 5
			m.Cross = fmt.Sprintf("M%s %sL%s %sM%s %sL%s %s", number(px-arm), number(py-arm), number(px+arm), number(py+arm),
				number(px-arm), number(py+arm), number(px+arm), number(py-arm))
		}
		t.Marks = append(t.Marks, m)
	}
	t.Line = strings.Join(points, " ")
	t.Caption = fmt.Sprintf("%s, %d red. Fastest %s, half below %s, slowest %s, last %s.", plural(len(runs), "run"), red, took(sorted[0]),
		took(sorted[len(sorted)/2]), took(slowest), took(runs[len(runs)-1].Duration))
	return t
}

// scale finds a round step that the longest duration has at most five of.
func scale(longest time.Duration) (step, unit time.Duration, word string) {
	unit, word = time.Second, "s"
	switch {
	case longest > 10*time.Hour:
		unit, word = time.Hour, "h"
	case longest > 10*time.Minute:
		unit, word = time.Minute, "min"
	}
	for magnitude := unit / 100; ; magnitude *= 10 {
		for _, factor := range []time.Duration{1, 2, 5} {
			if step = factor * magnitude; step > 0 && longest <= 5*step {
				return step, unit, word
			}
		}
	}
}

func number(f float64) string { return fmt.Sprintf("%.1f", f) }
