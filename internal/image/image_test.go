// SPDX-License-Identifier: GPL-3.0-or-later

package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/run"
)

// machine stands in for the programs of a computer: an engine that keeps
// images, apt, and an mmdebstrap that does what the test says.
type machine struct {
	mu        sync.Mutex
	images    map[string]string // name to labels as JSON
	targets   string            // what apt-get indextargets prints
	bootstrap func(out string) (stderr string, err error)
	ran       []string
}

func (m *machine) Run(_ context.Context, c run.Cmd) (run.Result, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ran = append(m.ran, c.String())
	fail := func(said string, err error) (run.Result, error) {
		res := run.Result{Stderr: []byte(said), Code: 1}
		return res, &run.Error{Cmd: c, Result: res, Err: err}
	}
	status := errors.New("exit status 1")
	switch {
	case c.Name == "apt-get":
		return run.Result{Stdout: []byte(m.targets)}, nil
	case c.Name == "mmdebstrap" && c.Args[0] == "--version":
		return run.Result{}, nil
	case c.Name == "mmdebstrap":
		said, err := m.bootstrap(c.Args[len(c.Args)-2])
		if err != nil {
			return fail(said, err)
		}
		return run.Result{}, nil
	case c.Name == "docker" && c.Args[1] == "inspect":
		labels, there := m.images[c.Args[2]]
		if !there {
			return fail("Error: No such image: "+c.Args[2], status)
		}
		return run.Result{Stdout: []byte(`[{"Id":"sha256:` + strings.Repeat("a", 64) + `","Size":5,"Config":{"Labels":` + labels + `}}]`)}, nil
	case c.Name == "docker" && c.Args[0] == "import":
		i := slices.IndexFunc(c.Args, func(arg string) bool { return strings.HasPrefix(arg, "LABEL "+LabelDigest+"=") })
		digest := strings.TrimPrefix(c.Args[i], "LABEL "+LabelDigest+"=")
		m.images[c.Args[len(c.Args)-1]] = `{"` + LabelDigest + `":"` + digest + `"}`
		return run.Result{}, nil
	case c.Name == "docker" && c.Args[0] == "save":
		return run.Result{}, os.WriteFile(c.Args[2], savedImage("blobs/sha256/"+strings.Repeat("a", 64)), 0o600)
	case c.Name == "docker" && c.Args[1] == "rm":
		delete(m.images, c.Args[2])
		return run.Result{}, nil
	}
	return fail("", exec.ErrNotFound)
}

func (m *machine) count(prefix string) (n int) {
	for _, line := range m.ran {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

func savedImage(config string) []byte {
	var buf bytes.Buffer
	out := tar.NewWriter(&buf)
	manifest := []byte(`[{"Config":"` + config + `"}]`)
	_ = out.WriteHeader(&tar.Header{Name: "layer.tar", Size: 3, Mode: 0o600})
	_, _ = out.Write([]byte("abc"))
	_ = out.WriteHeader(&tar.Header{Name: "manifest.json", Size: int64(len(manifest)), Mode: 0o600})
	_, _ = out.Write(manifest)
	_ = out.Close()
	return buf.Bytes()
}

func computer() *machine {
	return &machine{images: map[string]string{}, bootstrap: func(out string) (string, error) {
		return "", os.WriteFile(out, []byte("root"), 0o600)
	}}
}

func node(t *testing.T) Recipe {
	t.Helper()
	r, err := Load("node")
	require.NoError(t, err)
	return r
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := []string{}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".lock") {
			names = append(names, entry.Name())
		}
	}
	return names
}

func TestEveryPartOfARecipeIsPartOfItsDigest(t *testing.T) {
	t.Parallel()
	make := func(change func(fstest.MapFS)) string {
		dir := fstest.MapFS{
			"recipe.yml":    {Data: []byte("suite: trixie\nvariant: minbase\npackages: [a]\nconfig: [ENV A=1]\n")},
			"setup.sh":      {Data: []byte("true\n")},
			"files/etc/one": {Data: []byte("1")},
		}
		change(dir)
		r, err := load("x", dir)
		require.NoError(t, err)
		digest, err := r.Digest("amd64")
		require.NoError(t, err)
		return digest
	}
	seen := map[string]string{}
	for name, change := range map[string]func(fstest.MapFS){
		"as it is": func(fstest.MapFS) {},
		"other package": func(d fstest.MapFS) {
			d["recipe.yml"].Data = bytes.Replace(d["recipe.yml"].Data, []byte("[a]"), []byte("[b]"), 1)
		},
		"other config": func(d fstest.MapFS) {
			d["recipe.yml"].Data = bytes.Replace(d["recipe.yml"].Data, []byte("A=1"), []byte("A=2"), 1)
		},
		"other setup":   func(d fstest.MapFS) { d["setup.sh"].Data = []byte("false\n") },
		"other content": func(d fstest.MapFS) { d["files/etc/one"].Data = []byte("2") },
		"other file":    func(d fstest.MapFS) { d["files/etc/two"] = &fstest.MapFile{Data: []byte("1")} },
		"other name":    func(d fstest.MapFS) { d["files/etc/two"] = d["files/etc/one"]; delete(d, "files/etc/one") },
	} {
		digest := make(change)
		assert.Equal(t, digest, make(change), "%s: not the same twice", name)
		assert.NotContains(t, seen, digest, "%s has the digest of %s", name, seen[digest])
		seen[digest] = name
	}
	one, err := node(t).Digest("amd64")
	require.NoError(t, err)
	other, err := node(t).Digest("arm64")
	require.NoError(t, err)
	assert.NotEqual(t, one, other)
}

func TestAnImageIsBuiltOnceThenImportedFromTheCacheThenLeftAlone(t *testing.T) {
	t.Parallel()
	m := computer()
	b := Builder{Runner: m, Cache: t.TempDir()}
	want := Want{Recipe: node(t)}
	img, err := b.Apply(t.Context(), want)
	require.NoError(t, err)
	assert.Equal(t, Bootstrap, img.Source)
	assert.NotEmpty(t, img.ID)
	plan, _, err := b.Plan(t.Context(), want)
	require.NoError(t, err)
	assert.True(t, plan.Empty())

	clear(m.images) // the engine lost it
	img, err = b.Apply(t.Context(), want)
	require.NoError(t, err)
	assert.Empty(t, img.Source)
	_, err = b.Apply(t.Context(), want)
	require.NoError(t, err)
	assert.Equal(t, 2, m.count("docker import"))
	assert.Equal(t, 2, m.count("mmdebstrap"), "its version was asked and one image built")

	removed, err := b.Remove(t.Context(), want, true)
	require.NoError(t, err)
	assert.True(t, removed)
	assert.NotEmpty(t, files(t, filepath.Join(b.Cache, "images")), "check mode removed something")
	removed, err = b.Remove(t.Context(), want, false)
	require.NoError(t, err)
	assert.True(t, removed)
	assert.Empty(t, files(t, filepath.Join(b.Cache, "images")))
	removed, err = b.Remove(t.Context(), want, false)
	require.NoError(t, err)
	assert.False(t, removed)
}

func TestABuildThatFailsSaysWhyAndLeavesNothingAndTheNextGoesOn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		said string
		err  error
		want string
	}{
		"the mirror goes away in the middle": {
			"I: downloading packages with apt...\nE: Failed to fetch http://mirror/pool/a.deb  Connection failed\nE: apt-get failed", errors.New("exit status 25"), "Failed to fetch http://mirror/pool/a.deb",
		},
		"the disk is full":         {"tar: write error: No space left on device", errors.New("exit status 1"), "no disk space left"},
		"Debian's keys are absent": {"W: GPG error: NO_PUBKEY 0E98404D386FA1D9", errors.New("exit status 1"), "apt-get install debian-archive-keyring"},
		"it is not installed":      {"", exec.ErrNotFound, "apt-get install mmdebstrap"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := computer()
			whole := m.bootstrap
			m.bootstrap = func(out string) (string, error) {
				require.NoError(t, os.WriteFile(out, []byte("half"), 0o600))
				return test.said, test.err
			}
			b := Builder{Runner: m, Cache: t.TempDir()}
			_, err := b.Apply(t.Context(), Want{Recipe: node(t), Source: Bootstrap})
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "\n")
			assert.Less(t, len(err.Error()), 500, "the command line of a build has no place in a message")
			assert.Empty(t, files(t, filepath.Join(b.Cache, "images")))
			assert.Empty(t, m.images)
			m.bootstrap = whole
			_, err = b.Apply(t.Context(), Want{Recipe: node(t), Source: Bootstrap})
			require.NoError(t, err)
		})
	}
}

func TestWhatAKilledBuildLeftIsRemovedByTheNext(t *testing.T) {
	t.Parallel()
	b := Builder{Runner: computer(), Cache: t.TempDir()}
	left := filepath.Join(b.Cache, "images", ".building-node-123", "mmdebstrap.xyz")
	require.NoError(t, os.MkdirAll(left, 0o700))
	other := filepath.Join(b.Cache, "images", ".building-postgres-123")
	require.NoError(t, os.MkdirAll(other, 0o700))
	_, err := b.Apply(t.Context(), Want{Recipe: node(t)})
	require.NoError(t, err)
	assert.NoDirExists(t, filepath.Dir(left))
	assert.DirExists(t, other, "another recipe may be building at this moment")
}

func TestTwoBuildsAtOnceBuildOnce(t *testing.T) {
	t.Parallel()
	m := computer()
	whole := m.bootstrap
	m.bootstrap = func(out string) (string, error) { time.Sleep(100 * time.Millisecond); return whole(out) }
	b := Builder{Runner: m, Cache: t.TempDir()}
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			_, err := b.Apply(t.Context(), Want{Recipe: node(t), Source: Bootstrap})
			assert.NoError(t, err)
		})
	}
	group.Wait()
	assert.Equal(t, 1, m.count("mmdebstrap"))
}

func TestAnImageOfSomebodyElseIsNotReplaced(t *testing.T) {
	t.Parallel()
	m := computer()
	m.images["mine:1"] = `{}`
	b := Builder{Runner: m, Cache: t.TempDir()}
	_, err := b.Apply(t.Context(), Want{Recipe: node(t), Name: "mine:1"})
	require.ErrorIs(t, err, ErrNotOwned)
	_, err = b.Remove(t.Context(), Want{Recipe: node(t), Name: "mine:1"}, false)
	require.ErrorIs(t, err, ErrNotOwned)
	assert.Contains(t, m.images, "mine:1")
}

func TestAnArchiveIsWrittenWhenItIsMissingOrHoldsAnotherImage(t *testing.T) {
	t.Parallel()
	m := computer()
	b := Builder{Runner: m, Cache: t.TempDir()}
	want := Want{Recipe: node(t), Archive: filepath.Join(t.TempDir(), "deep", "node.tar")}
	_, err := b.Apply(t.Context(), want)
	require.NoError(t, err)
	require.FileExists(t, want.Archive)
	plan, _, err := b.Plan(t.Context(), want)
	require.NoError(t, err)
	assert.True(t, plan.Empty())

	for name, content := range map[string][]byte{
		"another image": savedImage(strings.Repeat("b", 64) + ".json"),
		"half of it":    savedImage(strings.Repeat("a", 64) + ".json")[:700],
		"nothing":       {},
	} {
		require.NoError(t, os.WriteFile(want.Archive, content, 0o600))
		plan, _, err = b.Plan(t.Context(), want)
		require.NoError(t, err)
		assert.True(t, plan.Archive, name)
	}
	_, err = b.Apply(t.Context(), want)
	require.NoError(t, err)
	plan, _, err = b.Plan(t.Context(), want)
	require.NoError(t, err)
	assert.True(t, plan.Empty())
}

func TestMirrorsComeFromThisComputersApt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		targets string
		want    Mirrors
	}{
		"a Debian with a mirror of its own": {
			"http://vendor.test/apt cloud main\nhttp://near.test/debian/ bookworm main\nhttp://near.test/debian/ bookworm-updates main\nhttp://near.test/debian-security/ bookworm-security main\n",
			Mirrors{Main: "http://near.test/debian", Security: "http://near.test/debian-security"},
		},
		"an Ubuntu": {
			"http://archive.test/ubuntu/ noble main\nhttp://archive.test/ubuntu/ noble-security main\n",
			Mirrors{Main: debianMirror, Security: debianSecurity},
		},
		"no apt at all": {"", Mirrors{Main: debianMirror, Security: debianSecurity}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, aptMirrors(t.Context(), &machine{targets: test.targets}))
		})
	}
}

func TestAnUnknownRecipeNamesThoseThatThereAre(t *testing.T) {
	t.Parallel()
	_, err := Load("nodes")
	assert.EqualError(t, err, `there is no image recipe "nodes": choose one of node, postgres, services`)
}
