// SPDX-License-Identifier: GPL-3.0-or-later

package page

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/tree"
)

var now = time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC)

func entry(n int, what string, verdict evidence.Verdict, age time.Duration) evidence.Entry {
	return evidence.Entry{Sequence: n, Hash: strings.Repeat("a", 64), Record: evidence.Record{
		Time: now.Add(-age), What: what, Verdict: verdict, Summary: "summary of " + what, Duration: time.Duration(n) * time.Second,
		Mode: "vm", Driver: "docker", Distribution: "embedded",
	}}
}

const day1 = 24 * time.Hour

func render(t testing.TB, entries []evidence.Entry, verified evidence.Verification, folder string) (string, *html.Node) {
	t.Helper()
	var out bytes.Buffer
	verified.Records = len(entries)
	require.NoError(t, Render(&out, entries, verified, Options{Title: "Evidence", Folder: folder, Now: now}))
	doc, err := html.Parse(strings.NewReader(out.String()))
	require.NoError(t, err)
	return out.String(), doc
}

// each calls visit for every element.
func each(node *html.Node, visit func(*html.Node)) {
	for n := range node.Descendants() {
		if n.Type == html.ElementNode {
			visit(n)
		}
	}
}

func attribute(node *html.Node, key string) string {
	for _, a := range node.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func textOf(node *html.Node) string {
	var out strings.Builder
	for n := range node.Descendants() {
		if n.Type == html.TextNode {
			out.WriteString(n.Data)
		}
	}
	return strings.Join(strings.Fields(out.String()), " ")
}

// table is the matrix as rows of text.
func table(doc *html.Node) [][]string {
	var rows [][]string
	each(doc, func(n *html.Node) {
		if n.Data != "tr" || len(rows) > 0 && n.Parent.Data == "tbody" && attribute(n.Parent.Parent, "class") != "stack" {
			return
		}
		var row []string
		for cell := range n.ChildNodes() {
			if cell.Type == html.ElementNode {
				row = append(row, textOf(cell))
			}
		}
		rows = append(rows, row)
	})
	return rows
}

func TestTheMatrixShowsTheNewestRunOfEachGateForEachClass(t *testing.T) {
	t.Parallel()
	entries := []evidence.Entry{
		entry(1, "idempotence_gate", evidence.Green, 9*day1),
		entry(2, "drill_restore", evidence.Green, 5*day1),
		entry(3, "idempotence_gate", evidence.Red, 2*day1),
		entry(4, "idempotence_gate", evidence.Green, 0),
	}
	entries[1].Classes = []string{"PostgreSQL"}
	entries[3].Classes = []string{"DNS"}
	entries[3].Trees = []tree.State{{Repository: "factory", Dirty: true}}
	entries[3].Deviations = []string{"embedded distribution"}
	_, doc := render(t, entries, evidence.Verification{}, "/x")
	assert.Equal(t, [][]string{
		{"Class", "idempotence_gate", "drill_restore"},
		{"DNS", "idempotence_gate✓ green today, vm · docker · embeddeduncommitted changes in factory1 deviation", "drill_restorenever run"},
		{"PostgreSQL", "idempotence_gate✗ red 2 days ago, vm · docker · embedded", "drill_restore✓ green 5 days ago, vm · docker · embedded"},
	}, table(doc), "a red run of no class counts for all, until a green one of the class follows")
}

func TestProblemsOfTheLedgerAreOnTop(t *testing.T) {
	t.Parallel()
	entries := []evidence.Entry{entry(1, "idempotence_gate", evidence.Green, 0)}
	text, _ := render(t, entries, evidence.Verification{}, "/x")
	assert.Contains(t, text, "Verified.")
	text, _ = render(t, entries, evidence.Verification{Problems: []evidence.Problem{{Message: "record 7 was removed"}}, Torn: 12}, "/x")
	assert.NotContains(t, text, "Verified.")
	assert.Contains(t, text, "Not to be trusted.")
	assert.Contains(t, text, "record 7 was removed")
	assert.Contains(t, text, "12 bytes of a record")
	text, _ = render(t, nil, evidence.Verification{}, "/x")
	assert.NotContains(t, text, "Verified.", "an empty ledger proves nothing")
	assert.Contains(t, text, "No record.")
}

// poison puts the text into every field of a record that holds text.
func poison(value reflect.Value, text string) {
	switch value.Kind() {
	case reflect.String:
		value.SetString(text)
	case reflect.Struct:
		if value.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range value.NumField() {
			poison(value.Field(i), text)
		}
	case reflect.Slice:
		value.Set(reflect.MakeSlice(value.Type(), 1, 1))
		poison(value.Index(0), text)
	case reflect.Map:
		value.Set(reflect.MakeMap(value.Type()))
		value.SetMapIndex(reflect.ValueOf(text), reflect.ValueOf(text))
	}
}

func TestNothingFromARecordIsMarkup(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</title></style></svg><svg onload=alert(1)>`, `javascript:alert(1)`, `' onfocus='alert(1)`, "{{.Title}}", "\x00\xff",
	} {
		bad := []evidence.Entry{entry(1, "a", evidence.Green, day1), entry(2, "a", evidence.Green, 0)}
		for i := range bad {
			poison(reflect.ValueOf(&bad[i]).Elem(), text)
			bad[i].Verdict = evidence.Verdict(text)
		}
		plain := []evidence.Entry{entry(1, "a", evidence.Green, day1), entry(2, "a", evidence.Green, 0)}
		for i := range plain {
			poison(reflect.ValueOf(&plain[i]).Elem(), "plain")
		}
		problems := func(text string) evidence.Verification {
			return evidence.Verification{Problems: []evidence.Problem{{Message: text}}, Head: evidence.Head{Sequence: 2, Hash: text}}
		}
		shape := func(doc *html.Node) []string {
			var names []string
			each(doc, func(n *html.Node) {
				name := n.Data
				for _, a := range n.Attr {
					name += " " + a.Key
				}
				names = append(names, name)
			})
			return names
		}
		_, expected := render(t, plain, problems("plain"), "/x")
		_, found := render(t, bad, problems(text), "/x")
		assert.Equal(t, shape(expected), shape(found), "%q makes no element and no attribute of its own", text)
		each(found, func(n *html.Node) {
			if href := attribute(n, "href"); href != "" && n.Data == "a" {
				assert.Regexp(t, `^(#timeline$|\./)`, href)
			}
		})
	}
}

func TestThePageNeedsNothingElse(t *testing.T) {
	t.Parallel()
	text, doc := render(t, []evidence.Entry{entry(1, "a", evidence.Green, day1), entry(2, "a", evidence.Red, 0)}, evidence.Verification{}, "/x")
	each(doc, func(n *html.Node) {
		assert.NotContains(t, []string{"script", "iframe", "object", "embed", "img", "form", "base"}, n.Data)
		for _, a := range n.Attr {
			assert.False(t, strings.HasPrefix(a.Key, "on"), "%s has %s", n.Data, a.Key)
			assert.NotEqual(t, "src", a.Key)
		}
		if n.Data == "link" {
			assert.Equal(t, "data:,", attribute(n, "href"))
		}
	})
	assert.NotContains(t, text, "http://")
	assert.NotContains(t, text, "https://")
	assert.NotContains(t, text, "url(")
	assert.NotContains(t, text, "@import")
	assert.Contains(t, text, "default-src 'none'", "and the browser enforces it")
}

func TestThePageIsAccessible(t *testing.T) {
	t.Parallel()
	var entries []evidence.Entry
	for n := range 30 {
		entries = append(entries, entry(n+1, []string{"a", "b"}[n%2], evidence.Green, time.Duration(30-n)*day1))
	}
	_, doc := render(t, entries, evidence.Verification{}, "/x")
	ids, level := map[string]bool{}, 0
	var refers []string
	counts := map[string]int{}
	each(doc, func(n *html.Node) {
		counts[n.Data]++
		if id := attribute(n, "id"); id != "" {
			assert.False(t, ids[id], "the id %s stands twice", id)
			ids[id] = true
		}
		refers = append(refers, strings.Fields(attribute(n, "aria-labelledby"))...)
		if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' {
			now := int(n.Data[1] - '0')
			assert.LessOrEqual(t, now, level+1, "a heading leaves out a level")
			level = now
		}
		switch n.Data {
		case "html":
			assert.Equal(t, "en", attribute(n, "lang"))
		case "th":
			assert.Contains(t, []string{"row", "col"}, attribute(n, "scope"))
		case "svg":
			assert.Equal(t, "img", attribute(n, "role"))
			assert.NotEmpty(t, attribute(n, "aria-labelledby"))
		}
	})
	for _, id := range refers {
		assert.True(t, ids[id], "nothing has the id %s", id)
	}
	assert.Equal(t, 1, counts["h1"])
	assert.Equal(t, 1, counts["main"])
	assert.Equal(t, 2, counts["svg"])
	assert.Equal(t, counts["table"], counts["caption"])
	assert.Equal(t, counts["svg"], counts["figcaption"], "every plot has a description")
}

func TestColoursAreDistinguishable(t *testing.T) {
	t.Parallel()
	_, style, found := strings.Cut(source, ":root {")
	require.True(t, found)
	light, rest, _ := strings.Cut(style, "}")
	_, rest, _ = strings.Cut(rest, ":root {")
	dark, _, _ := strings.Cut(rest, "}")
	for scheme, text := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]string{}
		for part := range strings.SplitSeq(text, ";") {
			if name, value, ok := strings.Cut(part, ":"); ok {
				colours[strings.TrimPrefix(strings.TrimSpace(name), "--")] = strings.TrimSpace(value)
			}
		}
		for _, pair := range [][2]string{
			{"ink", "paper"}, {"ink", "panel"}, {"faint", "paper"}, {"faint", "panel"}, {"green", "paper"}, {"red", "paper"}, {"link", "paper"},
			{"ink", "greenpaper"}, {"ink", "redpaper"}, {"green", "greenpaper"}, {"red", "redpaper"}, {"green", "panel"}, {"red", "panel"},
		} {
			assert.GreaterOrEqual(t, contrast(t, colours[pair[0]], colours[pair[1]]), 4.5, "%s: %s on %s", scheme, pair[0], pair[1])
		}
	}
}

// contrast is the ratio that WCAG 2.2 defines.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(text string) float64 {
		var channel [3]uint8
		_, err := fmt.Sscanf(text, "#%02x%02x%02x", &channel[0], &channel[1], &channel[2])
		require.NoError(t, err, text)
		sum := 0.0
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			c := float64(channel[i]) / 255
			if c <= 0.04045 {
				c /= 12.92
			} else {
				c = math.Pow((c+0.055)/1.055, 2.4)
			}
			sum += weight * c
		}
		return sum
	}
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func TestReports(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name, text string) evidence.Report {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return evidence.Report{Path: path, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(text)))}
	}
	folder := filepath.Join(dir, "pages")
	changed, gone := put("pages/changed.json", "{}"), put("pages/gone.json", "{}")
	put("pages/changed.json", "{ }")
	require.NoError(t, os.Remove(gone.Path))
	for name, c := range map[string]struct {
		left        evidence.Report
		link, wrong string
	}{
		"none":                      {evidence.Report{}, "", ""},
		"one below the page":        {put("pages/a b/#1?.json", "{}"), "./a%20b/%231%3F.json", ""},
		"one elsewhere":             {put("other.json", "{}"), "", ""},
		"one that was changed":      {changed, "", "it was changed since"},
		"one that is gone":          {gone, "", "it is not there any more"},
		"a folder":                  {evidence.Report{Path: folder, SHA256: "x"}, "", "it is not a report"},
		"something that never ends": {evidence.Report{Path: "/dev/zero", SHA256: "x"}, "", "it is not a report"},
	} {
		r := reportOf(c.left, folder)
		assert.Equal(t, c.link, r.Link, name)
		assert.Equal(t, c.wrong, r.Wrong, name)
	}
}

func TestALongLedgerStaysReadable(t *testing.T) {
	t.Parallel()
	var entries []evidence.Entry
	for n := range 3000 {
		verdict := evidence.Green
		if n%10 == 0 {
			verdict = evidence.Red
		}
		entries = append(entries, entry(n+1, "idempotence_gate", verdict, time.Duration(3000-n)*3*time.Hour))
	}
	text, doc := render(t, entries, evidence.Verification{}, "/x")
	runs, older := 0, 0
	each(doc, func(n *html.Node) {
		if n.Data == "li" {
			runs++
		}
		if n.Data == "td" && attribute(n.Parent.Parent.Parent, "class") == "" {
			var count int
			_, err := fmt.Sscan(textOf(n), &count)
			require.NoError(t, err)
			older += count
		}
	})
	assert.Equal(t, inFull, runs)
	assert.Equal(t, 3000-inFull, older)
	assert.Less(t, len(text), 1<<20)
}

func TestDurationsAreFormattedAndScaled(t *testing.T) {
	t.Parallel()
	for d, said := range map[time.Duration]string{
		0: "0.0 s", 1500 * time.Millisecond: "1.5 s", 84 * time.Second: "84 s", 25 * time.Minute: "25 min", 30 * time.Hour: "30 h",
	} {
		assert.Equal(t, said, took(d))
	}
	for _, longest := range []time.Duration{0, 1, time.Millisecond, 84 * time.Second, 601 * time.Second, 11 * time.Hour, 1000 * time.Hour} {
		step, _, _ := scale(longest)
		assert.Positive(t, step)
		assert.LessOrEqual(t, longest, 5*step)
		text := trendOf("a", "b", []evidence.Entry{entry(1, "a", evidence.Green, 1), {Record: evidence.Record{Duration: longest}}})
		assert.LessOrEqual(t, len(text.Ticks), 6)
		assert.NotContains(t, text.Line, "NaN")
	}
}

func TestAPageShowsEveryRestartOfTheLedger(t *testing.T) {
	t.Parallel()
	breaks := []evidence.Break{{Time: now, Reason: "the <disk> was lost", Problem: "records 4 to 5 were removed", Records: 3, File: "ledger.jsonl.broken-1"}}
	var out bytes.Buffer
	require.NoError(t, Render(&out, nil, evidence.Verification{Breaks: breaks}, Options{Title: "Evidence", Now: now}))
	for _, text := range []string{"The ledger was restarted", "the &lt;disk&gt; was lost", "records 4 to 5 were removed", "ledger.jsonl.broken-1"} {
		assert.Contains(t, out.String(), text)
	}
}
