// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// outside is reported for each host on which the service of docker compose is missing or differs.
type outside struct{}

func (outside) Info() gate.Info {
	return gate.Info{ID: "outside", Summary: "A service outside of Kubernetes does not run on its hosts as in production"}
}

func (outside) Check(_ context.Context, s subject, report *gate.Report) {
	for _, expected := range s.manifest.Outside {
		hosts := s.hosts(expected)
		for _, name := range hosts {
			s.onHost(report, expected, name)
		}
		if len(hosts) == 0 {
			s.add(report, "outside", "a host of the group "+expected.Hosts, "none", "inventory", "outside", expected.Name, "hosts")
		}
	}
}

// hosts are those that an entry has to run on.
func (s subject) hosts(expected Outside) []string {
	var hosts []string
	for _, name := range slices.Sorted(maps.Keys(s.found.Hosts)) {
		if slices.Contains(s.found.Hosts[name].Groups, expected.Hosts) {
			hosts = append(hosts, name)
		}
	}
	return hosts
}

func (s subject) onHost(report *gate.Report, expected Outside, host string) {
	source := "Docker engine of " + host
	service := fmt.Sprintf("the service %s of the project %s of docker compose", expected.Compose.Service, expected.Compose.Project)
	at := func(more ...string) []string {
		return append([]string{"outside", expected.Name, "hosts", host}, more...)
	}
	container, others := s.container(expected, host)
	if container == nil {
		s.add(report, "outside", service, cmp.Or(strings.Join(others, ", "), absent), source, at()...)
		return
	}
	repository, _ := SplitImage(container.Image)
	if !SameRepository(repository, expected.Compose.Image) {
		s.add(report, "outside", expected.Compose.Image, repository, source, at("image")...)
	}
	if state := container.state(); state != running {
		s.add(report, "outside", running, state, source, at("running")...)
	}
	if version, from := container.version(); !sameVersion(version, expected.Version) {
		s.add(report, "outside", expected.Version, version, source+", "+from, at("version")...)
	}
}

// container is the one of an entry's service on a host, nothing if there is
// none; and what else is there of its image.
func (s subject) container(expected Outside, host string) (container *foundContainer, others []string) {
	for i, c := range s.found.Hosts[host].Containers {
		repository, _ := SplitImage(c.Image)
		switch {
		case c.Project == expected.Compose.Project && c.Service == expected.Compose.Service:
			if container == nil || c.state() == running { // one that replaces another runs beside it for a moment
				container = &s.found.Hosts[host].Containers[i]
			}
		case SameRepository(repository, expected.Compose.Image) && c.Project == "":
			others = append(others, fmt.Sprintf("the container %s, which docker compose did not start", c.Name))
		case SameRepository(repository, expected.Compose.Image):
			others = append(others, fmt.Sprintf("the service %s of the project %s", c.Service, c.Project))
		}
	}
	return container, others
}

const running = "running"

// state is "running" for what does, and what there is to say otherwise. Docker
// lists one that restarts over and over as running in between, and one that does
// not answer as running; so one with a health check has to be healthy.
func (c foundContainer) state() string {
	switch {
	case c.Status != running:
		return c.Status
	case c.Health == "" || c.Health == "none" || c.Health == "healthy":
		return running
	}
	return running + ", and its health is " + c.Health
}

// versionTag is a tag that tells a version, and no digest or name.
var versionTag = lazyregexp.New(`^v?[0-9]{1,6}(\.[0-9]{1,9})*([-+._][0-9A-Za-z._+-]*)?$`)

// version is the one that a container tells, and by what: the tag if it is a
// version, as that is what production's compose file asks for; else what the
// image says of itself.
func (c foundContainer) version() (version, from string) {
	_, tag := SplitImage(c.Image)
	if versionTag.MatchString(tag) {
		return tag, "tag of " + c.Image
	}
	if label := c.Labels["org.opencontainers.image.version"]; label != "" {
		return label, "label of " + c.Image
	}
	for _, ending := range []string{"_VERSION", "_MAJOR"} {
		for _, name := range slices.Sorted(maps.Keys(c.Environment)) {
			if strings.HasSuffix(name, ending) {
				value, _, _ := strings.Cut(c.Environment[name], "-") // without what a packager adds
				return value, name + " of " + c.Image
			}
		}
	}
	return tag, "tag of " + c.Image
}

// sameVersion reports whether a version is the one expected, or a finer one of it.
func sameVersion(found, expected string) bool {
	return found == expected || strings.HasPrefix(found, expected+".")
}
