// SPDX-License-Identifier: GPL-3.0-or-later

package gate

import (
	"encoding/json"
	"maps"
	"net/url"
	"path"
	"slices"
)

// sarif formats the report in the Static Analysis Results Interchange Format
// 2.1.0 of OASIS. Forges show its results at their lines.
func sarif(r *Report) ([]byte, error) {
	type message struct {
		Text string `json:"text"`
	}
	type rule struct {
		ID               string  `json:"id"`
		ShortDescription message `json:"shortDescription"`
		HelpURI          string  `json:"helpUri"`
	}
	type region struct {
		StartLine int `json:"startLine"`
	}
	type artifact struct {
		URI string `json:"uri"`
	}
	type physical struct {
		Artifact artifact `json:"artifactLocation"`
		Region   *region  `json:"region,omitempty"`
	}
	type location struct {
		Physical physical `json:"physicalLocation"`
	}
	type suppression struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	}
	type result struct {
		RuleID       string        `json:"ruleId"`
		Level        string        `json:"level"`
		Message      message       `json:"message"`
		Locations    []location    `json:"locations"`
		Suppressions []suppression `json:"suppressions"`
	}
	type driver struct {
		Name           string `json:"name"`
		InformationURI string `json:"informationUri"`
		Rules          []rule `json:"rules"`
	}
	type tool struct {
		Driver driver `json:"driver"`
	}
	type run struct {
		Tool    tool     `json:"tool"`
		Results []result `json:"results"`
	}
	const home = "https://github.com/arcodange-org/sandbox"
	out := run{Tool: tool{driver{Name: "arcodange.sandbox." + r.Gate, InformationURI: home}}, Results: []result{}}
	for _, id := range slices.Sorted(maps.Keys(r.rules)) {
		out.Tool.Driver.Rules = append(out.Tool.Driver.Rules, rule{id, message{r.rules[id].Summary}, home + "/blob/main/docs/rules.md#" + r.Gate})
	}
	add := func(f Finding, suppressed []suppression) {
		at := r.position(f)
		place := physical{Artifact: artifact{(&url.URL{Path: at.file}).EscapedPath()}}
		if path.IsAbs(at.file) {
			place.Artifact.URI = (&url.URL{Scheme: "file", Path: at.file}).String()
		}
		if at.line > 0 {
			place.Region = &region{at.line}
		}
		out.Results = append(out.Results, result{f.Rule, "error", message{f.Message}, []location{{place}}, suppressed})
	}
	for _, f := range r.Findings {
		add(f, []suppression{})
	}
	for _, w := range r.Waived {
		add(w.Finding, []suppression{{"external", w.Waiver.Reason}})
	}
	return json.MarshalIndent(map[string]any{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": []run{out},
	}, "", "  ")
}
