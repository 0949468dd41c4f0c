// SPDX-License-Identifier: GPL-3.0-or-later

// Command k3s runs upstream Kubernetes behind the part of k3s's command line
// that roles, operators and k3d use. It replaces the k3s release where that
// cannot be had, and says so in its version, which ends in .embedded.
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
	"github.com/arcodange-org/sandbox/embedded/internal/command"
	"github.com/arcodange-org/sandbox/embedded/internal/component"
	"github.com/arcodange-org/sandbox/embedded/internal/config"
	"github.com/arcodange-org/sandbox/embedded/internal/server"
)

// build is the content key of the sources, set by build.sh.
var build = "unknown"

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
	word := "--help"
	if len(argv) > 1 {
		word = argv[1]
	}
	switch word {
	case "server", "agent":
		cfg, err := config.Load(word, argv[2:], os.Environ())
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
		if word == "server" {
			return server.Run(ctx, cfg)
		}
		return agent.Run(ctx, cfg)
	case "kubectl", "ctr", "crictl":
		return tool(word, argv[2:])
	case "--version", "-v", "version":
		fmt.Printf("k3s version %s (%s)\ngo version %s\n", version.Get().GitVersion, build, runtime.Version())
		return nil
	default:
		c := command.New()
		c.SetArgs(append([]string{word}, argv[min(2, len(argv)):]...))
		return c.Execute()
	}
}

// tool runs kubectl in this process, the crictl that came with this binary, and the node's own ctr, on k3s's containerd.
func tool(name string, args []string) error {
	switch name {
	case "kubectl":
		if os.Getenv("KUBECONFIG") == "" {
			if _, err := os.Stat(config.Kubeconfig); err == nil {
				os.Setenv("KUBECONFIG", config.Kubeconfig)
			}
		}
		return component.Kubectl(args)
	case "crictl":
		path, err := command.Attached(name, config.DataDir, build)
		if err != nil {
			return err
		}
		return execute(path, name, args)
	}
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/bin", "/opt/bin"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return execute(path, name, args)
		}
	}
	return fmt.Errorf("%s: not on this machine; install the package containerd", name)
}

// execute replaces this process by a program that speaks to k3s's containerd.
func execute(path, name string, args []string) error {
	env := append(os.Environ(),
		"CONTAINERD_ADDRESS="+config.ContainerdSocket, "CONTAINERD_NAMESPACE=k8s.io",
		"CONTAINER_RUNTIME_ENDPOINT=unix://"+config.ContainerdSocket, "IMAGE_SERVICE_ENDPOINT=unix://"+config.ContainerdSocket)
	if settings := filepath.Join(config.DataDir, "agent", "etc", "crictl.yaml"); os.Getenv("CRI_CONFIG_FILE") == "" {
		env = append(env, "CRI_CONFIG_FILE="+settings)
	}
	return fmt.Errorf("running %s: %w", path, syscall.Exec(path, append([]string{name}, args...), env))
}
