// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/arcodange-org/sandbox/internal/atomicfile"
	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/lock"
)

// lockTimeout is the timeout of waiting for other evaluations that write the witness.
const lockTimeout = 10 * time.Second

// witness is the content of Gate.Witness.
type witness struct {
	Evaluated time.Time                `json:"evaluated"`
	Ledgers   map[string]evidence.Head `json:"ledgers"` // by the hash of the first record
}

func (g Gate) readWitness() (witness, error) {
	if g.Witness == "" {
		return witness{}, nil
	}
	data, err := os.ReadFile(g.Witness)
	if errors.Is(err, fs.ErrNotExist) {
		return witness{}, nil
	}
	var found witness
	if err == nil {
		err = json.Unmarshal(data, &found)
	}
	if err != nil {
		return witness{}, fmt.Errorf("witness of the last evaluation %s: cannot be read (%w); remove it if clock and ledger are right", g.Witness, err)
	}
	return found, nil
}

// Note writes the time of an evaluation and, if the ledger verified, its last
// sequence number to the witness file, for later evaluations. Neither decreases.
func (g Gate) Note(ctx context.Context, r Report) error {
	if g.Witness == "" {
		return nil
	}
	failed := func(err error) error { return fmt.Errorf("witness %s: %w", g.Witness, err) }
	held, err := lock.Acquire(ctx, g.Witness+".lock", "writing the witness file", lockTimeout)
	if err != nil {
		return failed(err)
	}
	defer held.Release()
	found, err := g.readWitness()
	if err != nil {
		return nil // the evaluation has a finding for it
	}
	if r.Began.After(found.Evaluated) {
		found.Evaluated = r.Began
	}
	if r.LedgerID != "" && r.LedgerHead.Sequence > found.Ledgers[r.LedgerID].Sequence && !r.Has("ledger") {
		if found.Ledgers == nil {
			found.Ledgers = map[string]evidence.Head{}
		}
		found.Ledgers[r.LedgerID] = r.LedgerHead
	}
	data, err := json.Marshal(found)
	if err == nil {
		err = atomicfile.Write(g.Witness, append(data, '\n'), 0o600)
	}
	if err != nil {
		return failed(err)
	}
	return nil
}
