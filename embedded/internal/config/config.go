// SPDX-License-Identifier: GPL-3.0-or-later

// Package config reads k3s's configuration: flags, /etc/rancher/k3s/config.yaml
// with its config.yaml.d, and the environment. It knows names, defaults and
// precedence (flag, then file, then environment), and starts nothing.
package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/arcodange-org/sandbox/embedded/internal/limits"
)

// Paths that k3s has and others rely on.
const (
	File             = "/etc/rancher/k3s/config.yaml"
	Registries       = "/etc/rancher/k3s/registries.yaml"
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
	Cluster          Cluster
	ServiceCIDR      string
	ServiceNodePorts string
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
	KubeconfigGroup  string
	ResolvConf       string
	StoragePath      string // of local-path volumes
	Registries       string // file with mirrors and credentials
	Snapshotter      string
	PauseImage       string // empty for the one that k3s brings along
	CredentialBin    string // plugins that get credentials for images
	CredentialConfig string
	Verbosity        int
	Debug            bool
	ProtectKernel    bool // do not set the kernel's parameters, but check them
	DisableAgent     bool
	DisableScheduler bool
	DisablePolicies  bool // accept network policies, though none is enforced
	AdvertiseAddress string

	// Args and Env are what the node was started with, without secrets, as k3s annotates it.
	Args []string
	Env  map[string]string
	// Warnings are for the log: settings that do nothing, and stop nothing.
	Warnings []string
}

// Cluster is what agents learn from the server.
type Cluster struct {
	CIDR         string `json:"clusterCIDR"`
	DNS          string `json:"clusterDNS"` // the tenth address of the services when not given
	Domain       string `json:"clusterDomain"`
	DisableProxy bool   `json:"disableKubeProxy"`
}

// fixed is a flag of k3s that has no effect: a value that does not state what is so is a refusal.
type fixed struct {
	limits.Flag
	value    string
	refusals *[]string
}

func (f *fixed) String() string { return f.value }

func (f *fixed) Set(value string) error {
	f.value = value
	if refusal := f.Refusal(value); refusal != "" {
		*f.refusals = append(*f.refusals, refusal)
	}
	return nil
}

func (f *fixed) Type() string {
	if f.Switch {
		return "bool"
	}
	return "string"
}

// Help is what Load returns when the flags ask for help.
type Help struct{ Text string }

func (h *Help) Error() string { return "help was asked for" }

// variables of the environment, by the flag that each sets.
var variables = map[string]string{
	"K3S_TOKEN": "token", "K3S_TOKEN_FILE": "token-file", "K3S_URL": "server", "K3S_NODE_NAME": "node-name", "K3S_DATA_DIR": "data-dir",
	"K3S_DEBUG": "debug", "K3S_RESOLV_CONF": "resolv-conf",
	"K3S_KUBECONFIG_OUTPUT": "write-kubeconfig", "K3S_KUBECONFIG_MODE": "write-kubeconfig-mode", "K3S_KUBECONFIG_GROUP": "write-kubeconfig-group",
}

// Flags returns the flags of role that have an effect, bound to c, for help and completion.
func Flags(role string) *pflag.FlagSet {
	set, _ := declare(&Config{Role: role}, &texts{}, &[]string{})
	return set
}

// texts are values that Load looks at further.
type texts struct{ file, tokenFile, mode string }

// declare makes the flags of a role. Those that are the server's alone are returned by name; an agent refuses them.
func declare(c *Config, t *texts, refusals *[]string) (set *pflag.FlagSet, servers map[string]bool) {
	set = pflag.NewFlagSet("k3s "+c.Role, pflag.ContinueOnError)
	set.Usage = func() {}
	set.SortFlags = true
	set.StringVarP(&t.file, "config", "c", File, "configuration file")
	set.StringVarP(&c.Token, "token", "t", "", "secret that nodes join with")
	set.StringVar(&t.tokenFile, "token-file", "", "file that holds the token")
	set.StringVarP(&c.ServerURL, "server", "s", "", "server to join")
	set.StringVarP(&c.NodeIP, "node-ip", "i", "", "address of this node")
	set.StringVar(&c.NodeName, "node-name", "", "name of this node")
	set.StringVarP(&c.DataDir, "data-dir", "d", DataDir, "directory of all state")
	set.StringArrayVar(&c.NodeLabels, "node-label", nil, "label of this node")
	set.StringArrayVar(&c.NodeTaints, "node-taint", nil, "taint of this node when it registers")
	set.StringArrayVar(&c.KubeletArgs, "kubelet-arg", nil, "flag for the kubelet")
	set.StringArrayVar(&c.ProxyArgs, "kube-proxy-arg", nil, "flag for kube-proxy")
	set.StringVar(&c.ResolvConf, "resolv-conf", "", "resolv.conf for pods")
	set.StringVar(&c.Registries, "private-registry", Registries, "file with mirrors and credentials of registries")
	set.StringVar(&c.Snapshotter, "snapshotter", "overlayfs", "containerd's snapshotter: overlayfs or native")
	set.StringVar(&c.PauseImage, "pause-image", "", "image of every pod's first container")
	set.StringVar(&c.CredentialBin, "image-credential-provider-bin-dir", "/var/lib/rancher/credentialprovider/bin", "directory of plugins that get credentials for images")
	set.StringVar(&c.CredentialConfig, "image-credential-provider-config", "/var/lib/rancher/credentialprovider/config.yaml", "their configuration; without it none is used")
	set.BoolVar(&c.ProtectKernel, "protect-kernel-defaults", false, "end when the kernel's parameters are not the kubelet's")
	set.BoolVar(&c.Debug, "debug", false, "log more")
	set.IntVarP(&c.Verbosity, "v", "v", 0, "verbosity of the components' logs")

	server := pflag.NewFlagSet("", pflag.ContinueOnError)
	server.StringSliceVar(&c.TLSSANs, "tls-san", nil, "further name or address for the API server's certificate")
	server.StringVar(&c.Cluster.CIDR, "cluster-cidr", "10.42.0.0/16", "addresses of pods")
	server.StringVar(&c.ServiceCIDR, "service-cidr", "10.43.0.0/16", "addresses of services")
	server.StringVar(&c.ServiceNodePorts, "service-node-port-range", "30000-32767", "ports of services of type NodePort")
	server.StringVar(&c.Cluster.DNS, "cluster-dns", "", "address of the DNS service")
	server.StringVar(&c.Cluster.Domain, "cluster-domain", "cluster.local", "domain of the cluster")
	server.StringSliceVar(&c.Disable, "disable", nil, "packaged component to leave out: "+strings.Join(components, ", "))
	server.StringArrayVar(&c.APIServerArgs, "kube-apiserver-arg", nil, "flag for the API server")
	server.StringArrayVar(&c.ControllerArgs, "kube-controller-manager-arg", nil, "flag for the controller manager")
	server.StringArrayVar(&c.ControllerArgs, "kube-controller-arg", nil, "the same")
	server.StringArrayVar(&c.SchedulerArgs, "kube-scheduler-arg", nil, "flag for the scheduler")
	server.StringVar(&t.mode, "write-kubeconfig-mode", "0600", "mode of the kubeconfig")
	server.StringVarP(&c.KubeconfigOutput, "write-kubeconfig", "o", Kubeconfig, "where the kubeconfig is written")
	server.StringVar(&c.KubeconfigGroup, "write-kubeconfig-group", "", "group of the kubeconfig")
	server.StringVar(&c.StoragePath, "default-local-storage-path", "", "directory of local-path volumes")
	server.BoolVar(&c.DisableAgent, "disable-agent", false, "run no kubelet on the server")
	server.BoolVar(&c.DisableScheduler, "disable-scheduler", false, "run no scheduler")
	server.BoolVar(&c.Cluster.DisableProxy, "disable-kube-proxy", false, "run no kube-proxy")
	server.BoolVar(&c.DisablePolicies, "disable-network-policy", false, "accept network policies that nothing enforces")
	server.StringVar(&c.AdvertiseAddress, "advertise-address", "", "address that the API server tells others")

	servers = map[string]bool{}
	absent := func(flag limits.Flag, shorthand string) {
		f := set.VarPF(&fixed{Flag: flag, refusals: refusals}, flag.Name, shorthand, flag.Why)
		f.Hidden = len(flag.Accept) == 0
		if flag.Switch {
			f.NoOptDefVal = "true"
		}
	}
	server.VisitAll(func(f *pflag.Flag) {
		servers[f.Name] = true
		if c.Role == "server" {
			set.AddFlag(f)
			return
		}
		absent(serverOnly(f.Name, f.NoOptDefVal != ""), f.Shorthand)
	})
	for _, flag := range limits.Flags {
		if flag.Server {
			servers[flag.Name] = true
			if c.Role != "server" {
				flag = serverOnly(flag.Name, flag.Switch)
			}
		}
		absent(flag, "")
	}
	return set, servers
}

// serverOnly is a flag of servers on an agent, which k3s does not know either.
func serverOnly(name string, isSwitch bool) limits.Flag {
	return limits.Flag{
		Name: name, Switch: isSwitch, Why: "a setting of the server, and this is an agent", Fix: "set it on the server",
		Accept: []string{}, // not even false
	}
}

// Load reads the configuration of role out of flags, the file and environ.
func Load(role string, flags, environ []string) (*Config, error) {
	c := &Config{Role: role}
	var t texts
	var refusals []string
	set, servers := declare(c, &t, &refusals)

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
		t.file = env["K3S_CONFIG_FILE"]
	}
	if err := fromFiles(set, t.file); err != nil {
		return nil, err
	}
	c.Args, c.Env = nodeArgs(role, set), nodeEnv(environ)
	if err := c.fromEnvironment(set, servers, env, &refusals); err != nil {
		return nil, err
	}
	slices.Sort(refusals)
	if len(refusals) > 0 {
		return nil, errors.New(strings.Join(refusals, "; "))
	}
	return c, c.complete(t.tokenFile, t.mode)
}

// fromEnvironment sets what flags and files left open. Each K3S_ variable has an effect, is refused, or is warned of.
func (c *Config) fromEnvironment(set *pflag.FlagSet, servers map[string]bool, env map[string]string, refusals *[]string) error {
	names := maps.Clone(variables)
	for _, flag := range limits.Flags {
		for _, variable := range flag.Env {
			names[variable] = flag.Name
		}
	}
	for _, key := range slices.Sorted(maps.Keys(env)) {
		value := env[key]
		if !strings.HasPrefix(key, "K3S_") || value == "" || key == "K3S_CONFIG_FILE" {
			continue
		}
		name, known := names[key]
		switch {
		case key == "K3S_AGENT_HTTP_PROXY_ALLOWED":
			if value != "false" {
				*refusals = append(*refusals, fmt.Sprintf("%s: %s", key, limits.Find("variable", key)))
			}
		case !known:
			c.Warnings = append(c.Warnings, key+": not a variable of k3s; it has no effect")
		case servers[name] && c.Role != "server":
			c.Warnings = append(c.Warnings, key+": a setting of the server; it has no effect on an agent")
		case set.Changed(name):
		default:
			before := len(*refusals)
			if err := set.Set(name, value); err != nil {
				return fmt.Errorf("reading %s from the environment: %w", key, err)
			}
			for i := before; i < len(*refusals); i++ {
				(*refusals)[i] = key + ", which is " + (*refusals)[i]
			}
		}
	}
	return nil
}

// secrets are flags and variables whose values are never shown.
var secrets = []string{
	"token", "agent-token", "cluster-secret", "datastore-endpoint", "etcd-s3-access-key", "etcd-s3-secret-key", "vpn-auth",
	"K3S_TOKEN", "K3S_AGENT_TOKEN", "K3S_CLUSTER_SECRET", "K3S_DATASTORE_ENDPOINT", "K3S_VPN_AUTH",
}

const hidden = "********"

// nodeArgs are role and all flags of file and command line, as k3s annotates its nodes with them.
func nodeArgs(role string, set *pflag.FlagSet) []string {
	args := []string{role}
	set.Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, value := range values {
			if slices.Contains(secrets, f.Name) {
				value = hidden
			}
			args = append(args, "--"+f.Name, value)
		}
	})
	return args
}

func nodeEnv(environ []string) map[string]string {
	env := map[string]string{}
	for _, pair := range environ {
		key, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(key, "K3S_") {
			continue
		}
		if slices.Contains(secrets, key) {
			value = hidden
		}
		env[key] = value
	}
	return env
}

// components are what k3s's `disable` knows.
var components = []string{"coredns", "local-storage", "metrics-server", "runtimes", "servicelb", "traefik"}

// Disabled reports whether a packaged component is left out.
func (c *Config) Disabled(name string) bool { return slices.Contains(c.Disable, name) }

// complete fills in what follows from the rest, and checks what can be checked here.
func (c *Config) complete(tokenFile, mode string) error {
	if c.Token == "" && tokenFile != "" {
		text, err := os.ReadFile(tokenFile)
		if err != nil {
			return fmt.Errorf("reading the token: %w", err)
		}
		c.Token = strings.TrimSpace(string(text))
	}
	for _, name := range c.Disable {
		if !slices.Contains(components, name) {
			return fmt.Errorf("disable: not a packaged component (got %q); use %s", name, strings.Join(components, ", "))
		}
	}
	if c.Snapshotter != "overlayfs" && c.Snapshotter != "native" {
		return fmt.Errorf("snapshotter: not in the node's containerd (got %q); use overlayfs or native", c.Snapshotter)
	}
	var err error
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
	if c.Role == "agent" {
		switch {
		case c.ServerURL == "":
			return fmt.Errorf("an agent needs the server's URL: give server (or K3S_URL), as in https://address:%d", Port)
		case c.Token == "":
			return fmt.Errorf("an agent needs the server's token: give token (or K3S_TOKEN), the content of %s/server/token there", DataDir)
		}
		return nil
	}
	if c.ServerURL != "" {
		return fmt.Errorf("a second server cannot join: the embedded distribution has one server; run this node as an agent")
	}
	bits, err := strconv.ParseUint(mode, 8, 9)
	if err != nil {
		return fmt.Errorf("write-kubeconfig-mode %q is not an octal mode such as 0600", mode)
	}
	c.KubeconfigMode = os.FileMode(bits)
	if c.AdvertiseAddress == "" {
		c.AdvertiseAddress = c.NodeIP
	}
	if c.StoragePath == "" {
		c.StoragePath = filepath.Join(c.DataDir, "storage")
	}
	if _, _, err := net.ParseCIDR(c.Cluster.CIDR); err != nil {
		return fmt.Errorf("cluster-cidr: %w", err)
	}
	_, services, err := net.ParseCIDR(c.ServiceCIDR)
	if err != nil {
		return fmt.Errorf("service-cidr: %w", err)
	}
	if c.Cluster.DNS == "" {
		tenth := slices.Clone(services.IP)
		tenth[len(tenth)-1] += 10
		c.Cluster.DNS = tenth.String()
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
