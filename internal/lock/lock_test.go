// SPDX-License-Identifier: GPL-3.0-or-later

package lock

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const heldBy = "SANDBOX_LOCKTEST_PATH"

func TestMain(m *testing.M) {
	path := os.Getenv(heldBy)
	if path == "" {
		os.Exit(m.Run())
	}
	if _, err := Acquire(context.Background(), path, "be killed", time.Second); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("held")
	select {}
}

func TestOnlyOneHoldsALockAlsoWhileItsFileComesAndGoes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "a.lock")
	var holders, most atomic.Int64
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			held, err := Acquire(t.Context(), path, "test", 20*time.Second)
			if !assert.NoError(t, err) {
				return
			}
			most.Store(max(most.Load(), holders.Add(1)))
			time.Sleep(2 * time.Millisecond)
			holders.Add(-1)
			if i%2 == 0 {
				held.Remove()
				_ = os.Remove(filepath.Dir(path))
			} else {
				held.Release()
			}
		})
	}
	group.Wait()
	assert.EqualValues(t, 1, most.Load())
}

func TestALockThatStaysHeldNamesItsHolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.lock")
	held, err := Acquire(t.Context(), path, "look at the sea", time.Second)
	require.NoError(t, err)
	_, err = Acquire(t.Context(), path, "swim", 50*time.Millisecond)
	require.ErrorIs(t, err, ErrHeld)
	assert.ErrorContains(t, err, fmt.Sprintf("by process %d since ", os.Getpid()))
	assert.ErrorContains(t, err, "look at the sea")
	held.Release()
	again, err := Acquire(t.Context(), path, "swim", time.Second)
	require.NoError(t, err)
	again.Release()
}

func TestACallerThatStopsWaitingIsNotToldOfADeadline(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.lock")
	held, err := Acquire(t.Context(), path, "stay", time.Second)
	require.NoError(t, err)
	defer held.Release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Acquire(ctx, path, "go", time.Minute)
	assert.ErrorIs(t, err, context.Canceled)
}

func TestTheLockOfAKilledProcessIsFree(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.lock")
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), heldBy+"="+path)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	said := make([]byte, 5)
	_, err = out.Read(said)
	require.NoError(t, err)
	require.Equal(t, "held\n", string(said))
	_, err = Acquire(t.Context(), path, "wait", 50*time.Millisecond)
	require.ErrorIs(t, err, ErrHeld)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	held, err := Acquire(t.Context(), path, "go on", 5*time.Second)
	require.NoError(t, err)
	held.Release()
}
