// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// rarest is the maximal time between two runs of a schedule: a backup must run at
// least once a month.
const rarest = 35 * 24 * time.Hour

// never returns why a schedule never runs, or too rarely; empty if it
// runs often enough. Longhorn makes a CronJob of it, for which Kubernetes uses
// the same parser. A whole year is checked, so that the result does not depend on
// the current date.
func never(schedule string) string {
	if strings.TrimSpace(schedule) == "" {
		return "has no schedule"
	}
	// Kubernetes refuses a CronJob with a zone, and the parser ends the program at one without fields.
	if strings.Contains(schedule, "TZ") {
		return fmt.Sprintf("has the schedule %q, in which Kubernetes takes no time zone", schedule)
	}
	times, err := cron.ParseStandard(schedule)
	if err != nil {
		return fmt.Sprintf("has the schedule %q, which is none: %s", schedule, err)
	}
	// Years of 365 days have the longest gaps. The last gap ends in the next year, which also has 365 days.
	for at, end := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); at.Before(end); {
		next := times.Next(at)
		if next.IsZero() {
			return fmt.Sprintf("has the schedule %q, which never comes", schedule)
		}
		if next.Sub(at) > rarest {
			return fmt.Sprintf("has the schedule %q, with more than %d days between two times", schedule, rarest/(24*time.Hour))
		}
		// A frequent schedule only needs a check of each day.
		at = at.AddDate(0, 0, 1)
		if next.After(at) {
			at = next
		}
	}
	return ""
}
