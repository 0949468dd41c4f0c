// SPDX-License-Identifier: GPL-3.0-or-later

package capture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/gate/parity"
)

// The labels by which Longhorn puts a volume into jobs (longhorn.io, recurring
// snapshots and backups). On a claim they count only beside the first.
const (
	labelSource = "recurring-job.longhorn.io/source"
	labelJob    = "recurring-job.longhorn.io/"
	labelGroup  = "recurring-job-group.longhorn.io/"
)

// recurringJob records a job that makes backups; snapshots do not survive a lost disk.
func (s *scan) recurringJob(where string, n *yaml.Node) error {
	name, err := plain(get(n, "metadata", "name"), "its name")
	if err != nil {
		return err
	}
	if own := get(n, "spec", "name"); is(own) {
		if name, err = plain(own, "spec.name"); err != nil {
			return err
		}
	}
	task, err := plain(get(n, "spec", "task"), "its task")
	if err != nil {
		return err
	}
	j := job{Name: name, Where: at(where, n)}
	groups := get(n, "spec", "groups")
	if is(groups) && groups.Kind != yaml.SequenceNode {
		return fmt.Errorf("line %d: its groups are not a list", groups.Line)
	}
	for _, item := range items(groups) {
		group, err := plain(real(item), "a group")
		if err != nil {
			return err
		}
		j.Groups = append(j.Groups, group)
	}
	if task == "backup" || task == "backup-force-create" {
		s.jobs = append(s.jobs, j)
	}
	return nil
}

func (s *scan) storageClass(n *yaml.Node) error {
	name, err := plain(get(n, "metadata", "name"), "its name")
	if err != nil {
		return err
	}
	provisioner, err := plain(get(n, "provisioner"), "its provisioner")
	if err != nil {
		return err
	}
	s.longhorn[name] = provisioner == "driver.longhorn.io"
	if list := get(n, "parameters", "recurringJobSelector"); is(list) && s.longhorn[name] {
		return s.selector(name, list)
	}
	return nil
}

func (s *scan) claim(where string, n *yaml.Node) error {
	name, err := plain(get(n, "metadata", "name"), "its name")
	if err != nil {
		return err
	}
	namespace, err := optional(get(n, "metadata", "namespace"), "its namespace")
	if err != nil {
		return err
	}
	return s.addClaim(where, namespace, name, n)
}

func (s *scan) addClaim(where, namespace, name string, n *yaml.Node) error {
	class, err := optional(get(n, "spec", "storageClassName"), "storageClassName")
	if err != nil {
		return err
	}
	c := claim{Namespace: namespace, Name: name, Class: class, Labels: map[string]string{}, Where: where + ":" + strconv.Itoa(n.Line)}
	labels := get(n, "metadata", "labels")
	if is(labels) && labels.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: its labels are left to a template", labels.Line)
	}
	for _, p := range pairs(labels) {
		key := p.Key.Value
		if unfilled(key) {
			return fmt.Errorf("line %d: a label is left to a template", p.Key.Line)
		}
		if !strings.HasPrefix(key, labelJob) && !strings.HasPrefix(key, labelGroup) {
			continue
		}
		if c.Labels[key], err = plain(real(p.Value), "the label "+key); err != nil {
			return err
		}
	}
	s.claims = append(s.claims, c)
	return nil
}

// statefulSet records its claims: TEMPLATE-NAME-N for each replica.
func (s *scan) statefulSet(where string, n *yaml.Node) error {
	templates := items(get(n, "spec", "volumeClaimTemplates"))
	if len(templates) == 0 {
		return nil
	}
	name, err := plain(get(n, "metadata", "name"), "its name")
	if err != nil {
		return err
	}
	namespace, err := optional(get(n, "metadata", "namespace"), "its namespace")
	if err != nil {
		return err
	}
	replicas := 1
	if count := get(n, "spec", "replicas"); is(count) {
		text, err := plain(count, "its replicas")
		if err != nil {
			return err
		}
		if replicas, err = strconv.Atoi(text); err != nil || replicas < 0 || replicas > 1000 {
			return fmt.Errorf("line %d: its replicas are %q", count.Line, text)
		}
	}
	for _, template := range templates {
		prefix, err := plain(get(template, "metadata", "name"), "the name of a claim's template")
		if err != nil {
			return err
		}
		for i := range replicas {
			if err := s.addClaim(where, namespace, fmt.Sprintf("%s-%s-%d", prefix, name, i), real(template)); err != nil {
				return err
			}
		}
	}
	return nil
}

// backups returns the claims that a job covers, and the others.
func (f *facts) backups(classes []string) (covered []parity.Backup, bare []string) {
	for _, c := range f.claims {
		longhorn, known := f.longhorn[c.Class]
		if !known {
			longhorn = slices.Contains(classes, c.Class)
		}
		if longhorn && f.covered(c) {
			covered = append(covered, parity.Backup{Namespace: c.Namespace, Claim: c.Name})
		} else {
			bare = append(bare, fmt.Sprintf("%s/%s (%s)", c.Namespace, c.Name, c.Where))
		}
	}
	return covered, bare
}

// covered returns whether a job backs up a claim's volume. A volume without a
// job or group is in the group default; a job with an empty list of groups
// covers only the volumes that name it.
func (f *facts) covered(c claim) bool {
	var in []selected
	if c.Labels[labelSource] == "enabled" {
		for key, value := range c.Labels {
			switch group, isGroup := strings.CutPrefix(key, labelGroup); {
			case key == labelSource || value != "enabled":
			case isGroup:
				in = append(in, selected{group, true})
			default:
				in = append(in, selected{strings.TrimPrefix(key, labelJob), false})
			}
		}
	} else {
		in = f.selectors[c.Class]
	}
	if len(in) == 0 {
		in = []selected{{"default", true}}
	}
	for _, j := range f.jobs {
		for _, s := range in {
			if s.IsGroup && slices.Contains(j.Groups, s.Name) || !s.IsGroup && s.Name == j.Name {
				return true
			}
		}
	}
	return false
}
