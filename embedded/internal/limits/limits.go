// SPDX-License-Identifier: GPL-3.0-or-later

// Package limits lists what k3s has and the embedded distribution lacks. What
// refuses, warns or reports takes it from here. It refuses nothing itself.
package limits

import (
	"fmt"
	"slices"
	"strings"
)

// Flag is a flag of k3s, and key of its configuration, that has no effect here.
type Flag struct {
	Name string
	// Accept are the values that state what is so here. With any other the start is refused. Nil is "false" of a switch.
	Accept []string
	Switch bool     // the flag needs no value
	Env    []string // environment variables that k3s reads it from
	Server bool     // k3s knows it for servers only
	Why    string
	Fix    string // what to do instead; "remove it" if empty
}

// Refusal is what the start says about a value, or empty if the value states what is so.
func (f Flag) Refusal(value string) string {
	if slices.Contains(f.Accept, value) || f.Switch && f.Accept == nil && value == "false" {
		return ""
	}
	fix := f.Fix
	if fix == "" {
		fix = "remove it"
		if len(f.Accept) > 0 && !f.Switch {
			fix = "use " + strings.Join(f.Accept, " or ") + ", or remove it"
		}
	}
	return fmt.Sprintf("%s: %s (got %q); %s", f.Name, f.Why, value, fix)
}

const (
	noEtcd     = "the data is in SQLite, and there is no etcd"
	oneServer  = "there is one server"
	containerd = "containers are run by the node's own containerd"
	routes     = "pods are routed by the nodes' addresses, without flannel"
	noEncrypt  = "secrets are not encrypted at rest"
	onePort    = "the API server listens on 0.0.0.0:6443 alone"
)

var both = []string{"true", "false"}

// Flags are refused unless they state what is so.
var Flags = []Flag{
	{Name: "agent-token", Env: []string{"K3S_AGENT_TOKEN"}, Server: true, Why: "agents and servers join with one token", Fix: "use token"},
	{Name: "agent-token-file", Env: []string{"K3S_AGENT_TOKEN_FILE"}, Server: true, Why: "agents and servers join with one token", Fix: "use token-file"},
	{Name: "airgap-extra-registry", Why: "images keep the names that they have in their archive"},
	{Name: "alsologtostderr", Switch: true, Why: "the log goes to standard error, which systemd keeps"},
	{Name: "advertise-port", Accept: []string{"6443"}, Server: true, Why: onePort},
	{Name: "bind-address", Accept: []string{"0.0.0.0"}, Server: true, Why: onePort},
	{Name: "cluster-init", Switch: true, Env: []string{"K3S_CLUSTER_INIT"}, Server: true, Why: oneServer + "; " + noEtcd},
	{Name: "cluster-reset", Switch: true, Env: []string{"K3S_CLUSTER_RESET"}, Server: true, Why: noEtcd},
	{Name: "cluster-reset-restore-path", Server: true, Why: noEtcd},
	{Name: "cluster-secret", Env: []string{"K3S_CLUSTER_SECRET"}, Why: "k3s replaced it by token", Fix: "use token"},
	{Name: "container-runtime-endpoint", Why: containerd},
	{Name: "datastore-cafile", Env: []string{"K3S_DATASTORE_CAFILE"}, Server: true, Why: "the data is in SQLite"},
	{Name: "datastore-certfile", Env: []string{"K3S_DATASTORE_CERTFILE"}, Server: true, Why: "the data is in SQLite"},
	{Name: "datastore-endpoint", Env: []string{"K3S_DATASTORE_ENDPOINT"}, Server: true, Why: "the data is in SQLite"},
	{Name: "datastore-keyfile", Env: []string{"K3S_DATASTORE_KEYFILE"}, Server: true, Why: "the data is in SQLite"},
	{Name: "default-runtime", Accept: []string{"runc"}, Why: containerd, Fix: "set default_runtime_name in config.toml.tmpl"},
	{Name: "disable-apiserver", Switch: true, Server: true, Why: oneServer},
	{Name: "disable-cloud-controller", Switch: true, Accept: both, Server: true, Why: "there is no cloud controller; nodes get its labels and provider ID all the same"},
	{Name: "disable-controller-manager", Switch: true, Server: true, Why: oneServer},
	{Name: "disable-default-registry-endpoint", Switch: true, Why: "a registry is asked when its mirrors fail"},
	{Name: "disable-etcd", Switch: true, Accept: both, Server: true, Why: noEtcd},
	{Name: "disable-helm-controller", Switch: true, Accept: both, Server: true, Why: "there is no Helm controller, and the API has no HelmChart"},
	{Name: "docker", Switch: true, Why: containerd},
	{Name: "egress-selector-mode", Accept: []string{"disabled"}, Server: true, Why: "the API server connects to nodes directly"},
	{Name: "embedded-registry", Switch: true, Server: true, Why: "nodes share no images"},
	{Name: "enable-pprof", Switch: true, Server: true, Why: "there is no profiling endpoint"},
	{Name: "etcd-arg", Server: true, Why: noEtcd},
	{Name: "etcd-disable-snapshots", Switch: true, Accept: []string{"true"}, Server: true, Why: noEtcd},
	{Name: "etcd-expose-metrics", Switch: true, Server: true, Why: noEtcd},
	{Name: "etcd-s3", Switch: true, Server: true, Why: noEtcd},
	{Name: "etcd-s3-access-key", Server: true, Why: noEtcd},
	{Name: "etcd-s3-bucket", Server: true, Why: noEtcd},
	{Name: "etcd-s3-bucket-lookup-type", Server: true, Why: noEtcd},
	{Name: "etcd-s3-config-secret", Server: true, Why: noEtcd},
	{Name: "etcd-s3-endpoint", Server: true, Why: noEtcd},
	{Name: "etcd-s3-endpoint-ca", Server: true, Why: noEtcd},
	{Name: "etcd-s3-folder", Server: true, Why: noEtcd},
	{Name: "etcd-s3-insecure", Switch: true, Server: true, Why: noEtcd},
	{Name: "etcd-s3-proxy", Server: true, Why: noEtcd},
	{Name: "etcd-s3-region", Server: true, Why: noEtcd},
	{Name: "etcd-s3-retention", Server: true, Why: noEtcd},
	{Name: "etcd-s3-secret-key", Server: true, Why: noEtcd},
	{Name: "etcd-s3-session-token", Server: true, Why: noEtcd},
	{Name: "etcd-s3-skip-ssl-verify", Switch: true, Server: true, Why: noEtcd},
	{Name: "etcd-s3-timeout", Server: true, Why: noEtcd},
	{Name: "etcd-snapshot-compress", Switch: true, Server: true, Why: noEtcd},
	{Name: "etcd-snapshot-dir", Server: true, Why: noEtcd},
	{Name: "etcd-snapshot-name", Server: true, Why: noEtcd},
	{Name: "etcd-snapshot-reconcile-interval", Server: true, Why: noEtcd},
	{Name: "etcd-snapshot-retention", Server: true, Why: noEtcd},
	{Name: "etcd-snapshot-schedule-cron", Server: true, Why: noEtcd},
	{Name: "flannel-backend", Accept: []string{"host-gw"}, Server: true, Why: routes + ", as its host-gw does"},
	{Name: "flannel-cni-conf", Why: routes},
	{Name: "flannel-conf", Why: routes},
	{Name: "flannel-external-ip", Switch: true, Server: true, Why: routes},
	{Name: "flannel-iface", Why: routes, Fix: "set node-ip to the address of that interface"},
	{Name: "flannel-ipv6-masq", Switch: true, Server: true, Why: "pods have IPv4 addresses only"},
	{Name: "helm-job-image", Server: true, Why: "there is no Helm controller"},
	{Name: "https-listen-port", Accept: []string{"6443"}, Server: true, Why: onePort},
	{Name: "image-service-endpoint", Why: containerd},
	{Name: "kine-tls", Switch: true, Server: true, Why: "kine is reached by a socket of the server alone"},
	{Name: "kube-cloud-controller-manager-arg", Server: true, Why: "there is no cloud controller"},
	{Name: "kube-cloud-controller-arg", Server: true, Why: "there is no cloud controller"},
	{Name: "lb-server-port", Env: []string{"K3S_LB_SERVER_PORT"}, Why: "agents connect to the server directly"},
	{Name: "log", Why: "the log goes to standard error, which systemd keeps"},
	{Name: "multi-cluster-cidr", Switch: true, Server: true, Why: "nodes get their ranges from cluster-cidr"},
	{Name: "no-flannel", Switch: true, Why: routes},
	{Name: "node-external-ip", Why: "nodes have one address"},
	{Name: "node-external-dns", Why: "nodes have one address"},
	{Name: "node-internal-dns", Why: "nodes have one address"},
	{Name: "nonroot-devices", Switch: true, Why: containerd, Fix: "set device_ownership_from_security_context in config.toml.tmpl"},
	{Name: "prefer-bundled-bin", Switch: true, Why: "programs are the node's own"},
	{Name: "rootless", Switch: true, Why: "k3s runs as root"},
	{Name: "secrets-encryption", Switch: true, Server: true, Why: noEncrypt},
	{Name: "secrets-encryption-provider", Server: true, Why: noEncrypt},
	{Name: "selinux", Switch: true, Env: []string{"K3S_SELINUX"}, Why: "there is no SELinux policy for it"},
	{Name: "disable-selinux", Switch: true, Accept: both, Why: "there is no SELinux policy for it"},
	{Name: "servicelb-namespace", Server: true, Why: "there is no ServiceLB"},
	{Name: "supervisor-metrics", Switch: true, Server: true, Why: "there is no supervisor port"},
	{Name: "system-default-registry", Env: []string{"K3S_SYSTEM_DEFAULT_REGISTRY"}, Server: true, Why: "the packaged components run images that k3s brings along"},
	{Name: "tls-san-security", Switch: true, Accept: both, Server: true, Why: "the API server's certificate has the names that are configured, and never others"},
	{Name: "vmodule", Why: "components take their own flags", Fix: "use kubelet-arg, kube-apiserver-arg and so on"},
	{Name: "vpn-auth", Env: []string{"K3S_VPN_AUTH"}, Why: "all nodes share one network"},
	{Name: "vpn-auth-file", Env: []string{"K3S_VPN_AUTH_FILE"}, Why: "all nodes share one network"},
	{Name: "with-node-id", Switch: true, Why: "a node has the name that is configured", Fix: "set node-name"},
}

// Absent is something else of k3s that the embedded distribution lacks.
type Absent struct {
	Kind string // component, command, file or variable
	Name string
	Why  string // a whole sentence
}

// Others are what is lacking beside flags. Names of components are those of k3s's `disable`, where it has one.
var Others = []Absent{
	{"component", "network-policy", "No network policy is enforced: one that restricts is refused, unless disable-network-policy says that k3s would not enforce it either."},
	{"component", "servicelb", "No service of type LoadBalancer gets an address: the API warns, unless servicelb is disabled."},
	{"component", "traefik", "No ingress is served: the API warns, unless traefik is disabled."},
	{"component", "metrics-server", "There are no resource metrics: kubectl top fails, and the API warns of autoscalers that use them, unless metrics-server is disabled."},
	{"component", "helm-controller", "The API has no HelmChart and no HelmChartConfig: a manifest with one is not applied, and the log names it."},
	{"component", "addons", "The API has no Addon: what happens to a manifest is in the log."},
	{"component", "runtimes", "The API has no runtime classes of its own, and no further runtimes are looked for."},
	{"component", "flannel", "All nodes must share one network."},
	{"component", "etcd", "There is one server, and its data is in SQLite."},
	{"component", "eviction", "A full disk evicts no pod, unless kubelet-arg sets eviction-hard."},
	{"command", "etcd-snapshot", "There is no etcd to take snapshots of; stop k3s and copy its folder server/db instead."},
	{"command", "secrets-encrypt", "Secrets are not encrypted at rest, so no key can be rotated."},
	{"command", "certificate rotate-ca", "The certificate authorities of a cluster stay; make the cluster anew for others."},
	{"file", "config-v3.toml.tmpl", "The node's containerd reads version 2 of its configuration; put the template into config.toml.tmpl."},
	{"file", "registries.yaml: rewrite", "Upstream's containerd cannot rewrite the names of images; name the mirror's own path in its endpoint."},
	{"variable", "K3S_AGENT_HTTP_PROXY_ALLOWED", "Agents connect to the server directly, without a proxy."},
}

// Find returns the sentence about something that is lacking.
func Find(kind, name string) string {
	for _, absent := range Others {
		if absent.Kind == kind && absent.Name == name {
			return absent.Why
		}
	}
	panic("limits: no " + kind + " " + name)
}

// Lines are all limits, one a line: "limit KIND NAME: sentence".
func Lines() []string {
	var lines []string
	for _, absent := range Others {
		lines = append(lines, fmt.Sprintf("limit %s %s: %s", absent.Kind, absent.Name, absent.Why))
	}
	for _, flag := range Flags {
		takes := "refused"
		if accept := flag.Accept; len(accept) > 0 {
			takes = "only " + strings.Join(accept, " or ")
		} else if flag.Switch {
			takes = "only false"
		}
		lines = append(lines, fmt.Sprintf("limit flag %s: %s (%s).", flag.Name, flag.Why, takes))
	}
	return lines
}
