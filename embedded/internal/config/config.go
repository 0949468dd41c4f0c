// SPDX-License-Identifier: GPL-3.0-or-later

// Package config reads k3s's configuration: flags, /etc/rancher/k3s/config.yaml
// with its config.yaml.d, and the environment. It knows names, defaults and
// precedence (flag, then file, then environment), and starts nothing.
package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// Paths that k3s has and others rely on.
const (
	File             = "/etc/rancher/k3s/config.yaml"
	Kubeconfig       = "/etc/rancher/k3s/k3s.yaml"
	DataDir          = "/var/lib/rancher/k3s"
	ContainerdSocket = "/run/k3s/containerd/containerd.sock"
	// Port is the API server's.
	Port = 6443
)

// Config is what a server or an agent runs with.
type Config struct {
	Role             string // "server" or "agent"
	Token            string
	ServerURL        string // of the server to join; empty on the server itself
	TLSSANs          []string
	NodeIP           string
	NodeName         string
	DataDir          string
	ClusterCIDR      string
	ServiceCIDR      string
	ClusterDNS       string // the tenth address of ServiceCIDR when not given
	ClusterDomain    string
	Disable          []string
	NodeLabels       []string
	NodeTaints       []string
	KubeletArgs      []string
	APIServerArgs    []string
	ControllerArgs   []string
	SchedulerArgs    []string
	ProxyArgs        []string
	KubeconfigMode   os.FileMode
	KubeconfigOutput string
	ResolvConf       string
	DisableAgent     bool
	AdvertiseAddress string
}

// accepted are flags of k3s that name what this program does not have, or has
// in one way only: they change nothing, so a configuration written for k3s works.
// acceptedSwitches stand alone, acceptedValues take a value.
var (
	acceptedSwitches = map[string]string{
		"cluster-init":             "there is one server, and its data is in SQLite",
		"disable-cloud-controller": "there is no cloud controller",
		"disable-helm-controller":  "there is no Helm controller",
		"disable-network-policy":   "there is no network policy controller",
	}
	acceptedValues = map[string]string{
		"flannel-backend":        "pod traffic is routed between nodes of one network",
		"flannel-iface":          "pod traffic is routed between nodes of one network",
		"snapshotter":            "containerd's default is used",
		"write-kubeconfig-group": "the file belongs to root",
	}
)

// Help is what Load returns when the flags ask for help.
type Help struct{ Text string }

func (h *Help) Error() string { return "help was asked for" }

// Load reads the configuration of role out of flags, the file and environ.
func Load(role string, flags, environ []string) (*Config, error) {
	c := &Config{Role: role}
	var file, tokenFile, mode string
	set := pflag.NewFlagSet("k3s "+role, pflag.ContinueOnError)
	set.Usage = func() {}
	set.StringVarP(&file, "config", "c", File, "configuration file")
	set.StringVarP(&c.Token, "token", "t", "", "secret that nodes join with")
	set.StringVar(&tokenFile, "token-file", "", "file that holds the token")
	set.StringVarP(&c.ServerURL, "server", "s", "", "server to join")
	set.StringSliceVar(&c.TLSSANs, "tls-san", nil, "further name or address for the API server's certificate")
	set.StringVarP(&c.NodeIP, "node-ip", "i", "", "address of this node")
	set.StringVar(&c.NodeName, "node-name", "", "name of this node")
	set.StringVarP(&c.DataDir, "data-dir", "d", DataDir, "directory of all state")
	set.StringVar(&c.ClusterCIDR, "cluster-cidr", "10.42.0.0/16", "addresses of pods")
	set.StringVar(&c.ServiceCIDR, "service-cidr", "10.43.0.0/16", "addresses of services")
	set.StringVar(&c.ClusterDNS, "cluster-dns", "", "address of the DNS service")
	set.StringVar(&c.ClusterDomain, "cluster-domain", "cluster.local", "domain of the cluster")
	set.StringSliceVar(&c.Disable, "disable", nil, "packaged component to leave out")
	set.StringArrayVar(&c.NodeLabels, "node-label", nil, "label of this node")
	set.StringArrayVar(&c.NodeTaints, "node-taint", nil, "taint of this node")
	set.StringArrayVar(&c.KubeletArgs, "kubelet-arg", nil, "flag for the kubelet")
	set.StringArrayVar(&c.APIServerArgs, "kube-apiserver-arg", nil, "flag for the API server")
	set.StringArrayVar(&c.ControllerArgs, "kube-controller-manager-arg", nil, "flag for the controller manager")
	set.StringArrayVar(&c.SchedulerArgs, "kube-scheduler-arg", nil, "flag for the scheduler")
	set.StringArrayVar(&c.ProxyArgs, "kube-proxy-arg", nil, "flag for kube-proxy")
	set.StringVar(&mode, "write-kubeconfig-mode", "0600", "mode of the kubeconfig")
	set.StringVarP(&c.KubeconfigOutput, "write-kubeconfig", "o", Kubeconfig, "where the kubeconfig is written")
	set.StringVar(&c.ResolvConf, "resolv-conf", "", "resolv.conf for pods")
	set.BoolVar(&c.DisableAgent, "disable-agent", false, "run no kubelet on the server")
	set.StringVar(&c.AdvertiseAddress, "advertise-address", "", "address that the API server tells others")
	for name, why := range acceptedSwitches {
		set.Bool(name, false, "accepted: "+why)
	}
	for name, why := range acceptedValues {
		set.String(name, "", "accepted: "+why)
	}

	env := map[string]string{}
	for _, pair := range environ {
		key, value, _ := strings.Cut(pair, "=")
		env[key] = value
	}
	if err := set.Parse(flags); errors.Is(err, pflag.ErrHelp) {
		return nil, &Help{Text: fmt.Sprintf("usage: k3s %s [flags]\n\n%s", role, set.FlagUsages())}
	} else if err != nil {
		return nil, fmt.Errorf("reading the command line: %w", err)
	}
	if set.NArg() > 0 {
		return nil, fmt.Errorf("reading the command line: unexpected argument %q", set.Arg(0))
	}
	if !set.Changed("config") && env["K3S_CONFIG_FILE"] != "" {
		file = env["K3S_CONFIG_FILE"]
	}
	if err := fromFiles(set, file); err != nil {
		return nil, err
	}
	for name, key := range map[string]string{
		"token": "K3S_TOKEN", "token-file": "K3S_TOKEN_FILE", "server": "K3S_URL", "node-name": "K3S_NODE_NAME",
		"write-kubeconfig": "K3S_KUBECONFIG_OUTPUT", "write-kubeconfig-mode": "K3S_KUBECONFIG_MODE",
	} {
		if value := env[key]; value != "" && !set.Changed(name) {
			if err := set.Set(name, value); err != nil {
				return nil, fmt.Errorf("reading %s from the environment: %w", key, err)
			}
		}
	}
	return c, c.complete(tokenFile, mode)
}

// complete fills in what follows from the rest, and checks what can be checked here.
func (c *Config) complete(tokenFile, mode string) error {
	if c.Token == "" && tokenFile != "" {
		text, err := os.ReadFile(tokenFile)
		if err != nil {
			return fmt.Errorf("reading the token: %w", err)
		}
		c.Token = strings.TrimSpace(string(text))
	}
	bits, err := strconv.ParseUint(mode, 8, 9)
	if err != nil {
		return fmt.Errorf("write-kubeconfig-mode %q is not an octal mode such as 0600", mode)
	}
	c.KubeconfigMode = os.FileMode(bits)
	if c.NodeName == "" {
		if c.NodeName, err = os.Hostname(); err != nil {
			return fmt.Errorf("naming this node: %w; give node-name", err)
		}
	}
	c.NodeName = strings.ToLower(c.NodeName)
	if c.NodeIP == "" {
		if c.NodeIP, err = outboundIP(); err != nil {
			return err
		}
	}
	if net.ParseIP(c.NodeIP) == nil {
		return fmt.Errorf("node-ip %q is not an address", c.NodeIP)
	}
	if c.AdvertiseAddress == "" {
		c.AdvertiseAddress = c.NodeIP
	}
	if _, _, err := net.ParseCIDR(c.ClusterCIDR); err != nil {
		return fmt.Errorf("cluster-cidr: %w", err)
	}
	_, services, err := net.ParseCIDR(c.ServiceCIDR)
	if err != nil {
		return fmt.Errorf("service-cidr: %w", err)
	}
	if c.ClusterDNS == "" {
		tenth := slices.Clone(services.IP)
		tenth[len(tenth)-1] += 10
		c.ClusterDNS = tenth.String()
	}
	switch {
	case c.Role == "agent" && c.ServerURL == "":
		return fmt.Errorf("an agent needs the server's URL: give server (or K3S_URL), as in https://address:%d", Port)
	case c.Role == "agent" && c.Token == "":
		return fmt.Errorf("an agent needs the server's token: give token (or K3S_TOKEN), the content of %s/server/token there", DataDir)
	case c.Role == "server" && c.ServerURL != "":
		return fmt.Errorf("a second server cannot join: the embedded distribution has one server; run this node as an agent")
	}
	return nil
}

// outboundIP is the address of the interface that the default route leaves by. Nothing is sent: a UDP socket only asks the routing table.
func outboundIP() (string, error) {
	conn, err := net.Dial("udp", "198.51.100.1:9")
	if err != nil {
		return "", fmt.Errorf("finding this node's address: %w; give node-ip", err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP.String(), nil
}

// fromFiles sets what the flags left open from file and the files of file.d, in
// which later ones win; a key that ends in + adds to a list.
func fromFiles(set *pflag.FlagSet, file string) error {
	files := []string{file}
	var more []string
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		found, err := filepath.Glob(filepath.Join(file+".d", pattern))
		if err != nil {
			return fmt.Errorf("looking for %s.d: %w", file, err)
		}
		more = append(more, found...)
	}
	slices.Sort(more)
	values := map[string][]string{}
	for i, name := range append(files, more...) {
		data, err := os.ReadFile(name)
		if os.IsNotExist(err) && i == 0 && !set.Changed("config") {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading the configuration: %w", err)
		}
		var content map[string]any
		if err := yaml.UnmarshalStrict(data, &content); err != nil {
			return fmt.Errorf("reading the configuration %s: %s", name, strings.Join(strings.Fields(err.Error()), " "))
		}
		for key, value := range content {
			option, add := strings.CutSuffix(key, "+")
			if set.Lookup(option) == nil {
				return fmt.Errorf("reading the configuration %s: the key %q is not known", name, key)
			}
			words := words(value)
			if add {
				words = append(values[option], words...)
			}
			values[option] = words
		}
	}
	for name, words := range values {
		if set.Changed(name) {
			continue
		}
		for _, word := range words {
			if err := set.Set(name, word); err != nil {
				return fmt.Errorf("reading the configuration: key %q: %w", name, err)
			}
		}
	}
	return nil
}

func words(value any) []string {
	list, ok := value.([]any)
	if !ok {
		if value == nil {
			return nil
		}
		list = []any{value}
	}
	words := make([]string, 0, len(list))
	for _, element := range list {
		if number, ok := element.(float64); ok { // what YAML's numbers become on the way through JSON
			words = append(words, strconv.FormatFloat(number, 'f', -1, 64))
			continue
		}
		words = append(words, fmt.Sprint(element))
	}
	return words
}
