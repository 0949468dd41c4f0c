// SPDX-License-Identifier: GPL-3.0-or-later

// Package agent runs a node: containerd, the kubelet and kube-proxy as
// children, the import of images, and the routes to the other nodes' pods.
package agent

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/arcodange-org/sandbox/embedded/internal/component"
	"github.com/arcodange-org/sandbox/embedded/internal/config"
	"github.com/arcodange-org/sandbox/embedded/internal/notify"
	"github.com/arcodange-org/sandbox/embedded/internal/pki"
	"github.com/arcodange-org/sandbox/embedded/internal/supervise"
	"github.com/arcodange-org/sandbox/embedded/internal/token"
)

// paths are where an agent keeps its state.
type paths struct{ dir string }

func (p paths) etc(name string) string { return filepath.Join(p.dir, "etc", name) }
func (p paths) ca() string             { return filepath.Join(p.dir, "server-ca.crt") }
func (p paths) bootstrap() string      { return filepath.Join(p.dir, "bootstrap.kubeconfig") }
func (p paths) kubeconfig() string     { return filepath.Join(p.dir, "kubelet.kubeconfig") }
func (p paths) clientCertificate() string {
	return filepath.Join(p.dir, "pki", "kubelet-client-current.pem")
}

// names are those that k3s gives to files of its agent, by ours; both are in the agent's folder.
var names = map[string]string{
	"client-ca.crt":         "server-ca.crt",
	"client-kubelet.crt":    "pki/kubelet-client-current.pem",
	"client-kubelet.key":    "pki/kubelet-client-current.pem",
	"serving-kubelet.crt":   "pki/kubelet.crt",
	"serving-kubelet.key":   "pki/kubelet.key",
	"kubeproxy.kubeconfig":  "kubelet.kubeconfig",
	"client-kube-proxy.crt": "pki/kubelet-client-current.pem",
	"client-kube-proxy.key": "pki/kubelet-client-current.pem",
}

// linkNames makes the agent's files known under k3s's names.
func (p paths) linkNames() error {
	for name, target := range names {
		if err := pki.Link(target, filepath.Join(p.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// Run runs a node until ctx ends.
func Run(ctx context.Context, cfg *config.Config) error {
	p := paths{filepath.Join(cfg.DataDir, "agent")}
	for _, dir := range []string{"etc", "images", "pki"} {
		if err := os.MkdirAll(filepath.Join(p.dir, dir), 0o755); err != nil {
			return fmt.Errorf("making the agent's directory: %w", err)
		}
	}
	if err := prepareHost(); err != nil {
		return err
	}
	group := supervise.NewGroup(ctx)
	defer group.Stop()

	// containerd and the images do not wait for the server, nor the server for them.
	if err := startContainerd(group, p, cfg); err != nil {
		return err
	}
	imported := make(chan error, 1)
	go func() { imported <- importImages(ctx, filepath.Join(p.dir, "images"), cfg.Snapshotter) }()

	if err := join(ctx, cfg, p); err != nil {
		return err
	}
	if cfg.Role == "agent" {
		if err := learn(ctx, cfg, p); err != nil {
			return err
		}
	}
	if err := writeKubeletConfig(cfg, p); err != nil {
		return err
	}
	if err := waitContainerd(ctx); err != nil {
		return err
	}
	startKubelet(group, cfg, p)
	client, err := nodeClient(ctx, p)
	if err != nil {
		return err
	}
	if err := p.linkNames(); err != nil {
		return err
	}
	go describe(ctx, client, cfg)
	if !cfg.Cluster.DisableProxy {
		startProxy(group, cfg, p)
	}
	network := &network{cfg: cfg, client: client}
	if err := network.start(ctx); err != nil {
		return err
	}
	if err := <-imported; err != nil {
		return err
	}
	notify.Ready()
	slog.Info("k3s agent is up and running")
	<-ctx.Done()
	return nil
}

// join learns the server's CA, checks it against the token, and writes the
// kubeconfig with which the kubelet asks for its certificate.
func join(ctx context.Context, cfg *config.Config, p paths) error {
	t, err := token.Parse(cfg.Token)
	if err != nil {
		return fmt.Errorf("reading the token: %w", err)
	}
	if t.CAHash == "" {
		slog.Warn("the token pins no CA, so the first server that answers is trusted; use the full token (K10…) of the server")
	}
	server, err := url.Parse(cfg.ServerURL)
	if err != nil || server.Scheme != "https" || server.Host == "" {
		return fmt.Errorf("the server's URL %q is not of the form https://address:%d", cfg.ServerURL, config.Port)
	}
	var said string
	for {
		var refused *refusal
		err := tryJoin(ctx, server, t, p)
		if err == nil {
			break
		}
		if said != err.Error() {
			said = err.Error()
			slog.Warn("joining the server failed and is tried again", "server", cfg.ServerURL, "because", said)
		}
		pause := 200 * time.Millisecond
		if errors.As(err, &refused) {
			pause = 5 * time.Second
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
	data, err := clientcmd.Write(joinerKubeconfig(cfg.ServerURL, t, p))
	if err != nil {
		return fmt.Errorf("writing the bootstrap kubeconfig: %w", err)
	}
	return pki.WriteFile(p.bootstrap(), data, 0o600)
}

// joinerKubeconfig speaks to the server as someone who may only ask for a node's certificate.
func joinerKubeconfig(server string, t token.Token, p paths) clientcmdapi.Config {
	return clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"default": {Server: server, CertificateAuthority: p.ca()}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"default": {Token: t.Password}},
		Contexts:       map[string]*clientcmdapi.Context{"default": {Cluster: "default", AuthInfo: "default"}},
		CurrentContext: "default",
	}
}

// refusal is an answer that waiting does not change.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

func tryJoin(ctx context.Context, server *url.URL, t token.Token, p paths) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// The chain is not verified by anyone's roots here, but by the token's hash below.
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", server.Host)
	if err != nil {
		return err
	}
	chain := conn.(*tls.Conn).ConnectionState().PeerCertificates
	conn.Close()
	ca := chain[len(chain)-1]
	if !ca.IsCA {
		return &refusal{"the server shows no CA; it is not a server of this distribution"}
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})
	if hash := token.Hash(data); t.CAHash != "" && t.CAHash != hash {
		return &refusal{fmt.Sprintf("the token pins the CA %s and the server's is %s; take the token of this very server", t.CAHash, hash)}
	}
	if known, err := os.ReadFile(p.ca()); err == nil && string(known) != string(data) {
		if t.CAHash == "" {
			return &refusal{"the server's CA is another one than before; if that is right, remove " + p.ca()}
		}
		// Another cluster, and the token says that it is meant: what the old one signed is worth nothing.
		for _, old := range []string{p.kubeconfig(), filepath.Dir(p.clientCertificate())} {
			if err := os.RemoveAll(old); err != nil {
				return err
			}
		}
	}
	if err := pki.WriteFile(p.ca(), data, 0o644); err != nil {
		return err
	}
	return checkPassword(ctx, server, t, p)
}

// checkPassword asks for something that any authenticated client may have, to tell a wrong token from a server that is not up.
func checkPassword(ctx context.Context, server *url.URL, t token.Token, p paths) error {
	if _, err := os.Stat(p.clientCertificate()); err == nil {
		return nil // joined already: the node's own certificate speaks for it
	}
	joiner, err := clientcmd.NewDefaultClientConfig(joinerKubeconfig(server.String(), t, p), nil).ClientConfig()
	if err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(joiner)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.String()+"/api", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	switch response.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized:
		return &refusal{"the server refuses the token: its password is wrong; take the content of " + config.DataDir + "/server/token on the server"}
	default:
		return fmt.Errorf("the server answers %s", response.Status)
	}
}

// nodeClient waits for the certificate that the kubelet was given and makes a client that uses it.
func nodeClient(ctx context.Context, p paths) (*kubernetes.Clientset, error) {
	for {
		if _, err := os.Stat(p.kubeconfig()); err == nil {
			if node, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig()); err == nil {
				return kubernetes.NewForConfig(node)
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func startKubelet(group *supervise.Group, cfg *config.Config, p paths) {
	args := []string{
		"--config=" + p.etc("kubelet.yaml"),
		"--kubeconfig=" + p.kubeconfig(),
		"--bootstrap-kubeconfig=" + p.bootstrap(),
		"--cert-dir=" + filepath.Join(p.dir, "pki"),
		"--hostname-override=" + cfg.NodeName,
		"--node-ip=" + cfg.NodeIP,
		"--root-dir=/var/lib/kubelet",
	}
	if len(cfg.NodeLabels) > 0 {
		args = append(args, "--node-labels="+strings.Join(cfg.NodeLabels, ","))
	}
	if exists(cfg.CredentialConfig) {
		args = append(args, "--image-credential-provider-config="+cfg.CredentialConfig, "--image-credential-provider-bin-dir="+cfg.CredentialBin)
	}
	if cfg.Verbosity > 0 {
		args = append(args, fmt.Sprintf("--v=%d", cfg.Verbosity))
	}
	if len(cfg.NodeTaints) > 0 {
		args = append(args, "--register-with-taints="+strings.Join(cfg.NodeTaints, ","))
	}
	for _, arg := range cfg.KubeletArgs {
		args = append(args, "--"+arg)
	}
	group.Start(supervise.Process{Name: component.Kubelet, Args: args})
}

func startProxy(group *supervise.Group, cfg *config.Config, p paths) {
	args := []string{
		"--kubeconfig=" + p.kubeconfig(),
		"--hostname-override=" + cfg.NodeName,
		"--cluster-cidr=" + cfg.Cluster.CIDR,
		"--proxy-mode=iptables",
		// A container may not set the host's connection tracking.
		"--conntrack-max-per-core=0",
		"--conntrack-tcp-timeout-established=0",
		"--conntrack-tcp-timeout-close-wait=0",
	}
	if cfg.Verbosity > 0 {
		args = append(args, fmt.Sprintf("--v=%d", cfg.Verbosity))
	}
	for _, arg := range cfg.ProxyArgs {
		args = append(args, "--"+arg)
	}
	group.Start(supervise.Process{Name: component.Proxy, Args: args})
}
