// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/arcodange-org/sandbox/embedded/internal/agent"
	"github.com/arcodange-org/sandbox/embedded/internal/limits"
)

// checkConfigCommand tells whether this machine has what k3s needs, and what this distribution lacks.
func checkConfigCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check-config", Short: "check this machine, and list what this distribution lacks", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			out, missing := c.OutOrStdout(), 0
			check := func(name string, err error) {
				if err == nil {
					fmt.Fprintf(out, "- %s: good\n", name)
					return
				}
				missing++
				fmt.Fprintf(out, "- %s: missing (%v)\n", name, err)
			}
			for _, program := range []string{"containerd", "ctr", "runc", "iptables", "mount"} {
				_, err := exec.LookPath(program)
				check("program "+program, err)
			}
			for _, plugin := range agent.CNIPlugins {
				_, err := os.Stat(plugin)
				check("CNI plugin "+plugin, err)
			}
			for _, controller := range []string{"cpu", "cpuset", "memory", "pids"} {
				check("cgroup controller "+controller, hasWord(controller, "/proc/cgroups", "/sys/fs/cgroup/cgroup.controllers"))
			}
			check("file system overlay", hasWord("overlay", "/proc/filesystems"))
			for _, sysctl := range []string{"net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"} {
				_, err := os.Stat("/proc/sys/" + sysctl)
				check("kernel parameter "+strings.ReplaceAll(sysctl, "/", "."), err)
			}
			fmt.Fprintln(out)
			for _, line := range limits.Lines() {
				fmt.Fprintln(out, line)
			}
			if missing > 0 {
				return fmt.Errorf("check-config: %d missing; install or load them", missing)
			}
			return nil
		},
	}
}

// hasWord returns nil if one of the files has the word.
func hasWord(word string, files ...string) error {
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			continue
		}
		defer file.Close()
		words := bufio.NewScanner(file)
		words.Split(bufio.ScanWords)
		for words.Scan() {
			if words.Text() == word {
				return nil
			}
		}
	}
	return errors.New("not in " + strings.Join(files, " or "))
}
