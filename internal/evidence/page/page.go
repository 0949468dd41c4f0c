// SPDX-License-Identifier: GPL-3.0-or-later

// Package page renders a ledger as one HTML page without scripts, network access
// or other files. It does not verify the ledger; it shows the given problems.
package page

import (
	"cmp"
	"crypto/sha256"
	_ "embed" // for the template
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/oneline"
	"github.com/arcodange-org/sandbox/internal/tree"
)

//go:embed page.html.tmpl
var source string

// Limits of the page, so that a phone's browser can render it.
const (
	inFull  = 500      // newest records of the timeline; those before are counted by month
	inPlot  = 60       // newest runs of a trend
	maximum = 64 << 20 // bytes of a report whose digest is taken
)

// Options of a page.
type Options struct {
	Title  string
	Folder string    // of the page: reports below it become links
	Now    time.Time // ages count from here, in days
}

// Render writes the page. Entries are in the order of the ledger.
func Render(w io.Writer, entries []evidence.Entry, verified evidence.Verification, options Options) error {
	parsed, err := template.New("page").Parse(source)
	if err != nil {
		return fmt.Errorf("reading the page's template: %w", err)
	}
	if err := parsed.Execute(w, view(entries, verified, options)); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

type everything struct {
	Title    string
	Day      string
	Records  int
	Head     string
	Breaks   []evidence.Break
	Problems []string
	Torn     int
	Gates    []string
	Classes  []class
	Trends   []trend
	Days     []day
	Months   []month
}

type class struct {
	Name  string
	Cells []cell
}

// cell is the newest run of a gate for a class; Sequence 0 for none.
type cell struct {
	Gate     string
	Sequence int
	Verdict  string
	Age      string
	Date     string
	Fidelity string
	Notes    []string
}

type day struct {
	Date string
	Runs []one
}

type one struct {
	Sequence int
	Time     string
	What     string
	Verdict  string
	Summary  string
	Took     string
	Signed   bool
	Trees    []tree.State
	Facts    []fact
	Report   report
}

type fact struct{ Name, Value string }

type report struct {
	Link   string // relative to the page; empty if it is not below the page's folder
	Path   string
	Digest string
	Wrong  string // why it is not the recorded report
}

type month struct {
	Name       string
	Green, Red int
}

func view(entries []evidence.Entry, verified evidence.Verification, options Options) everything {
	all := everything{
		Title: options.Title, Day: options.Now.UTC().Format(time.DateOnly), Records: len(entries), Torn: verified.Torn,
		Trends: trends(entries), Breaks: verified.Breaks,
	}
	if verified.Head.Sequence > 0 {
		all.Head = fmt.Sprintf("%d:%s", verified.Head.Sequence, verified.Head.Hash)
	}
	for _, problem := range verified.Problems {
		all.Problems = append(all.Problems, problem.Message)
	}
	all.Gates, all.Classes = matrix(entries, options.Now)
	recent := entries[max(0, len(entries)-inFull):]
	for _, entry := range slices.Backward(recent) {
		date := entry.Time.UTC().Format(time.DateOnly)
		if len(all.Days) == 0 || all.Days[len(all.Days)-1].Date != date {
			all.Days = append(all.Days, day{Date: date})
		}
		last := &all.Days[len(all.Days)-1]
		last.Runs = append(last.Runs, oneOf(entry, options.Folder))
	}
	all.Months = months(entries[:len(entries)-len(recent)])
	return all
}

// matrix is the newest run of each gate for each class. A run that names no
// class counts for all of them.
func matrix(entries []evidence.Entry, now time.Time) ([]string, []class) {
	gates, names := map[string]bool{}, map[string]bool{}
	latest := map[[2]string]int{} // class and gate → index; class "" for all
	for i, entry := range entries {
		gates[entry.What] = true
		if len(entry.Classes) == 0 {
			latest[[2]string{"", entry.What}] = i
		}
		for _, name := range entry.Classes {
			names[name] = true
			latest[[2]string{name, entry.What}] = i
		}
	}
	columns, rows := slices.SortedFunc(maps.Keys(gates), gatesFirst), slices.Sorted(maps.Keys(names))
	if len(rows) == 0 {
		rows = []string{""}
	}
	var classes []class
	for _, name := range rows {
		row := class{Name: name}
		for _, gate := range columns {
			own, found := latest[[2]string{name, gate}]
			shared, ofAll := latest[[2]string{"", gate}]
			if ofAll && (!found || shared > own) {
				own, found = shared, true
			}
			if !found {
				row.Cells = append(row.Cells, cell{Gate: gate})
				continue
			}
			row.Cells = append(row.Cells, cellOf(entries[own], now))
		}
		classes = append(classes, row)
	}
	return columns, classes
}

// gatesFirst orders by name, drills after gates.
func gatesFirst(a, b string) int {
	drill := func(name string) int {
		if strings.HasPrefix(name, "drill") {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(drill(a), drill(b)), cmp.Compare(a, b))
}

func cellOf(entry evidence.Entry, now time.Time) cell {
	c := cell{
		Gate: entry.What, Sequence: entry.Sequence, Verdict: verdict(entry), Date: entry.Time.UTC().Format(time.DateOnly),
		Fidelity: join(" · ", entry.Mode, entry.Driver, entry.Distribution),
	}
	switch days := daysBetween(entry.Time, now); {
	case days < 0:
		c.Age = "in the future"
	case days == 0:
		c.Age = "today"
	case days == 1:
		c.Age = "1 day ago"
	default:
		c.Age = fmt.Sprintf("%d days ago", days)
	}
	for _, tree := range entry.Trees {
		if tree.Dirty {
			c.Notes = append(c.Notes, "uncommitted changes in "+tree.Repository)
		}
	}
	if n := len(entry.Deviations); n > 0 {
		c.Notes = append(c.Notes, plural(n, "deviation"))
	}
	if n := len(entry.Waivers); n > 0 {
		c.Notes = append(c.Notes, plural(n, "waiver"))
	}
	return c
}

// verdict is the page's class for a verdict: everything that is not green is red.
func verdict(entry evidence.Entry) string {
	if entry.Verdict == evidence.Green {
		return "green"
	}
	return "red"
}

func daysBetween(then, now time.Time) int {
	start := func(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
	return int(start(now).Sub(start(then)) / (24 * time.Hour))
}

func oneOf(entry evidence.Entry, folder string) one {
	o := one{
		Sequence: entry.Sequence, Time: entry.Time.UTC().Format("15:04"), What: entry.What, Verdict: verdict(entry), Summary: entry.Summary,
		Took: took(entry.Duration), Signed: entry.Signature != "", Trees: entry.Trees, Report: reportOf(entry.Report, folder),
	}
	add := func(name, value string) {
		if value != "" {
			o.Facts = append(o.Facts, fact{name, value})
		}
	}
	add("Fidelity", join(" · ", entry.Mode, entry.Driver, entry.Distribution))
	add("Classes", strings.Join(entry.Classes, ", "))
	add("Deviations", strings.Join(entry.Deviations, "; "))
	add("Waivers", strings.Join(entry.Waivers, "; "))
	for _, name := range slices.Sorted(maps.Keys(entry.Versions)) {
		add(name, entry.Versions[name])
	}
	add("Inventory", short(entry.Inventory))
	add("Boundary manifest", short(entry.Boundary))
	add("Parity manifest", short(entry.Manifest))
	add("Hash of this record", short(entry.Hash))
	return o
}

func short(digest string) string { return oneline.Cut(digest, 16) }

// reportOf checks whether the report is still the recorded one.
func reportOf(left evidence.Report, folder string) report {
	r := report{Path: left.Path, Digest: short(left.SHA256)}
	if left.Path == "" {
		return r
	}
	info, err := os.Stat(left.Path)
	switch {
	case err != nil:
		r.Wrong = "it is not there any more"
	case !info.Mode().IsRegular() || info.Size() > maximum:
		r.Wrong = "it is not a report"
	default:
		data, err := os.ReadFile(left.Path)
		if err != nil {
			r.Wrong = "it cannot be read"
		} else if fmt.Sprintf("%x", sha256.Sum256(data)) != left.SHA256 {
			r.Wrong = "it was changed since"
		}
	}
	if relative, err := filepath.Rel(folder, left.Path); err == nil && filepath.IsLocal(relative) && r.Wrong == "" {
		r.Link = (&url.URL{Path: "./" + filepath.ToSlash(relative)}).EscapedPath()
	}
	return r
}

// months counts older runs by month, newest first.
func months(entries []evidence.Entry) []month {
	var counted []month
	for _, entry := range slices.Backward(entries) {
		name := entry.Time.UTC().Format("2006-01")
		if len(counted) == 0 || counted[len(counted)-1].Name != name {
			counted = append(counted, month{Name: name})
		}
		if last := &counted[len(counted)-1]; verdict(entry) == "green" {
			last.Green++
		} else {
			last.Red++
		}
	}
	return counted
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func join(between string, words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(word string) bool { return word == "" }), between)
}

// took formats a duration with one unit.
func took(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 100*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 10*time.Minute:
		return fmt.Sprintf("%.1f min", d.Minutes())
	case d < 10*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}
