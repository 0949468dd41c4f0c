// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// backup is reported for each claim that no recurring job of Longhorn backs up.
type backup struct{}

func (backup) Info() gate.Info {
	return gate.Info{ID: "backup", Summary: "A volume is not backed up as in production"}
}

func (backup) Check(_ context.Context, s subject, report *gate.Report) {
	seen := map[string]bool{}
	check := func(claim FoundClaim) {
		name := claim.Namespace + "/" + claim.Name
		if !seen[name] {
			seen[name] = true
			if why := s.uncovered(claim); why != "" {
				s.add(report, "backup", "backed up", why, "volumes and recurring jobs of Longhorn", "backups", claim.Namespace, claim.Name)
			}
		}
	}
	for _, expected := range s.manifest.Backups {
		there := false
		for _, claim := range s.found.Claims {
			if expected.StorageClass != "" && claim.StorageClass == expected.StorageClass ||
				claim.Namespace == expected.Namespace && claim.Name == expected.Claim {
				there = true
				check(claim)
			}
		}
		const source = "claims of the API server"
		switch {
		case there || expected.MayBeEmpty:
		case expected.StorageClass == "":
			s.add(report, "backup", "backed up", "no such claim", source, "backups", expected.Namespace, expected.Claim)
		default: // all claims may have another class, which is not backed up
			s.add(report, "backup", "claims that are backed up", "no claim of the class", source, "backups", expected.StorageClass)
		}
	}
}

const (
	jobLabel   = "recurring-job.longhorn.io/"
	groupLabel = "recurring-job-group.longhorn.io/"
)

// uncovered returns why no job backs up a claim; empty if one does.
func (s subject) uncovered(claim FoundClaim) string {
	if claim.Volume == "" {
		return "the claim is not bound to a volume"
	}
	at := slices.IndexFunc(s.found.Volumes, func(v FoundVolume) bool { return v.Name == claim.Volume })
	if at < 0 || s.found.Volumes[at].Driver != "driver.longhorn.io" {
		return fmt.Sprintf("volume %s: not a Longhorn volume", claim.Volume)
	}
	handle := s.found.Volumes[at].Handle
	there := false
	for _, volume := range s.found.Longhorn.Volumes {
		if volume.Name != handle {
			continue
		}
		there = true
		// If two volumes have that name, it is unknown which one Longhorn uses.
		if why := s.unsaved(volume); why != "" {
			return why
		}
	}
	if !there {
		return fmt.Sprintf("Longhorn has no volume %s", handle)
	}
	return ""
}

// unsaved returns why no job backs up a Longhorn volume; empty if one does.
// Targets and jobs of other namespaces do not count: Longhorn ignores them.
func (s subject) unsaved(volume FoundLonghornVolume) string {
	name := cmp.Or(volume.Target, "default")
	at := slices.IndexFunc(s.found.Longhorn.Targets, func(t FoundTarget) bool { return t.Namespace == volume.Namespace && t.Name == name })
	switch {
	case at < 0 || s.found.Longhorn.Targets[at].URL == "":
		return fmt.Sprintf("the backup target %s leads nowhere", name)
	case s.found.Longhorn.Targets[at].Unavailable:
		return fmt.Sprintf("the backup target %s is not available", name)
	}
	var why []string
	for _, job := range s.found.Longhorn.Jobs {
		reason := job.passesOver(volume)
		if reason == "" {
			return ""
		}
		why = append(why, fmt.Sprintf("%s %s", job.Name, reason))
	}
	if len(why) == 0 {
		return "there is no recurring job"
	}
	return "no job covers it: " + strings.Join(unique(why), ", ")
}

// passesOver returns why a job does not back up a volume; empty if it does. In
// Longhorn a job runs for the volumes with its label or that of one of its groups;
// a volume without such labels is in the group default.
func (job FoundJob) passesOver(volume FoundLonghornVolume) string {
	if job.Namespace != volume.Namespace {
		return fmt.Sprintf("is of the namespace %s, and the volume of %s", job.Namespace, volume.Namespace)
	}
	if job.Task != "backup" && job.Task != "backup-force-create" {
		return "is of task " + cmp.Or(job.Task, "none")
	}
	if why := never(job.Cron); why != "" {
		return why
	}
	labelled := false
	for label := range volume.Labels {
		labelled = labelled || strings.HasPrefix(label, jobLabel) || strings.HasPrefix(label, groupLabel)
	}
	if volume.Labels[jobLabel+job.Name] == "enabled" || !labelled && slices.Contains(job.Groups, "default") {
		return ""
	}
	for _, group := range job.Groups {
		if volume.Labels[groupLabel+group] == "enabled" {
			return ""
		}
	}
	if len(job.Groups) == 0 {
		return "has no group"
	}
	return "is for " + strings.Join(job.Groups, ", ")
}
