// SPDX-License-Identifier: GPL-3.0-or-later

// Package server runs the control plane of a k3s server: kine, the API server,
// the controller manager and the scheduler as children, the packaged manifests,
// and an agent for the server's own node.
package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/arcodange-org/sandbox/embedded/internal/agent"
	"github.com/arcodange-org/sandbox/embedded/internal/component"
	"github.com/arcodange-org/sandbox/embedded/internal/config"
	"github.com/arcodange-org/sandbox/embedded/internal/notify"
	"github.com/arcodange-org/sandbox/embedded/internal/pki"
	"github.com/arcodange-org/sandbox/embedded/internal/supervise"
	"github.com/arcodange-org/sandbox/embedded/internal/token"
)

// Run runs a server until ctx ends.
func Run(ctx context.Context, cfg *config.Config) error {
	dir := filepath.Join(cfg.DataDir, "server")
	if err := os.MkdirAll(filepath.Join(dir, "db"), 0o700); err != nil {
		return fmt.Errorf("making the server's directory: %w", err)
	}
	files, err := pki.Ensure(cfg)
	if err != nil {
		return err
	}
	if err := ensureToken(cfg, dir, files); err != nil {
		return err
	}
	if err := writeKubeconfig(cfg, files); err != nil {
		return err
	}

	group := supervise.NewGroup(ctx)
	defer group.Stop()
	startStore(group, cfg, dir, files)

	rest, err := clientcmd.BuildConfigFromFlags("", files.Conf("super-admin.conf"))
	if err != nil {
		return fmt.Errorf("reading the admin's kubeconfig: %w", err)
	}
	rest.QPS, rest.Burst = 50, 100
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("making a client of the API server: %w", err)
	}
	if err := waitReady(ctx, client); err != nil {
		return err
	}
	slog.Info("the API server is ready")
	startControllers(group, cfg, files)

	manifests, err := newManifests(rest, filepath.Join(dir, "manifests"), cfg)
	if err != nil {
		return err
	}
	if err := manifests.applyBootstrap(ctx); err != nil {
		return err
	}
	if err := publish(ctx, client, cfg); err != nil {
		return err
	}
	go labelNode(ctx, client, cfg.NodeName)
	go manifests.watch(ctx)

	agentDone := make(chan error, 1)
	if cfg.DisableAgent {
		notify.Ready()
	} else {
		own := *cfg
		own.ServerURL = fmt.Sprintf("https://127.0.0.1:%d", config.Port)
		go func() { agentDone <- agent.Run(ctx, &own) }()
	}
	slog.Info("k3s is up and running")
	select {
	case <-ctx.Done():
		if !cfg.DisableAgent {
			<-agentDone
		}
		return nil
	case err := <-agentDone:
		return err
	}
}

// publish tells agents the settings that are the server's alone.
func publish(ctx context.Context, client kubernetes.Interface, cfg *config.Config) error {
	data, err := json.Marshal(cfg.Cluster)
	if err != nil {
		return fmt.Errorf("publishing the cluster's settings: %w", err)
	}
	settings := applycorev1.ConfigMap(agent.ClusterSettings, agent.ClusterSettingsNamespace).
		WithData(map[string]string{agent.ClusterSettingsKey: string(data)})
	if _, err := client.CoreV1().ConfigMaps(agent.ClusterSettingsNamespace).Apply(ctx, settings, metav1.ApplyOptions{FieldManager: "k3s", Force: true}); err != nil {
		return fmt.Errorf("publishing the cluster's settings: %w", err)
	}
	return nil
}

func startStore(group *supervise.Group, cfg *config.Config, dir string, files pki.Files) {
	socket := filepath.Join(dir, "kine.sock")
	group.Start(supervise.Process{
		Name: component.Kine,
		Args: []string{"--listen-address=unix://" + socket, "--database=" + filepath.Join(dir, "db", "state.db")},
	})
	group.Start(supervise.Process{
		Name: component.APIServer,
		Args: append([]string{
			"--etcd-servers=unix://" + socket,
			"--storage-media-type=application/vnd.kubernetes.protobuf",
			"--bind-address=0.0.0.0",
			fmt.Sprintf("--secure-port=%d", config.Port),
			"--advertise-address=" + cfg.AdvertiseAddress,
			"--service-cluster-ip-range=" + cfg.ServiceCIDR,
			"--service-node-port-range=" + cfg.ServiceNodePorts,
			"--k3s-ca-file=" + files.Cert("ca.crt"),
			// As k3s: without credentials there is an answer of 401, and nothing else.
			"--anonymous-auth=false",
			"--enable-bootstrap-token-auth=true",
			"--tls-cert-file=" + files.Bundle(),
			"--tls-private-key-file=" + files.Cert("apiserver.key"),
			"--client-ca-file=" + files.Cert("ca.crt"),
			"--service-account-key-file=" + files.Cert("sa.pub"),
			"--service-account-signing-key-file=" + files.Cert("sa.key"),
			"--service-account-issuer=https://kubernetes.default.svc." + cfg.Cluster.Domain,
			"--kubelet-client-certificate=" + files.Cert("apiserver-kubelet-client.crt"),
			"--kubelet-client-key=" + files.Cert("apiserver-kubelet-client.key"),
			"--kubelet-preferred-address-types=InternalIP,Hostname",
			"--requestheader-client-ca-file=" + files.Cert("front-proxy-ca.crt"),
			"--requestheader-allowed-names=front-proxy-client",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--requestheader-group-headers=X-Remote-Group",
			"--requestheader-username-headers=X-Remote-User",
			"--proxy-client-cert-file=" + files.Cert("front-proxy-client.crt"),
			"--proxy-client-key-file=" + files.Cert("front-proxy-client.key"),
			"--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction",
			"--token-auth-file=" + joinersFile(dir),
			"--allow-privileged=true",
			"--profiling=false",
			// kine compacts by itself.
			"--etcd-compaction-interval=0",
			verbosity(cfg),
		}, flags(cfg.APIServerArgs)...),
	})
}

// startControllers starts what would only end and be started again while the API server is not up.
func startControllers(group *supervise.Group, cfg *config.Config, files pki.Files) {
	group.Start(supervise.Process{
		Name: component.ControllerManager,
		Args: append([]string{
			"--kubeconfig=" + files.Conf("controller-manager.conf"),
			"--authentication-kubeconfig=" + files.Conf("controller-manager.conf"),
			"--authorization-kubeconfig=" + files.Conf("controller-manager.conf"),
			"--bind-address=127.0.0.1",
			"--leader-elect=false",
			"--use-service-account-credentials=true",
			"--service-account-private-key-file=" + files.Cert("sa.key"),
			"--root-ca-file=" + files.Cert("ca.crt"),
			"--client-ca-file=" + files.Cert("ca.crt"),
			"--cluster-signing-cert-file=" + files.Cert("ca.crt"),
			"--cluster-signing-key-file=" + files.Cert("ca.key"),
			"--allocate-node-cidrs=true",
			"--cluster-cidr=" + cfg.Cluster.CIDR,
			"--service-cluster-ip-range=" + cfg.ServiceCIDR,
			"--profiling=false",
			// What `k3s token create` makes ends when it says.
			"--controllers=*,tokencleaner",
			verbosity(cfg),
		}, flags(cfg.ControllerArgs)...),
	})
	if cfg.DisableScheduler {
		return
	}
	group.Start(supervise.Process{
		Name: component.Scheduler,
		Args: append([]string{
			"--kubeconfig=" + files.Conf("scheduler.conf"),
			"--authentication-kubeconfig=" + files.Conf("scheduler.conf"),
			"--authorization-kubeconfig=" + files.Conf("scheduler.conf"),
			"--bind-address=127.0.0.1",
			"--leader-elect=false",
			"--profiling=false",
			verbosity(cfg),
		}, flags(cfg.SchedulerArgs)...),
	})
}

// labelNode tells that the server's own node is one, which the node itself may not say.
func labelNode(ctx context.Context, client *kubernetes.Clientset, name string) {
	patch := []byte(`{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":"true"}}}`)
	for {
		if _, err := client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func verbosity(cfg *config.Config) string { return fmt.Sprintf("--v=%d", cfg.Verbosity) }

// flags turns k3s's name=value arguments into flags.
func flags(args []string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = "--" + strings.TrimPrefix(arg, "--")
	}
	return out
}

func waitReady(ctx context.Context, client *kubernetes.Clientset) error {
	for {
		_, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Timeout(2 * time.Second).DoRaw(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the API server: %w (last: %v)", ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func joinersFile(dir string) string { return filepath.Join(dir, "cred", "joiners.csv") }

// ensureToken keeps the token that the data directory has, takes the one that
// is configured, or makes one; and lets a client that presents it request a node's
// certificate, and nothing more (upstream's group system:bootstrappers).
func ensureToken(cfg *config.Config, dir string, files pki.Files) error {
	ca, err := os.ReadFile(files.Cert("ca.crt"))
	if err != nil {
		return fmt.Errorf("making the token: %w", err)
	}
	path := filepath.Join(dir, "token")
	given := cfg.Token
	if given == "" {
		kept, err := os.ReadFile(path)
		switch {
		case err == nil:
			given = string(kept)
		case errors.Is(err, os.ErrNotExist):
			secret := make([]byte, 16)
			if _, err := rand.Read(secret); err != nil {
				return fmt.Errorf("making the token: %w", err)
			}
			given = hex.EncodeToString(secret)
		default:
			return fmt.Errorf("reading the token: %w", err)
		}
	}
	t, err := token.Parse(given)
	if err != nil {
		return fmt.Errorf("reading the token: %w", err)
	}
	if hash := token.Hash(ca); t.CAHash != "" && t.CAHash != hash {
		return fmt.Errorf("the token pins the CA %s and this server's is %s; it is another cluster's token", t.CAHash, hash)
	}
	if retired, err := os.ReadFile(retiredFile(dir)); err == nil && strings.Contains(string(retired), fingerprint(t)) {
		return fmt.Errorf("token: it was replaced by k3s token rotate; configure the one in %s", path)
	}
	t.CAHash = token.Hash(ca)
	cfg.Token = t.String()
	return writeToken(dir, t)
}

// writeToken makes t the token that nodes join with from the next start of the API server on.
func writeToken(dir string, t token.Token) error {
	for _, name := range []string{"token", "node-token", "agent-token"} {
		if err := pki.WriteFile(filepath.Join(dir, name), []byte(t.String()+"\n"), 0o600); err != nil {
			return fmt.Errorf("writing the token: %w", err)
		}
	}
	joiners := fmt.Sprintf("%s,%s,%s,\"%s\"\n", t.Password, "system:bootstrap:k3s", "k3s-joiner", "system:bootstrappers")
	if err := pki.WriteFile(joinersFile(dir), []byte(joiners), 0o600); err != nil {
		return fmt.Errorf("writing the token: %w", err)
	}
	return nil
}

// retiredFile has the fingerprints of tokens that were replaced: one that is still configured must not come back.
func retiredFile(dir string) string { return filepath.Join(dir, "cred", "retired-tokens") }

func fingerprint(t token.Token) string { return token.Hash([]byte(t.Password)) }

// RotateToken replaces the token old, or whatever it is, of a server's data directory by next.
func RotateToken(dataDir, old, next string) error {
	dir := filepath.Join(dataDir, "server")
	text, err := os.ReadFile(filepath.Join(dir, "token"))
	if err != nil {
		return fmt.Errorf("reading the token: %w; run this on the server", err)
	}
	now, err := token.Parse(string(text))
	if err != nil {
		return fmt.Errorf("reading the token: %w", err)
	}
	if old != "" {
		if given, err := token.Parse(old); err != nil || given.Password != now.Password {
			return errors.New("token: not the one of this server; take the content of " + filepath.Join(dir, "token"))
		}
	}
	t, err := token.Parse(next)
	if err != nil {
		return fmt.Errorf("new-token: %w", err)
	}
	if t.Password == now.Password {
		return errors.New("new-token: the same as the old one; give another")
	}
	if t.CAHash != "" && t.CAHash != now.CAHash {
		return errors.New("new-token: it pins the CA of another cluster; give the password alone")
	}
	t.CAHash = now.CAHash
	retired, err := os.ReadFile(retiredFile(dir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("reading the tokens that were replaced: %w", err)
	}
	if strings.Contains(string(retired), fingerprint(t)) {
		return errors.New("new-token: it was replaced before; give another")
	}
	if err := writeToken(dir, t); err != nil {
		return err
	}
	return pki.WriteFile(retiredFile(dir), append(retired, fingerprint(now)+"\n"...), 0o600)
}

// writeKubeconfig gives people k3s's kubeconfig: one context, named default.
func writeKubeconfig(cfg *config.Config, files pki.Files) error {
	admin, err := clientcmd.LoadFromFile(files.Conf("super-admin.conf"))
	if err != nil {
		return fmt.Errorf("reading the admin's kubeconfig: %w", err)
	}
	current := admin.Contexts[admin.CurrentContext]
	cluster, account := admin.Clusters[current.Cluster], admin.AuthInfos[current.AuthInfo]
	cluster.Server = fmt.Sprintf("https://127.0.0.1:%d", config.Port)
	current.Cluster, current.AuthInfo = "default", "default"
	clear(admin.Clusters)
	clear(admin.AuthInfos)
	clear(admin.Contexts)
	admin.Clusters["default"], admin.AuthInfos["default"], admin.Contexts["default"] = cluster, account, current
	admin.CurrentContext = "default"
	data, err := clientcmd.Write(*admin)
	if err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	if err := pki.WriteFile(cfg.KubeconfigOutput, data, cfg.KubeconfigMode); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	if cfg.KubeconfigGroup == "" {
		return nil
	}
	id, err := strconv.Atoi(cfg.KubeconfigGroup)
	if err != nil {
		group, err := user.LookupGroup(cfg.KubeconfigGroup)
		if err != nil {
			return fmt.Errorf("write-kubeconfig-group: %w; use a group of this machine", err)
		}
		if id, err = strconv.Atoi(group.Gid); err != nil {
			return fmt.Errorf("write-kubeconfig-group: %w", err)
		}
	}
	if err := os.Chown(cfg.KubeconfigOutput, -1, id); err != nil {
		return fmt.Errorf("write-kubeconfig-group: %w", err)
	}
	return nil
}
