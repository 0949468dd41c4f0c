// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import "strings"

// Versions returns the measured versions for the evidence, by name: "kubernetes"
// with the API server's version, including the distribution; and the
// components and services outside of the manifest that were found. Several versions
// of one are joined by a comma.
func Versions(m *Manifest, found Found) map[string]string {
	s := subject{m, found}
	all := map[string]string{}
	keep := func(name string, versions []string) {
		if len(versions) > 0 {
			all[name] = strings.Join(versions, ", ")
		}
	}
	for _, c := range m.Components {
		versions, _, _ := s.versions(c.FoundBy)
		keep(c.Name, versions)
	}
	for _, o := range m.Outside {
		var versions []string
		for _, host := range s.hosts(o) {
			if container, _ := s.container(o, host); container != nil {
				version, _ := container.version()
				versions = append(versions, version)
			}
		}
		keep(o.Name, unique(versions))
	}
	keep("kubernetes", []string{found.Version})
	return all
}
