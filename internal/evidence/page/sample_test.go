// SPDX-License-Identifier: GPL-3.0-or-later

package page

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/tree"
)

// realistic is a ledger of three months as a small lab would have it. It is the same each time.
func realistic(records int) []evidence.Entry {
	random := rand.New(rand.NewPCG(1, 2))
	gates := []struct {
		name    string
		usual   time.Duration
		summary string
		classes []string
	}{
		{"idempotence_gate", 95 * time.Second, "412 results on pi1, pi2, pi3, nothing changed", nil},
		{"parity_assert", 2 * time.Second, "31 parts are as the manifest says, 2 waived", nil},
		{"tofu_plan_gate", 14 * time.Second, "0 to add, 0 to change, 0 to destroy", []string{"DNS"}},
		{"promotion_gate", 3 * time.Second, "3 files of Ansible and PostgreSQL, all that they need is there", []string{"Ansible", "PostgreSQL"}},
		{"drill_postgres_restore", 26 * time.Minute, "The newest backup was restored; it holds what was written last", []string{"PostgreSQL", "recovery"}},
		{"drill_node_lost", 11 * time.Minute, "pi2 was lost and came back; no acknowledged write is missing", []string{"Longhorn", "recovery"}},
	}
	var entries []evidence.Entry
	for n := range records {
		gate := gates[min(random.IntN(9), len(gates)-1)]
		if random.IntN(3) > 0 {
			gate = gates[random.IntN(3)]
		}
		entry := evidence.Entry{Sequence: n + 1, Hash: fmt.Sprintf("%064x", random.Uint64()), Record: evidence.Record{
			Time: now.Add(-90 * day1 * time.Duration(records-n) / time.Duration(records)), What: gate.name, Verdict: evidence.Green, Summary: gate.summary,
			Classes: gate.classes, Mode: "vm", Driver: "docker", Distribution: "embedded",
			Duration:   gate.usual * time.Duration(80+random.IntN(50)) / 100,
			Trees:      []tree.State{{Repository: "factory", Commit: fmt.Sprintf("%040x", random.Uint64()), Tree: fmt.Sprintf("%040x", random.Uint64()), Dirty: random.IntN(6) == 0}},
			Deviations: []string{"embedded distribution of Kubernetes"}, Versions: map[string]string{"ansible-core": "2.21.0", "kubernetes": "v1.34.3"},
			Inventory: strings.Repeat("1f", 32), Boundary: strings.Repeat("2e", 32),
		}}
		if random.IntN(7) == 0 {
			entry.Verdict = evidence.Red
			entry.Summary = `changed: task "postgres : Write the compose file" at roles/postgres/tasks/main.yml:41 on pi2: it would change something (and 3 more)`
		}
		if random.IntN(4) > 0 {
			entry.Signature = "c2lnbmF0dXJl"
		}
		entries = append(entries, entry)
	}
	return entries
}
