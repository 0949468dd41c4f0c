// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// component is reported for each component that is missing or has another version.
type component struct{}

func (component) Info() gate.Info {
	return gate.Info{ID: "component", Summary: "A component of the cluster is missing, or has another version"}
}

func (component) Check(_ context.Context, s subject, report *gate.Report) {
	for _, c := range s.manifest.Components {
		versions, source, why := s.versions(c.FoundBy)
		switch {
		case len(versions) == 0:
			s.add(report, "component", c.Version, why, source, "components", c.Name)
		case len(versions) > 1 || versions[0] != c.Version:
			s.add(report, "component", c.Version, strings.Join(versions, ", "), source, "components", c.Name, "version")
		}
	}
}

// versions returns a component's versions and their source, or, without any, a description of what was found instead.
func (s subject) versions(by FoundBy) (versions []string, source, why string) {
	switch {
	case by.HelmRelease != nil:
		return s.release(*by.HelmRelease)
	case by.Image != nil:
		source = "images of " + by.Image.Repository
		var where []string
		for _, image := range s.found.Images {
			repository, tag := SplitImage(image.Reference)
			if image.Ends || by.Image.Namespace != "" && image.Namespace != by.Image.Namespace || !SameRepository(repository, by.Image.Repository) {
				continue
			}
			versions, where = append(versions, tag), append(where, image.Namespace+"/"+image.Workload)
		}
		if len(where) > 0 {
			source += ": " + strings.Join(unique(where), ", ")
		}
		return unique(versions), source, absent
	}
	source = "API groups"
	for _, group := range s.found.Groups {
		if group.Name == by.APIGroup {
			return []string{group.Preferred}, source + ": " + by.APIGroup + " serves " + strings.Join(group.Versions, ", "), ""
		}
	}
	return nil, source, absent
}

func (s subject) release(by HelmRelease) (versions []string, source, why string) {
	source = fmt.Sprintf("release %s/%s of Helm", by.Namespace, by.Name)
	for _, release := range s.found.Releases {
		if release.Namespace != by.Namespace || release.Name != by.Name {
			continue
		}
		source = fmt.Sprintf("%s, revision %d, chart %s", source, release.Revision, release.Chart)
		if by.VersionOf == OfApp {
			return []string{release.AppVersion}, source, ""
		}
		return []string{release.ChartVersion}, source, ""
	}
	why = absent
	for _, chart := range s.found.HelmCharts {
		if chart.Name == by.Name && cmp.Or(chart.TargetNamespace, chart.Namespace) == by.Namespace {
			why = fmt.Sprintf("no release, though the HelmChart %s/%s asks for %s", chart.Namespace, chart.Name, strings.TrimSpace(chart.Chart+" "+chart.Version))
		}
	}
	return nil, source, why
}
