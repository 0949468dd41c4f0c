// SPDX-License-Identifier: GPL-3.0-or-later

package dockercli

import (
	"context"
	"errors"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/run"
)

// says is a docker command that prints this and fails.
type says struct {
	stdout, stderr string
	err            error
}

func (s says) Run(_ context.Context, c run.Cmd) (run.Result, error) {
	res := run.Result{Stdout: []byte(s.stdout), Stderr: []byte(s.stderr), Code: 1}
	if s.err == nil {
		return res, nil
	}
	return res, &run.Error{Cmd: c, Result: res, Err: s.err}
}

func TestAFailureOfTheDockerCommandSaysWhatToDo(t *testing.T) {
	t.Parallel()
	status := errors.New("exit status 1")
	for name, test := range map[string]struct {
		said    says
		is      error
		advises string
	}{
		"the command is not installed": {says{err: exec.ErrNotFound}, ErrNoEngine, "make engine"},
		"no process listens": {
			says{stderr: "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", err: status}, ErrNoEngine, "make engine",
		},
		"the socket is not ours": {
			says{stderr: "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: dial unix", err: status}, ErrNoPermission, "join group docker",
		},
		"a newer command words it differently": {
			says{stderr: "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock", err: status}, ErrNoPermission, "join group docker",
		},
		"the disk is full": {
			says{stderr: "Error response from daemon: write /var/lib/docker/tmp: no space left on device", err: status}, ErrNoSpace, "free some",
		},
		"a container is not there": {says{stderr: "Error: No such container: a", err: status}, ErrNotFound, "No such container"},
		"the command adds advice to its error": {
			says{stderr: "docker: Error response from daemon: no space left on device\n\nRun 'docker run --help' for more information", err: status}, ErrNoSpace, "from daemon: no space left",
		},
		"a network is not there": {says{stderr: "Error response from daemon: network a not found", err: status}, ErrNotFound, "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Engine{Runner: test.said}.Do(t.Context(), "inspect", "a")
			require.ErrorIs(t, err, test.is)
			assert.ErrorContains(t, err, test.advises)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestInspectReturnsExistingObjectsOnly(t *testing.T) {
	t.Parallel()
	type thing struct{ Name string }
	some := says{stdout: `[{"Name":"a"}]`, stderr: "Error: No such volume: b", err: errors.New("exit status 1")}
	found, err := Inspect[thing](t.Context(), Engine{Runner: some}, "volume", "a", "b")
	require.NoError(t, err)
	assert.Equal(t, []thing{{"a"}}, found)

	_, err = Inspect[thing](t.Context(), Engine{Runner: says{stdout: "<html>"}}, "volume", "a")
	assert.ErrorContains(t, err, "understand the engine's answer")
}
