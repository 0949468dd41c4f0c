// SPDX-License-Identifier: GPL-3.0-or-later

package parity

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAScheduleIsOneIfItComesEveryMonth(t *testing.T) {
	t.Parallel()
	for _, schedule := range []string{
		"0 3 * * *", "*/5 * * * *", "0 0 * * 0", "0 0 1 * *", "0 0 28 * *", "0 0 1,15 jan-dec sun", "30 2 ? * MON-FRI", "0 0 31 * 1", " 0  3 * * * ",
		"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@every 36h", "@every 840h",
	} {
		assert.Empty(t, never(schedule), schedule)
	}
	for schedule, says := range map[string]string{
		"":                          "has no schedule",
		" ":                         "has no schedule",
		"0 0 31 2 *":                `has the schedule "0 0 31 2 *", which never comes`,
		"0 0 30,31 feb *":           "which never comes",
		", * * * *":                 "which never comes",
		"0 0 29 2 *":                "with more than 35 days between two times",
		"0 0 1 1 *":                 "with more than 35 days between two times",
		"0 0 31 12 *":               "with more than 35 days between two times",
		"0 0 1 */2 *":               "with more than 35 days between two times",
		"0 0 * 1-6 *":               "with more than 35 days between two times",
		"0 0 31 * *":                "with more than 35 days between two times",
		"@yearly":                   "with more than 35 days between two times",
		"@every 841h":               "with more than 35 days between two times",
		"every night":               `has the schedule "every night", which is none: `,
		"0 0 3 * * *":               "which is none",
		"0 3 * *":                   "which is none",
		"60 3 * * *":                "which is none",
		"0 3 * * 7":                 "which is none",
		"@fortnightly":              "which is none",
		"@reboot":                   "which is none",
		"TZ=":                       "takes no time zone",
		"CRON_TZ=UTC":               "takes no time zone",
		"TZ=Europe/Paris 0 3 * * *": "takes no time zone",
	} {
		assert.Contains(t, never(schedule), says, schedule)
	}
}

// FuzzNever holds the reader of schedules to an end, whatever stands there.
func FuzzNever(f *testing.F) {
	for _, schedule := range []string{"0 3 * * *", "@every 1h", "TZ=", "0 0 31 2 *", ", * * * *", "1-2/9223372036854775807 * * * *"} {
		f.Add(schedule)
	}
	f.Fuzz(func(t *testing.T, schedule string) {
		once := never(schedule)
		require.Equal(t, once, never(schedule))
	})
}
