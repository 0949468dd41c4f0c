// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheKitForTargetsStaysSmall(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	// golang.org/x/ is kept out but for what encodes names of other scripts.
	idna := []string{
		"golang.org/x/net/idna", "golang.org/x/text/secure/bidirule", "golang.org/x/text/transform", "golang.org/x/text/unicode/bidi",
		"golang.org/x/text/unicode/norm",
	}
	for _, heavy := range []string{"github.com/hashicorp/", "github.com/zclconf/", "golang.org/x/", "net/http", "crypto/tls", "internal/references"} {
		for name := range strings.Lines(string(out)) {
			name = strings.TrimSpace(name)
			assert.False(t, strings.Contains(name, heavy) && !strings.HasPrefix(name, "vendor/") && !slices.Contains(idna, name), "%s is linked", name)
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
