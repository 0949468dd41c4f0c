// SPDX-License-Identifier: GPL-3.0-or-later

package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/atomicfile"
	"github.com/arcodange-org/sandbox/internal/dockercli"
	"github.com/arcodange-org/sandbox/internal/lock"
	"github.com/arcodange-org/sandbox/internal/run"
)

const (
	// LabelDigest marks an image as ours and holds the digest of its recipe.
	LabelDigest = "org.arcodange.image.digest"
	// LabelRecipe names that recipe.
	LabelRecipe = "org.arcodange.image.recipe"

	repository = "arcodange-sandbox"
)

// ErrNotOwned is an image under the wanted name that was not made from this recipe.
var ErrNotOwned = errors.New("not made by this collection")

// Source is where the first layer of an image comes from.
type Source string

const (
	// Auto bootstraps where mmdebstrap is installed, else asks the registry:
	// the first is quicker, the same everywhere, and needs one network less.
	Auto Source = "auto"
	// Bootstrap builds from Debian's packages alone.
	Bootstrap Source = "bootstrap"
	// Registry builds on Debian's official base image.
	Registry Source = "registry"
)

// excludes are paths of packages that no machine of a sandbox reads.
var excludes = []string{
	"/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/lintian/*",
	"/usr/share/locale/*", "/usr/share/i18n/locales/*", "/usr/share/bash-completion/*",
}

// includes are exceptions to excludes.
var includes = []string{"/usr/share/doc/*/copyright"}

// Want is an image that is asked for.
type Want struct {
	Recipe  Recipe
	Name    string // repository:tag; empty means one made from the recipe's digest
	Source  Source
	Mirrors Mirrors // what is empty is taken from this machine's apt
	Archive string  // also leave the image there, as `docker load` reads it; empty for no archive
}

// Image is an image in the engine.
type Image struct {
	Name    string
	ID      string
	Digest  string
	Size    int64  // bytes, unpacked
	Source  Source // how it came to be in this call; empty when it was there or came from the cache
	Archive string
}

// Builder makes images. Cache holds the built root file systems.
type Builder struct {
	Runner run.Runner
	Cache  string
	Arch   string        // as Go names it; empty means this machine's
	Wait   time.Duration // how long to wait for another build of the same image; 0 means half an hour
}

// Plan is what Apply would do: one word per thing that is missing. Empty means
// that everything is there.
type Plan struct {
	Image   bool // the engine has no such image
	Archive bool // the archive is missing or holds another image
	Cached  bool // the image can be imported from the cache
}

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool { return !p.Image && !p.Archive }

// Name is what the image of that recipe is called by default.
func (b Builder) Name(r Recipe) (string, error) {
	digest, err := r.Digest(b.arch())
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s/%s:%s", repository, r.Name, digest), nil
}

// Plan looks, and changes nothing.
func (b Builder) Plan(ctx context.Context, want Want) (Plan, Image, error) {
	digest, err := want.Recipe.Digest(b.arch())
	if err != nil {
		return Plan{}, Image{}, err
	}
	img := Image{Name: want.Name, Digest: digest, Archive: want.Archive}
	if img.Name == "" {
		img.Name = fmt.Sprintf("%s/%s:%s", repository, want.Recipe.Name, digest)
	}
	found, err := b.inspect(ctx, img.Name)
	if err != nil {
		return Plan{}, img, err
	}
	plan := Plan{}
	switch {
	case found == nil:
		plan.Image = true
	case found.Config.Labels[LabelDigest] == "":
		return Plan{}, img, fmt.Errorf("image %s exists and is %w: choose another name, or remove it with `docker image rm %s`", img.Name, ErrNotOwned, img.Name)
	case found.Config.Labels[LabelDigest] != digest:
		plan.Image = true // ours, of an older recipe
	default:
		img.ID, img.Size = found.ID, found.Size
	}
	_, err = os.Stat(b.tarball(want.Recipe, digest))
	plan.Cached = err == nil
	if want.Archive != "" {
		plan.Archive = plan.Image || archived(want.Archive) != img.ID
	}
	return plan, img, nil
}

// Apply brings the image into the engine, from the cache if it can, and writes
// the archive. Two at once build once. A build that fails or is killed leaves at
// most temporary files in the cache, which the next build removes.
func (b Builder) Apply(ctx context.Context, want Want) (Image, error) {
	wait := b.Wait
	if wait == 0 {
		wait = 30 * time.Minute
	}
	dir := filepath.Join(b.Cache, "images")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Image{}, fmt.Errorf("make the image cache %s: %w", dir, err)
	}
	held, err := lock.Acquire(ctx, filepath.Join(dir, want.Recipe.Name+".lock"), "build image "+want.Recipe.Name, wait)
	if err != nil {
		return Image{}, err
	}
	defer held.Release()
	// What another process did while this one waited counts.
	plan, img, err := b.Plan(ctx, want)
	if err != nil {
		return img, err
	}
	b.removeStale(dir, want.Recipe)
	if plan.Image {
		if !plan.Cached {
			if img.Source, err = b.build(ctx, want, img.Name, img.Digest); err != nil {
				return img, err
			}
		}
		if img.Source != Registry {
			if err := b.importTarball(ctx, want.Recipe, img.Name, img.Digest); err != nil {
				return img, err
			}
		}
		found, err := b.inspect(ctx, img.Name)
		if err != nil {
			return img, err
		}
		if found == nil {
			return img, fmt.Errorf("image %s is not in the engine after it was built: run again", img.Name)
		}
		img.ID, img.Size = found.ID, found.Size
	}
	if want.Archive != "" && archived(want.Archive) != img.ID {
		if err := b.save(ctx, img); err != nil {
			return img, err
		}
	}
	return img, nil
}

// Remove removes the image, its cache and its archive. Absent is not an error.
// It reports whether there was anything to remove; with check it removes nothing.
func (b Builder) Remove(ctx context.Context, want Want, check bool) (bool, error) {
	plan, img, err := b.Plan(ctx, want)
	if err != nil {
		return false, err
	}
	there := img.ID != "" || plan.Cached
	if want.Archive != "" && archived(want.Archive) != "" {
		there = true
	}
	if check || !there {
		return there, nil
	}
	if img.ID != "" {
		if _, err := b.docker(ctx, "image", "rm", img.Name); err != nil {
			return false, fmt.Errorf("remove image %s (is a machine still made from it?): %w", img.Name, err)
		}
	}
	files := []string{b.tarball(want.Recipe, img.Digest)}
	if want.Archive != "" && archived(want.Archive) != "" {
		files = append(files, want.Archive)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("remove %s: %w", file, err)
		}
	}
	return true, nil
}

func (b Builder) arch() string {
	if b.Arch != "" {
		return b.Arch
	}
	return runtime.GOARCH
}

func (b Builder) tarball(r Recipe, digest string) string {
	return filepath.Join(b.Cache, "images", r.Name+"-"+digest+"-"+b.arch()+".tar")
}

// removeStale removes what a killed build left. Only the holder of the
// recipe's lock may call it: then no process is writing these.
func (b Builder) removeStale(dir string, r Recipe) {
	stale, _ := filepath.Glob(filepath.Join(dir, ".building-"+r.Name+"-*"))
	for _, name := range stale {
		_ = os.RemoveAll(name)
	}
}

type found struct {
	ID     string `json:"Id"`
	Size   int64
	Config struct{ Labels map[string]string }
}

// inspect gives nil for an image that is not there.
func (b Builder) inspect(ctx context.Context, name string) (*found, error) {
	images, err := dockercli.Inspect[found](ctx, dockercli.Engine{Runner: b.Runner}, "image", name)
	if err != nil || len(images) == 0 {
		return nil, err
	}
	return &images[0], nil
}

func (b Builder) docker(ctx context.Context, args ...string) ([]byte, error) {
	return dockercli.Engine{Runner: b.Runner}.Do(ctx, args...)
}

// build leaves a root file system in the cache, or for Registry an image in the engine.
func (b Builder) build(ctx context.Context, want Want, name, digest string) (Source, error) {
	source := want.Source
	if source == "" || source == Auto {
		source = Registry
		if _, err := b.Runner.Run(ctx, run.Cmd{Name: "mmdebstrap", Args: []string{"--version"}}); err == nil {
			source = Bootstrap
		}
	}
	mirrors := want.Mirrors
	if mirrors.Main == "" || mirrors.Security == "" {
		apt := aptMirrors(ctx, b.Runner)
		if mirrors.Main == "" {
			mirrors.Main = apt.Main
		}
		if mirrors.Security == "" {
			mirrors.Security = apt.Security
		}
		if mirrors.Proxy == "" {
			mirrors.Proxy = apt.Proxy
		}
	}
	work, err := os.MkdirTemp(filepath.Join(b.Cache, "images"), ".building-"+want.Recipe.Name+"-")
	if err != nil {
		return source, fmt.Errorf("make a folder to build image %s in: %w", want.Recipe.Name, err)
	}
	defer os.RemoveAll(work)
	overlay, err := want.Recipe.overlay()
	if err != nil {
		return source, err
	}
	setup := filepath.Join(work, "setup.sh")
	if err := errors.Join(
		os.WriteFile(filepath.Join(work, "files.tar"), overlay, 0o600),
		os.WriteFile(setup, want.Recipe.setup, 0o700), //nolint:gosec // a script is executed
	); err != nil {
		return source, fmt.Errorf("prepare the build of image %s: %w", want.Recipe.Name, err)
	}
	if source == Registry {
		return source, b.buildOnBase(ctx, want.Recipe, mirrors, work, name, digest)
	}
	return source, b.bootstrap(ctx, want.Recipe, mirrors, work, digest)
}

func sourcesList(suite string, m Mirrors) string {
	return fmt.Sprintf("deb %[2]s %[1]s main\ndeb %[2]s %[1]s-updates main\ndeb %[3]s %[1]s-security main\n", suite, m.Main, m.Security)
}

func (b Builder) bootstrap(ctx context.Context, r Recipe, m Mirrors, work, digest string) error {
	out := filepath.Join(work, "root.tar")
	list := filepath.Join(work, "sources.list")
	final := filepath.Join(work, "final.list")
	if err := errors.Join(
		os.WriteFile(list, []byte(sourcesList(r.Suite, m)), 0o600),
		os.WriteFile(final, []byte(sourcesList(r.Suite, Mirrors{Main: debianMirror, Security: debianSecurity})), 0o600),
	); err != nil {
		return fmt.Errorf("prepare the build of image %s: %w", r.Name, err)
	}
	args := []string{"--variant=" + r.Variant, "--format=tar", "--architectures=" + b.arch(), "--include=" + strings.Join(r.Packages, ",")}
	for _, pattern := range r.Excludes {
		args = append(args, "--dpkgopt=path-exclude="+pattern)
	}
	for _, pattern := range includes {
		args = append(args, "--dpkgopt=path-include="+pattern)
	}
	if m.Proxy != "" {
		args = append(args, `--aptopt=Acquire::http::Proxy "`+m.Proxy+`"`)
	}
	args = append(args,
		// The packages are not needed twice, and fsync of every file triples the time of unpacking.
		"--dpkgopt=force-unsafe-io",
		"--aptopt=Acquire::Retries \"3\"",
		"--customize-hook=tar-in "+run.Quote(filepath.Join(work, "files.tar"))+" /",
		"--customize-hook=copy-in "+run.Quote(filepath.Join(work, "setup.sh"))+" /tmp",
		`--customize-hook=chroot "$1" sh /tmp/setup.sh && rm "$1/tmp/setup.sh"`,
		"--customize-hook=upload "+run.Quote(final)+" /etc/apt/sources.list",
		`--customize-hook=chmod 0644 "$1/etc/apt/sources.list"; rm -f "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1/etc/resolv.conf" "$1/etc/hostname"`,
		r.Suite, out, list,
	)
	env := append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TMPDIR=") }),
		"TMPDIR="+work, // what a kill leaves lies where the next build removes it
		"LC_ALL=C.UTF-8", "SOURCE_DATE_EPOCH=0")
	if res, err := b.Runner.Run(ctx, run.Cmd{Name: "mmdebstrap", Args: args, Env: env}); err != nil {
		return fmt.Errorf("build image %s from Debian's packages: %w: nothing is left of it; run again when that is solved (mirror: %s)",
			r.Name, b.why(res, err), m.Main)
	}
	if err := atomicfile.Move(out, b.tarball(r, digest)); err != nil {
		return fmt.Errorf("keep the built image %s: %w", r.Name, err)
	}
	return nil
}

// why returns the line of a builder's output with the cause: apt's and
// mmdebstrap's errors start with E:, and the first is the cause.
func (b Builder) why(res run.Result, err error) error {
	said := string(res.Stderr) + string(res.Stdout)
	err, missing := cause(err), run.NotFound(err)
	switch {
	case missing:
		return fmt.Errorf("mmdebstrap is not installed: `apt-get install mmdebstrap`, or set source: registry: %w", err)
	case strings.Contains(said, "No space left on device"):
		return fmt.Errorf("no disk space left under %s: %w", b.Cache, err)
	case strings.Contains(said, "NO_PUBKEY"):
		return fmt.Errorf("this machine does not have Debian's keys: `apt-get install debian-archive-keyring`: %w", err)
	}
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "E: ") || strings.HasPrefix(line, "Err:") {
			return fmt.Errorf("%s (%w)", strings.TrimPrefix(line, "E: "), err)
		}
	}
	return err
}

// cause leaves out the command line, which for a build is longer than the message.
func cause(err error) error {
	var failed *run.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

func (b Builder) buildOnBase(ctx context.Context, r Recipe, m Mirrors, work, name, digest string) error {
	var file strings.Builder
	fmt.Fprintf(&file, "FROM debian:%s-slim\n", r.Suite)
	opts := ""
	if m.Main != debianMirror || m.Security != debianSecurity {
		// This machine's mirror during the build only.
		fmt.Fprintf(&file, "COPY sources.list /tmp/sources.list\n")
		opts = " -o Dir::Etc::sourcelist=/tmp/sources.list -o Dir::Etc::sourceparts=-"
		if err := os.WriteFile(filepath.Join(work, "sources.list"), []byte(sourcesList(r.Suite, m)), 0o600); err != nil {
			return fmt.Errorf("prepare the build of image %s: %w", r.Name, err)
		}
	}
	if m.Proxy != "" {
		opts += " -o Acquire::http::Proxy=" + m.Proxy
	}
	dpkg := ""
	for _, pattern := range r.Excludes {
		dpkg += "path-exclude=" + pattern + `\n`
	}
	for _, pattern := range includes {
		dpkg += "path-include=" + pattern + `\n`
	}
	fmt.Fprintf(&file, "RUN printf '%sforce-unsafe-io\\n' >/etc/dpkg/dpkg.cfg.d/sandbox \\\n"+
		" && apt-get%[2]s update && DEBIAN_FRONTEND=noninteractive apt-get%[2]s install -y --no-install-recommends %[3]s \\\n"+
		" && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb\n", dpkg, opts, strings.Join(r.Packages, " "))
	fmt.Fprintf(&file, "ADD files.tar /\nCOPY setup.sh /tmp/setup.sh\nRUN sh /tmp/setup.sh && rm -f /tmp/setup.sh /tmp/sources.list\n")
	for _, line := range append(slices.Clone(r.Config), b.labels(r, digest)...) {
		fmt.Fprintln(&file, line)
	}
	if err := os.WriteFile(filepath.Join(work, "Dockerfile"), []byte(file.String()), 0o600); err != nil {
		return fmt.Errorf("prepare the build of image %s: %w", r.Name, err)
	}
	if _, err := b.docker(ctx, "build", "--tag", name, "--platform", "linux/"+b.arch(), work); err != nil {
		return fmt.Errorf("build image %s on debian:%s-slim: %w: nothing is left of it; run again, or set source: bootstrap",
			r.Name, r.Suite, err)
	}
	return nil
}

func (b Builder) labels(r Recipe, digest string) []string {
	return []string{"LABEL " + LabelDigest + "=" + digest, "LABEL " + LabelRecipe + "=" + r.Name}
}

func (b Builder) importTarball(ctx context.Context, r Recipe, name, digest string) error {
	args := []string{"import"}
	for _, line := range append(slices.Clone(r.Config), b.labels(r, digest)...) {
		args = append(args, "--change", line)
	}
	args = append(args, "--platform", "linux/"+b.arch(), b.tarball(r, digest), name)
	if _, err := b.docker(ctx, args...); err != nil {
		return fmt.Errorf("import image %s: %w", name, err)
	}
	return nil
}

// save writes the archive beside its place and then moves it there: an archive
// that is there is whole.
func (b Builder) save(ctx context.Context, img Image) error {
	if err := os.MkdirAll(filepath.Dir(img.Archive), 0o700); err != nil {
		return fmt.Errorf("make the folder of archive %s: %w", img.Archive, err)
	}
	part := img.Archive + ".part"
	if _, err := b.docker(ctx, "save", "--output", part, img.Name); err != nil {
		return errors.Join(fmt.Errorf("write image %s to %s: %w", img.Name, img.Archive, err), os.RemoveAll(part))
	}
	if err := atomicfile.Move(part, img.Archive); err != nil {
		return fmt.Errorf("write image %s to %s: %w", img.Name, img.Archive, err)
	}
	return nil
}

// archived is the ID of the one image in an archive, or empty for anything else.
func archived(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for in := tar.NewReader(f); ; {
		header, err := in.Next()
		if err != nil {
			return ""
		}
		if header.Name != "manifest.json" {
			continue
		}
		var manifest []struct{ Config string }
		data, err := io.ReadAll(io.LimitReader(in, 1<<20))
		if err != nil || json.Unmarshal(data, &manifest) != nil || len(manifest) != 1 {
			return ""
		}
		// "<id>.json" from older engines, "blobs/sha256/<id>" from newer.
		return "sha256:" + strings.TrimSuffix(filepath.Base(manifest[0].Config), ".json")
	}
}
