// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/embedded/internal/config"
	"github.com/arcodange-org/sandbox/embedded/internal/pki"
	"github.com/arcodange-org/sandbox/embedded/internal/supervise"
)

// PauseImage is the image of every pod's first container, set by build.sh.
var PauseImage = "localhost/arcodange/pause:unknown"

// cniBin is where Debian's containernetworking-plugins are.
const cniBin = "/usr/lib/cni"

func startContainerd(group *supervise.Group, p paths, cfg *config.Config) error {
	program, err := exec.LookPath("containerd")
	if err != nil {
		return fmt.Errorf("finding containerd: %w; install the package containerd", err)
	}
	settings := fmt.Sprintf(`# Written by k3s at every start.
version = 2
root = %q
state = "/run/k3s/containerd"
[grpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
`, filepath.Join(p.dir, "containerd"), config.ContainerdSocket, PauseImage, cniBin, cniConf(cfg))
	path := filepath.Join(p.dir, "etc", "containerd", "config.toml")
	if err := pki.WriteFile(path, []byte(settings), 0o600); err != nil {
		return fmt.Errorf("writing containerd's configuration: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(config.ContainerdSocket), 0o711); err != nil {
		return fmt.Errorf("making containerd's directory: %w", err)
	}
	group.Start(supervise.Process{Name: "containerd", Path: program, Args: []string{"--config", path, "--log-level", "warn"}})
	return nil
}

func waitContainerd(ctx context.Context) error {
	for {
		conn, err := net.Dial("unix", config.ContainerdSocket)
		if err == nil {
			conn.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// importImages loads the archives in dir, as k3s does with its air-gap images.
// An archive that was loaded before, by name, size and time, is left alone.
func importImages(ctx context.Context, dir string) error {
	if err := waitContainerd(ctx); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.tar*"))
	if err != nil {
		return fmt.Errorf("looking for images: %w", err)
	}
	slices.Sort(files)
	markFile := filepath.Join(dir, ".imported")
	marks := []string{}
	if data, err := os.ReadFile(markFile); err == nil {
		marks = strings.Split(strings.TrimSpace(string(data)), "\n")
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return fmt.Errorf("importing images: %w", err)
		}
		mark := fmt.Sprintf("%s %d %d", filepath.Base(file), info.Size(), info.ModTime().UnixNano())
		if slices.Contains(marks, mark) {
			continue
		}
		began := time.Now()
		command := exec.CommandContext(ctx, "ctr", "--address", config.ContainerdSocket, "--namespace", "k8s.io",
			"images", "import", "--local", file)
		if out, err := command.CombinedOutput(); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("importing the images of %s: %w: %s", file, err, strings.TrimSpace(string(out)))
		}
		slog.Info("imported images", "file", file, "took", time.Since(began).Round(time.Millisecond))
		marks = append(marks, mark)
		if err := pki.WriteFile(markFile, []byte(strings.Join(marks, "\n")+"\n"), 0o644); err != nil {
			return fmt.Errorf("importing images: %w", err)
		}
	}
	return nil
}
