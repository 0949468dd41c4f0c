// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/arcodange-org/sandbox/embedded/internal/config"
	"github.com/arcodange-org/sandbox/embedded/internal/limits"
	"github.com/arcodange-org/sandbox/embedded/internal/pki"
	"github.com/arcodange-org/sandbox/embedded/internal/supervise"
)

// PauseImage is the image of every pod's first container, set by build.sh.
var PauseImage = "localhost/arcodange/pause:unknown"

// cniBin is where Debian's containernetworking-plugins are.
const cniBin = "/usr/lib/cni"

// CNIPlugins are the programs that give pods their network.
var CNIPlugins = []string{cniBin + "/bridge", cniBin + "/host-local", cniBin + "/loopback", cniBin + "/portmap"}

// base is containerd's configuration, which a template of the user's may include as k3s's may: {{ template "base" . }}.
const base = `# Written by k3s at every start.
version = 2
required_plugins = ["io.containerd.grpc.v1.cri"]
root = {{ printf "%q" .NodeConfig.Containerd.Root }}
state = {{ printf "%q" .NodeConfig.Containerd.State }}
[grpc]
  address = {{ printf "%q" .NodeConfig.Containerd.Address }}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {{ printf "%q" .NodeConfig.AgentConfig.PauseImage }}
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    snapshotter = {{ printf "%q" .NodeConfig.AgentConfig.Snapshotter }}
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {{ printf "%q" .NodeConfig.AgentConfig.CNIBinDir }}
    conf_dir = {{ printf "%q" .NodeConfig.AgentConfig.CNIConfDir }}
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = {{ printf "%q" .NodeConfig.Containerd.Registry }}
{{- range $host, $auth := .Auths }}
  [plugins."io.containerd.grpc.v1.cri".registry.configs.{{ printf "%q" $host }}.auth]
    {{- with $auth.Username }}
    username = {{ printf "%q" . }}
    {{- end }}
    {{- with $auth.Password }}
    password = {{ printf "%q" . }}
    {{- end }}
    {{- with $auth.Auth }}
    auth = {{ printf "%q" . }}
    {{- end }}
    {{- with $auth.IdentityToken }}
    identitytoken = {{ printf "%q" . }}
    {{- end }}
{{- end }}
`

// containerdValues are what templates see, under k3s's names.
type containerdValues struct {
	Program           string
	IsRunningInUserNS bool
	SystemdCgroup     bool
	DisableCgroup     bool
	NodeConfig        struct {
		SELinux     bool
		Containerd  struct{ Root, State, Address, Config, Registry, Opt string }
		AgentConfig struct {
			NodeName, NodeIP, PauseImage, Snapshotter, CNIBinDir, CNIConfDir string
		}
	}
	PrivateRegistryConfig Registries
	Auths                 map[string]Auth
}

// renderContainerd makes containerd's configuration, from the user's template if there is one.
func renderContainerd(dir string, values containerdValues) ([]byte, error) {
	if path := filepath.Join(dir, "config-v3.toml.tmpl"); exists(path) {
		return nil, fmt.Errorf("%s: %s", path, limits.Find("file", "config-v3.toml.tmpl"))
	}
	path, text := filepath.Join(dir, "config.toml.tmpl"), base
	if data, err := os.ReadFile(path); err == nil {
		text = string(data)
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading containerd's template: %w", err)
	}
	compiled, err := template.New("config.toml.tmpl").Parse(text)
	if err == nil {
		_, err = compiled.New("base").Parse(base)
	}
	var out bytes.Buffer
	if err == nil {
		err = compiled.Execute(&out, values)
	}
	if err != nil {
		return nil, fmt.Errorf(`%s: %w; use the fields of base, and {{ template "base" . }} for what k3s sets`, path, err)
	}
	return out.Bytes(), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func startContainerd(group *supervise.Group, p paths, cfg *config.Config) error {
	program, err := exec.LookPath("containerd")
	if err != nil {
		return fmt.Errorf("finding containerd: %w; install the package containerd", err)
	}
	registries, err := readRegistries(cfg.Registries)
	if err != nil {
		return err
	}
	path := p.etc("containerd/config.toml")
	values := containerdValues{Program: "k3s", PrivateRegistryConfig: registries, Auths: registries.auths()}
	values.NodeConfig.Containerd.Root = filepath.Join(p.dir, "containerd")
	values.NodeConfig.Containerd.State = "/run/k3s/containerd"
	values.NodeConfig.Containerd.Address = config.ContainerdSocket
	values.NodeConfig.Containerd.Config = path
	values.NodeConfig.Containerd.Registry = p.etc("containerd/certs.d")
	values.NodeConfig.Containerd.Opt = filepath.Join(p.dir, "containerd")
	agent := &values.NodeConfig.AgentConfig
	agent.NodeName, agent.NodeIP, agent.Snapshotter = cfg.NodeName, cfg.NodeIP, cfg.Snapshotter
	agent.CNIBinDir, agent.CNIConfDir = cniBin, cniConf(cfg)
	if agent.PauseImage = cfg.PauseImage; agent.PauseImage == "" {
		agent.PauseImage = PauseImage
	}
	if err := registries.writeHosts(values.NodeConfig.Containerd.Registry); err != nil {
		return err
	}
	settings, err := renderContainerd(p.etc("containerd"), values)
	if err != nil {
		return err
	}
	if err := pki.WriteFile(path, settings, 0o600); err != nil {
		return fmt.Errorf("writing containerd's configuration: %w", err)
	}
	crictl := []byte("runtime-endpoint: unix://" + config.ContainerdSocket + "\n")
	if err := pki.WriteFile(p.etc("crictl.yaml"), crictl, 0o644); err != nil {
		return fmt.Errorf("writing crictl's configuration: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(config.ContainerdSocket), 0o711); err != nil {
		return fmt.Errorf("making containerd's directory: %w", err)
	}
	group.Start(supervise.Process{
		Name: "containerd", Path: program, Args: []string{"--config", path, "--log-level", "warn"}, Env: containerdEnv(os.Environ()),
	})
	return nil
}

// containerdEnv are the variables that k3s hands to containerd alone, such as CONTAINERD_HTTPS_PROXY.
func containerdEnv(environ []string) []string {
	var env []string
	for _, pair := range environ {
		if own, ok := strings.CutPrefix(pair, "CONTAINERD_"); ok {
			env = append(env, own)
		}
	}
	return env
}

// containerdLimit is how long containerd may take to listen. Without the CRI, which it must have, it ends.
const containerdLimit = time.Minute

func waitContainerd(ctx context.Context) error {
	late := time.After(containerdLimit)
	for {
		conn, err := net.Dial("unix", config.ContainerdSocket)
		if err == nil {
			conn.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return fmt.Errorf("containerd does not listen after %s; its lines above say why (after \"too many open files\", raise fs.inotify.max_user_instances on the computer that runs the nodes)", containerdLimit)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

var archive = regexp.MustCompile(`\.(tar(\.gz|\.zst)?|tgz|tzst)$`)

// importImages loads the archives in dir, as k3s does with its air-gap images.
// An archive that was loaded before, by name, size and time, is left alone.
func importImages(ctx context.Context, dir, snapshotter string) error {
	if err := waitContainerd(ctx); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("looking for images: %w", err)
	}
	var files []string
	for _, entry := range entries {
		switch name := entry.Name(); {
		case strings.HasPrefix(name, "."):
		case archive.MatchString(name):
			files = append(files, filepath.Join(dir, name))
		default:
			slog.Warn("a file is not an archive of images, and nothing is done with it; use .tar, .tar.gz or .tar.zst", "file", filepath.Join(dir, name))
		}
	}
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
			"images", "import", "--local", "--snapshotter", snapshotter, file)
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
