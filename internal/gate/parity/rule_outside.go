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

// hosts returns the hosts on which an entry must run.
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

// container returns the container of an entry's service on a host, or nil;
// and other containers with its image.
func (s subject) container(expected Outside, host string) (container *foundContainer, others []string) {
	for i, c := range s.found.Hosts[host].Containers {
		repository, _ := SplitImage(c.Image)
		switch {
		case c.Project == expected.Compose.Project && c.Service == expected.Compose.Service:
			if container == nil || c.state() == running { // during a replacement both exist for a moment
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

// state returns "running", or a description of another state. Docker
// lists a container as running between restarts, and also if it does
// not answer; so a container with a health check must be healthy.
func (c foundContainer) state() string {
	switch {
	case c.Status != running:
		return c.Status
	case c.Health == "" || c.Health == "none" || c.Health == "healthy":
		return running
	}
	return running + ", and its health is " + c.Health
}

// versionTag matches tags that are versions, not digests or names.
var versionTag = lazyregexp.New(`^v?[0-9]{1,6}(\.[0-9]{1,9})*([-+._][0-9A-Za-z._+-]*)?$`)

// version returns the version of a container, and its source: the tag if it is a
// version, since production's compose file sets that; else the image's labels or
// environment.
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
				value, _, _ := strings.Cut(c.Environment[name], "-") // without the packager's suffix
				return value, name + " of " + c.Image
			}
		}
	}
	return tag, "tag of " + c.Image
}

// sameVersion returns whether a version is the expected one, or a more specific one (17.2 for 17).
func sameVersion(found, expected string) bool {
	return found == expected || strings.HasPrefix(found, expected+".")
}
