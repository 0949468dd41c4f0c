// SPDX-License-Identifier: GPL-3.0-or-later

// Package component turns this binary into one of upstream's programs. Each
// runs as a process of its own, under its own name, since upstream's commands
// install process-wide signal handlers and flags that can be set up only once.
package component

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register" // --logging-format=json, as upstream's mains have it
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// The names that the components run under.
const (
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kubelet           = "kubelet"
	Proxy             = "kube-proxy"
	Kine              = "kine"
)

func command(name string) *cobra.Command {
	switch name {
	case APIServer:
		return apiServerCommand()
	case ControllerManager:
		return controllermanager.NewControllerManagerCommand()
	case Scheduler:
		return scheduler.NewSchedulerCommand()
	case Kubelet:
		return kubelet.NewKubeletCommand(context.Background())
	case Proxy:
		return proxy.NewProxyCommand()
	case Kine:
		return kineCommand()
	}
	return nil
}

// Known reports whether name is a component's.
func Known(name string) bool {
	switch name {
	case APIServer, ControllerManager, Scheduler, Kubelet, Proxy, Kine:
		return true
	}
	return false
}

// Run runs the component as argv says and ends the process with its status.
func Run(name string, argv []string) error {
	os.Args = argv
	c := command(name)
	c.SetArgs(argv[1:])
	os.Exit(cli.Run(c))
	return nil
}

// Kubectl runs kubectl in this process and ends it with kubectl's status.
func Kubectl(args []string) error {
	os.Args = append([]string{"kubectl"}, args...)
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
	os.Exit(0)
	return nil
}
