// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// application is reported for each difference of an Application.
type application struct{}

func (application) Info() gate.Info {
	return gate.Info{ID: "application", Summary: "An Application of ArgoCD is missing, unexpected, or comes from another source"}
}

func (application) Check(_ context.Context, s subject, report *gate.Report) {
	const source = "Applications of ArgoCD"
	found := map[string]FoundApplication{}
	for _, app := range s.found.Applications {
		found[applicationName(app, s.manifest.Applications.Namespace)] = app
	}
	for _, expected := range s.manifest.Applications.Items {
		app, ok := found[expected.Name]
		delete(found, expected.Name)
		if !ok {
			s.add(report, "application", sources(expected.Sources), absent, source, "applications", expected.Name)
			continue
		}
		if len(app.Sources) != len(expected.Sources) {
			s.add(report, "application", sources(expected.Sources), sources(canonical(app.Sources)), source, "applications", expected.Name, "sources")
			continue
		}
		for n := range expected.Sources {
			at := []string{"applications", expected.Name}
			if len(expected.Sources) > 1 {
				at = append(at, "sources", fmt.Sprint(n))
			}
			s.compareSource(report, expected.Sources[n], app.Sources[n], source, at)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		s.add(report, "application", absent, sources(canonical(found[name].Sources)), source, "applications", name)
	}
}

// applicationName returns the path segment of an Application, with its namespace if that differs from the manifest's.
func applicationName(app FoundApplication, namespace string) string {
	if app.Namespace == namespace {
		return app.Name
	}
	return app.Namespace + ":" + app.Name
}

func (s subject) compareSource(report *gate.Report, expected, found Source, source string, at []string) {
	differ := func(field, expected, found string) {
		if expected != found {
			s.add(report, "application", cmp.Or(expected, "none"), cmp.Or(found, "none"), source, append(slices.Clone(at), field)...)
		}
	}
	isChart := found.Chart != ""
	differ("repository", expected.Repository, RepositoryOf(found.Repository, isChart))
	differ("path", folder(expected.Path), folder(found.Path))
	differ("chart", expected.Chart, found.Chart)
	revision := found.Revision
	if slices.Contains(revisionPolicies(), expected.Revision) {
		if kind := Policy(revision); kind != expected.Revision {
			s.add(report, "application", expected.Revision, fmt.Sprintf("%s (%s)", kind, cmp.Or(revision, "none given")), source, append(slices.Clone(at), "revision")...)
		}
		return
	}
	revision = strings.TrimPrefix(strings.TrimPrefix(revision, "refs/heads/"), "refs/tags/")
	if revision != expected.Revision && found.Revision != expected.Revision {
		s.add(report, "application", expected.Revision, cmp.Or(found.Revision, "HEAD"), source, append(slices.Clone(at), "revision")...)
	}
}

// folder returns the canonical spelling of a path in a repository.
func folder(text string) string {
	if text == "" {
		return ""
	}
	return path.Clean(strings.Trim(text, "/"))
}

// canonical converts sources to the manifest's form.
func canonical(found []Source) []Source {
	out := make([]Source, len(found))
	for i, s := range found {
		out[i] = Source{Repository: RepositoryOf(s.Repository, s.Chart != ""), Path: folder(s.Path), Chart: s.Chart, Revision: cmp.Or(s.Revision, "head")}
	}
	return out
}

func sources(list []Source) string {
	var texts []string
	for _, s := range list {
		text := s.Repository
		if s.Path != "" {
			text += " " + s.Path
		}
		if s.Chart != "" {
			text += " chart " + s.Chart
		}
		texts = append(texts, text+" at "+s.Revision)
	}
	return strings.Join(texts, "; ")
}
