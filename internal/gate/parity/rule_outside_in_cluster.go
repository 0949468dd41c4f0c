// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// outsideInCluster is reported for a workload of the cluster that holds the service, or serves its port.
type outsideInCluster struct{}

func (outsideInCluster) Info() gate.Info {
	return gate.Info{ID: "outside_in_cluster", Summary: "A service that production runs outside of Kubernetes runs inside"}
}

func (outsideInCluster) Check(_ context.Context, s subject, report *gate.Report) {
	for _, expected := range s.manifest.Outside {
		s.inside(report, expected)
	}
}

// inside finds workloads that are services which must run outside Kubernetes, by
// their images, else by their port. Components of the manifest are allowed.
func (s subject) inside(report *gate.Report, expected Outside) {
	port := expected.Port()
	var named, serving []string
	for _, image := range s.found.Images {
		repository, _ := SplitImage(image.Reference)
		if image.Ends || s.component(image.Namespace, repository) {
			continue
		}
		where := fmt.Sprintf("%s/%s with %s", image.Namespace, image.Workload, image.Reference)
		switch {
		case expected.is(repository):
			named = append(named, where)
		case port != 0 && slices.Contains(image.Ports, port) && !goesBetween.MatchString(path.Base(repository)):
			serving = append(serving, where)
		}
	}
	const source = "workloads of the API server"
	if len(named) > 0 {
		s.add(report, "outside_in_cluster", "outside Kubernetes", strings.Join(unique(named), ", "), source, "outside", expected.Name, "kubernetes")
	}
	if port != 0 && len(named)+len(serving) == 0 { // workloads that were found may have a Service, too
		serving = s.behind(expected, port)
	}
	if len(serving) > 0 {
		s.add(report, "outside_in_cluster", fmt.Sprintf("nothing in Kubernetes that serves its port %d", port), strings.Join(unique(serving), ", "), source, "outside", expected.Name, "port")
	}
}

// behind returns the workloads to which a Service forwards a port, even if their
// containers do not declare it.
func (s subject) behind(expected Outside, port int) []string {
	var where []string
	for _, service := range s.found.Services {
		if !slices.Contains(service.Ports, port) {
			continue
		}
		images := map[string][]string{}
		passes := map[string]bool{} // workloads that are proxies or components of the manifest
		for _, image := range s.found.Images {
			if image.Namespace != service.Namespace || image.Ends || !selects(service.Selector, image.Labels) {
				continue
			}
			repository, _ := SplitImage(image.Reference)
			images[image.Workload] = append(images[image.Workload], image.Reference)
			passes[image.Workload] = passes[image.Workload] || goesBetween.MatchString(path.Base(repository)) || s.component(image.Namespace, repository)
		}
		for workload, references := range images {
			if !passes[workload] {
				where = append(where, fmt.Sprintf("%s/%s with %s behind the Service %s", service.Namespace, workload, strings.Join(references, " and "), service.Name))
			}
		}
	}
	return where
}

func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if has, ok := labels[key]; !ok || has != value {
			return false
		}
	}
	return true
}

// component returns whether a component of the manifest has this image.
func (s subject) component(namespace, repository string) bool {
	return slices.ContainsFunc(s.manifest.Components, func(c Component) bool {
		by := c.FoundBy.Image
		return by != nil && (by.Namespace == "" || by.Namespace == namespace) && SameRepository(repository, by.Repository)
	})
}
