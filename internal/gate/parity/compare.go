// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// subject is a live sandbox and the manifest that it is compared with.
type subject struct {
	manifest *Manifest
	found    Found
}

// rules compare a sandbox with the manifest. The path of a finding is a path in
// the manifest, as nodes/pi3/roles.
var rules = []gate.Rule[subject]{
	kubernetesDistribution{}, kubernetesVersion{}, node{}, component{}, application{}, outside{}, outsideInCluster{}, backup{}, fence{},
}

// Rules describes all rules of the gate.
func Rules() []gate.Info { return gate.Infos(rules) }

// Evaluate compares the sandbox with the manifest. subject is the manifest's name
// in the report. Deviations are known differences, not findings: the
// embedded distribution, if it has production's version of Kubernetes.
func Evaluate(name string, m *Manifest, found Found, waivers []gate.Waiver) (report *gate.Report, deviations []string, err error) {
	report, err = gate.NewReport("parity", name, Rules(), waivers)
	if err != nil {
		return nil, nil, err
	}
	s := subject{m, found}
	gate.Check(context.Background(), rules, s, report) // the rules never block
	report.Finish(true)
	deviations = s.deviations()
	if len(report.Findings) == 0 {
		report.Lines = append(report.Lines, fmt.Sprintf("no drift from production; %d waived, %d deviations", len(report.Waived), len(deviations)))
	}
	for _, d := range deviations {
		report.Lines = append(report.Lines, "deviation: "+d)
	}
	return report, deviations, nil
}

// Compare is Evaluate without waivers: each difference once, sorted by path.
func Compare(m *Manifest, found Found) (findings []gate.Finding, deviations []string) {
	report, deviations, err := Evaluate("", m, found, nil)
	if err != nil {
		panic(err) // only waivers can be wrong
	}
	return report.Findings, deviations
}

const absent = "absent"

// add adds a difference. path is joined by slashes; source is what found was read from.
func (s subject) add(report *gate.Report, rule, expected, found, source string, path ...string) {
	at := strings.Join(path, "/")
	report.Add(gate.Finding{
		Rule: rule, Path: at, Expected: expected, Found: found, Where: source,
		Message: fmt.Sprintf("%s: expected %s, found %s (%s)", at, expected, found, source),
	})
}

// base returns a version of Kubernetes without the distribution's suffix.
func base(version string) string {
	release, _, _ := strings.Cut(version, "+")
	return release
}

// meets returns whether a version is the manifest's, or the embedded distribution's of the same release.
func meets(found, expected string) bool {
	return found == expected || DistributionOf(found) == embedded && base(found) == base(expected)
}

func (s subject) deviations() []string {
	deviations := []string{}
	for _, node := range s.found.Nodes {
		if DistributionOf(node.Version) == embedded && node.Version != s.found.Version {
			deviations = append(deviations, fmt.Sprintf("the node %s runs the embedded distribution (%s)", node.Name, node.Version))
		}
	}
	if DistributionOf(s.found.Version) == embedded {
		deviations = append([]string{fmt.Sprintf("the embedded distribution (%s) replaces %s", s.found.Version, s.manifest.Kubernetes.Version)}, deviations...)
	}
	return deviations
}

func roles(list []string) string { return strings.Join(slices.Sorted(slices.Values(list)), ", ") }

func unique(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}
