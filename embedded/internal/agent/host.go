// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"

	"github.com/arcodange-org/sandbox/embedded/internal/config"
	"github.com/arcodange-org/sandbox/embedded/internal/pki"
)

// prepareHost makes what the kubelet insists on and a machine that is a container lacks.
func prepareHost() error {
	if _, err := os.Stat("/dev/kmsg"); errors.Is(err, os.ErrNotExist) {
		if err := unix.Mknod("/dev/kmsg", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 11))); err != nil {
			return fmt.Errorf("making /dev/kmsg, which the kubelet reads: %w", err)
		}
	}
	// Volumes mounted by the kubelet must show up in containers that run already.
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("making mounts visible to containers: %w", err)
	}
	for name, value := range map[string]string{"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1"} {
		path := "/proc/sys/" + name
		if current, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(current)) == value {
			continue
		}
		if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	return nil
}

const hostResolvConf = "/etc/resolv.conf"

// HasUpstreamDNS reports whether the node's name servers can be reached from a pod.
func HasUpstreamDNS(cfg *config.Config) bool {
	path := cfg.ResolvConf
	if path == "" {
		path = hostResolvConf
	}
	return reachable(path)
}

// reachable reports whether a resolv.conf names a server outside the reader's own loopback.
func reachable(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) > 1 && words[0] == "nameserver" {
			if ip := net.ParseIP(words[1]); ip != nil && !ip.IsLoopback() {
				return true
			}
		}
	}
	return false
}

// writeKubeletConfig says how the kubelet runs on a node that may be a container.
func writeKubeletConfig(cfg *config.Config, p paths) error {
	resolv := cfg.ResolvConf
	if resolv == "" {
		resolv = hostResolvConf
	}
	if !reachable(resolv) {
		// A pod that got the node's loopback server would ask itself.
		resolv = p.etc("resolv.conf")
		if err := pki.WriteFile(resolv, []byte("# no name server that a pod could reach\n"), 0o644); err != nil {
			return fmt.Errorf("writing the pods' resolv.conf: %w", err)
		}
	}
	settings := map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"webhook":   map[string]any{"enabled": true},
			"x509":      map[string]any{"clientCAFile": p.ca()},
		},
		"authorization":            map[string]any{"mode": "Webhook"},
		"cgroupDriver":             "cgroupfs",
		"clusterDNS":               []string{cfg.Cluster.DNS},
		"clusterDomain":            cfg.Cluster.Domain,
		"containerRuntimeEndpoint": "unix://" + config.ContainerdSocket,
		"failCgroupV1":             false,
		"failSwapOn":               false,
		"featureGates":             map[string]any{"KubeletInUserNamespace": true},
		"protectKernelDefaults":    cfg.ProtectKernel,
		"providerID":               providerID(cfg),
		"resolvConf":               resolv,
		"rotateCertificates":       true,
		"readOnlyPort":             0,
		"healthzBindAddress":       "127.0.0.1",
		"staticPodPath":            "",
		// The disk that such a node sees is the whole host's: how full that is says nothing about the node.
		"evictionHard":                map[string]any{"imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%"},
		"imageGCHighThresholdPercent": 100,
		"nodeStatusUpdateFrequency":   "10s",
		"syncFrequency":               "30s",
		"logging":                     map[string]any{"verbosity": 0},
	}
	data, err := yaml.Marshal(settings)
	if err != nil {
		return fmt.Errorf("writing the kubelet's configuration: %w", err)
	}
	if err := pki.WriteFile(p.etc("kubelet.yaml"), data, 0o600); err != nil {
		return fmt.Errorf("writing the kubelet's configuration: %w", err)
	}
	return nil
}
