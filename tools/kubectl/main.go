// SPDX-License-Identifier: GPL-3.0-or-later

// Command kubectl is upstream's, of another minor version than the embedded
// distribution: a client that users have beside k3s's own.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
	os.Exit(0)
}
