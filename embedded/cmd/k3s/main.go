// SPDX-License-Identifier: GPL-3.0-or-later

// Command k3s runs upstream Kubernetes behind the part of k3s's command line
// that roles, operators and k3d use. It is a stand-in for places where the k3s
// release cannot be had, and says so in its version: +embedded, never +k3s1.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"k8s.io/component-base/version"

	"github.com/arcodange-org/sandbox/embedded/internal/agent"
	"github.com/arcodange-org/sandbox/embedded/internal/component"
	"github.com/arcodange-org/sandbox/embedded/internal/config"
	"github.com/arcodange-org/sandbox/embedded/internal/server"
)

// build is the content key of the sources, set by build.sh.
var build = "unknown"

const usage = `usage: k3s COMMAND [flags]

Upstream Kubernetes behind a part of k3s's command line; it is not k3s.

  server          run the server, and a node beside it
  agent           run a node
  kubectl         run kubectl
  ctr, crictl     run the node's own, on the containerd that k3s started
  --version, -v   print the version

k3s server --help and k3s agent --help list the flags.
`

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintf(os.Stderr, "k3s: %v\n", err)
		os.Exit(1)
	}
}

func run(argv []string) error {
	name := filepath.Base(argv[0])
	if component.Known(name) {
		return component.Run(name, argv)
	}
	switch name {
	case "kubectl", "ctr", "crictl":
		return tool(name, argv[1:])
	}
	if len(argv) < 2 {
		return fmt.Errorf("which command? server, agent, kubectl, ctr, crictl, --version")
	}
	switch command := argv[1]; command {
	case "server", "agent":
		cfg, err := config.Load(command, argv[2:], os.Environ())
		if help := (*config.Help)(nil); errors.As(err, &help) {
			fmt.Print(help.Text)
			return nil
		}
		if err != nil {
			return err
		}
		if cfg.Debug {
			slog.SetLogLoggerLevel(slog.LevelDebug)
		}
		for _, warning := range cfg.Warnings {
			slog.Warn(warning)
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		if command == "server" {
			return server.Run(ctx, cfg)
		}
		return agent.Run(ctx, cfg)
	case "kubectl", "ctr", "crictl":
		return tool(command, argv[2:])
	case "--version", "-v", "version":
		fmt.Printf("k3s version %s (%s)\ngo version %s\n", version.Get().GitVersion, build, runtime.Version())
		return nil
	case "--help", "-h", "help":
		fmt.Print(usage)
		return nil
	default:
		return fmt.Errorf("unknown command %q; server, agent, kubectl, ctr, crictl and --version are known", command)
	}
}

// tool runs kubectl in this process, and the node's own ctr or crictl against k3s's containerd.
func tool(name string, args []string) error {
	if name == "kubectl" {
		if os.Getenv("KUBECONFIG") == "" {
			if _, err := os.Stat(config.Kubeconfig); err == nil {
				os.Setenv("KUBECONFIG", config.Kubeconfig)
			}
		}
		return component.Kubectl(args)
	}
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/bin", "/opt/bin"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		env := append(os.Environ(),
			"CONTAINERD_ADDRESS="+config.ContainerdSocket, "CONTAINERD_NAMESPACE=k8s.io",
			"CONTAINER_RUNTIME_ENDPOINT=unix://"+config.ContainerdSocket, "IMAGE_SERVICE_ENDPOINT=unix://"+config.ContainerdSocket)
		return fmt.Errorf("running %s: %w", path, syscall.Exec(path, append([]string{name}, args...), env))
	}
	return fmt.Errorf("this node has no %s of its own; install the package that has it (containerd for ctr, cri-tools for crictl)", name)
}
