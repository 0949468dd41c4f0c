// SPDX-License-Identifier: GPL-3.0-or-later

// Package command is k3s's commands beside server and agent: token,
// certificate, check-config, completion, and those that say why they do nothing.
package command

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/arcodange-org/sandbox/embedded/internal/config"
	"github.com/arcodange-org/sandbox/embedded/internal/limits"
)

// New returns the command k3s. Server, agent and the programs that it stands for are there for completion alone: they
// are run before, by their own rules.
func New() *cobra.Command {
	root := &cobra.Command{Use: "k3s", SilenceUsage: true, SilenceErrors: true}
	for _, role := range []string{"server", "agent"} {
		c := &cobra.Command{Use: role, Short: "run " + role, Run: func(*cobra.Command, []string) {}}
		c.Flags().AddFlagSet(config.Flags(role))
		root.AddCommand(c)
	}
	for _, name := range []string{"kubectl", "crictl", "ctr"} {
		root.AddCommand(&cobra.Command{Use: name, Short: "run " + name, Run: func(*cobra.Command, []string) {}})
	}
	root.AddCommand(tokenCommand(), certificateCommand(), checkConfigCommand())
	for name, short := range map[string]string{"etcd-snapshot": "take snapshots of etcd", "secrets-encrypt": "encrypt secrets at rest"} {
		root.AddCommand(absent(name, short, name))
	}
	return root
}

// absent is a command that fails with the sentence that says why it is not there.
func absent(use, short, name string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short + " (not here)", DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("%s: %s", name, limits.Find("command", name))
		},
	}
}

// client connects to the cluster as its admin.
func client(kubeconfig string) (*kubernetes.Clientset, error) {
	if kubeconfig == "" {
		if kubeconfig = os.Getenv("KUBECONFIG"); kubeconfig == "" {
			kubeconfig = config.Kubeconfig
		}
	}
	settings, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w; run this on the server, or give --kubeconfig", kubeconfig, err)
	}
	return kubernetes.NewForConfig(settings)
}
