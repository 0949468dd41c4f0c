// SPDX-License-Identifier: GPL-3.0-or-later

package docker

import (
	"encoding/json"
	"testing"

	"github.com/moby/profiles/seccomp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheCommittedListOfCallsIsMobys(t *testing.T) {
	t.Parallel()
	want, err := json.Marshal(seccomp.DefaultProfile())
	require.NoError(t, err)
	assert.JSONEq(t, string(want), string(mobyProfile), "run `go generate ./internal/driver/docker`")
}
