// SPDX-License-Identifier: GPL-3.0-or-later

package gate

import (
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// The elements of JUnit's XML that CI systems read: a suite per gate, a case
// per finding, and one for each rule without findings.
type (
	junitSuites struct {
		XMLName xml.Name   `xml:"testsuites"`
		Suite   junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Errors    int         `xml:"errors,attr"`
		Time      string      `xml:"time,attr"` // seconds
		Timestamp string      `xml:"timestamp,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		File    string        `xml:"file,attr,omitempty"`
		Line    int           `xml:"line,attr,omitempty"`
		Time    string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure"`
		Skipped *junitMessage `xml:"skipped"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

func junit(r *Report) ([]byte, error) {
	suite := junitSuite{Name: r.Gate + " " + r.Subject, Time: fmt.Sprintf("%.3f", r.Seconds), Timestamp: r.Began.Format("2006-01-02T15:04:05")}
	broken := map[string]bool{}
	of := func(f Finding) junitCase {
		broken[f.Rule] = true
		at := r.position(f)
		return junitCase{Class: r.Gate + "." + f.Rule, Name: printable(f.Message), File: at.file, Line: at.line, Time: "0"}
	}
	for _, f := range r.Findings {
		c := of(f)
		c.Failure = &junitMessage{Message: printable(f.Message), Type: f.Rule, Text: printable(details(f))}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Failures = len(r.Findings)
	for _, w := range r.Waived {
		c := of(w.Finding)
		c.Skipped = &junitMessage{Message: printable(fmt.Sprintf("waived until %s: %s", w.Waiver.Expires, w.Waiver.Reason))}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Skipped = len(r.Waived)
	for _, id := range slices.Sorted(maps.Keys(r.rules)) {
		if !broken[id] {
			suite.Cases = append(suite.Cases, junitCase{Class: r.Gate + "." + id, Name: "no finding: " + r.rules[id].Summary, Time: "0"})
		}
	}
	suite.Tests = len(suite.Cases)
	out, err := xml.MarshalIndent(junitSuites{Suite: suite}, "", "  ")
	if err != nil {
		return nil, err
	}
	return append([]byte(xml.Header), append(out, '\n')...), nil
}

// details returns the fields of a finding that its message may lack.
func details(f Finding) string {
	var lines []string
	for _, row := range []struct{ name, value string }{{"expected", f.Expected}, {"found", f.Found}, {"where", f.Where}} {
		if row.value != "" {
			lines = append(lines, row.name+": "+row.value)
		}
	}
	return strings.Join(lines, "\n")
}

// printable returns text without the control characters that XML 1.0 forbids.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || r == '\uFFFE' || r == '\uFFFF' {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}
