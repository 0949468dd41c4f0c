// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheKitForTargetsStaysSmall(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	for _, heavy := range []string{"github.com/hashicorp/", "github.com/zclconf/", "golang.org/x/", "net/http", "crypto/tls", "internal/references"} {
		for name := range strings.Lines(string(out)) {
			assert.False(t, strings.Contains(name, heavy) && !strings.HasPrefix(name, "vendor/"), "%s is linked", strings.TrimSpace(name))
		}
	}

	file := filepath.Join(t.TempDir(), "target")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err = build.CombinedOutput()
	require.NoError(t, err, string(out))
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Less(t, info.Size(), int64(6<<20), "it is transferred with every call of a module")
}
