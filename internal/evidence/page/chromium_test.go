// SPDX-License-Identifier: GPL-3.0-or-later

//go:build chromium

package page

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/evidence"
)

// looker is a page around the page: it shows it in a frame of a given size and
// writes down how it lies there. It may look inside only because the browser of
// this test is told to let it.
const looker = `<!doctype html><meta charset="utf-8"><title>wait</title>
<iframe id="f" style="border:0;width:%dpx;height:%dpx" src="%s"></iframe>
<script>
document.getElementById("f").onload = function () {
  const d = this.contentDocument, w = this.contentWindow, root = d.scrollingElement;
  const wide = [...d.querySelectorAll("body *")].filter(e => !e.closest("svg, .skip, thead, .scroll") && e.getBoundingClientRect().right > w.innerWidth + 1).map(e => e.tagName + "." + e.className);
  const small = [...d.querySelectorAll("summary, a:not(.skip)")].filter(e => e.getBoundingClientRect().height < 18).length;
  const out = {width: w.innerWidth, scroll: root.scrollWidth, wide: wide.slice(0, 5), small, paper: w.getComputedStyle(d.body).backgroundColor, ink: w.getComputedStyle(d.body).color,
    requests: w.performance.getEntriesByType("resource").map(e => e.name), runs: d.querySelectorAll("ol.runs > li").length,
    circles: d.querySelectorAll("svg circle").length, height: root.scrollHeight};
  document.body.textContent = "LOOK" + JSON.stringify(out) + "KOOL";
};
</script>`

type looked struct {
	Width, Scroll, Small, Runs, Circles, Height int
	Wide, Requests                              []string
	Paper, Ink                                  string
}

// browse runs the browser and returns what it printed.
func browse(t *testing.T, args ...string) (string, string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	profile := t.TempDir()
	args = append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars", "--user-data-dir=" + profile,
		// Whatever the page asks the network for is refused, and is told on stderr.
		"--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--enable-logging=stderr", "--allow-file-access-from-files", "--virtual-time-budget=5000",
	}, args...)
	cmd := exec.CommandContext(ctx, "chromium", args...)
	cmd.Env = append(os.Environ(), "HOME="+profile)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	require.NoError(t, cmd.Run(), err.String())
	return out.String(), err.String()
}

func TestThePageInABrowser(t *testing.T) {
	entries := realistic(200)
	dir := t.TempDir()
	page := filepath.Join(dir, "index.html")
	text, _ := render(t, entries, evidence.Verification{Head: evidence.Head{Sequence: 200, Hash: entries[199].Hash}}, dir)
	require.NoError(t, os.WriteFile(page, []byte(text), 0o600))
	for _, c := range []struct {
		name          string
		width, height int
		flags         []string
		dark          bool
	}{
		{"a phone", 360, 740, nil, false},
		{"a small phone", 320, 568, nil, false},
		{"a tablet", 768, 1024, nil, false},
		{"a desk", 1280, 900, nil, false},
		{"a phone at night", 360, 740, []string{"--blink-settings=preferredColorScheme=0"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			around := filepath.Join(t.TempDir(), "look.html")
			address := (&url.URL{Scheme: "file", Path: page}).String()
			require.NoError(t, os.WriteFile(around, fmt.Appendf(nil, looker, c.width, c.height, address), 0o600))
			out, said := browse(t, append(c.flags, "--window-size=1400,1200", "--dump-dom", "file://"+around)...)
			found := regexp.MustCompile(`LOOK(.*)KOOL`).FindStringSubmatch(out)
			require.NotNil(t, found, out)
			var l looked
			require.NoError(t, json.Unmarshal([]byte(found[1]), &l))
			assert.Equal(t, c.width, l.Width)
			assert.LessOrEqual(t, l.Scroll, c.width, "nothing lies beyond the edge")
			assert.Empty(t, l.Wide)
			assert.Empty(t, l.Requests)
			assert.Zero(t, l.Small, "what is touched is large enough")
			assert.Equal(t, 200, l.Runs)
			assert.Positive(t, l.Circles)
			if c.dark {
				assert.Equal(t, "rgb(20, 24, 28)", l.Paper)
				assert.Equal(t, "rgb(231, 235, 239)", l.Ink)
			} else {
				assert.Equal(t, "rgb(255, 255, 255)", l.Paper)
			}
			assert.NotContains(t, said, "CONSOLE")
		})
	}
}

// PICTURES names a folder for pictures to look at.
func TestPictures(t *testing.T) {
	folder := os.Getenv("PICTURES")
	if folder == "" {
		folder = t.TempDir()
	}
	entries := realistic(200)
	text, _ := render(t, entries, evidence.Verification{Head: evidence.Head{Sequence: 200, Hash: entries[199].Hash}}, folder)
	page := filepath.Join(folder, "index.html")
	require.NoError(t, os.WriteFile(page, []byte(text), 0o600))
	for name, flags := range map[string][]string{
		"phone": {"--window-size=500,2400"}, "desk": {"--window-size=1280,2000"}, "night": {"--window-size=1280,2000", "--blink-settings=preferredColorScheme=0"},
	} {
		picture := filepath.Join(folder, name+".png")
		browse(t, append(flags, "--screenshot="+picture, "file://"+page)...)
		info, err := os.Stat(picture)
		require.NoError(t, err)
		assert.Greater(t, info.Size(), int64(20_000), "the picture shows something")
	}
}
