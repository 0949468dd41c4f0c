// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/arcodange-org/sandbox/embedded/internal/config"
	"github.com/arcodange-org/sandbox/embedded/internal/token"
)

// ClusterSettings is where the server publishes what agents need to know: a ConfigMap.
const (
	ClusterSettings          = "k3s-cluster"
	ClusterSettingsNamespace = metav1.NamespaceSystem
	ClusterSettingsKey       = "settings.json"
)

// learn fills in the cluster's settings from the server, which alone has them configured.
func learn(ctx context.Context, cfg *config.Config, p paths) error {
	var said string
	for {
		err := tryLearn(ctx, cfg, p)
		if err == nil {
			return nil
		}
		if said != err.Error() {
			said = err.Error()
			slog.Warn("reading the cluster's settings failed and is tried again", "because", said)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func tryLearn(ctx context.Context, cfg *config.Config, p paths) error {
	// The node's own certificate speaks for it once it has one: the token may have been changed since.
	settings, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig())
	if err != nil || !exists(p.clientCertificate()) {
		t, err := token.Parse(cfg.Token)
		if err != nil {
			return err
		}
		if settings, err = clientcmd.NewDefaultClientConfig(joinerKubeconfig(cfg.ServerURL, t, p), nil).ClientConfig(); err != nil {
			return err
		}
	}
	client, err := kubernetes.NewForConfig(rest.AddUserAgent(settings, "k3s-agent"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	found, err := client.CoreV1().ConfigMaps(ClusterSettingsNamespace).Get(ctx, ClusterSettings, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(found.Data[ClusterSettingsKey]), &cfg.Cluster)
}

// description is a patch that makes this node's object say what k3s's agent and cloud controller make it say.
// Labels that are configured are set at every start, as k3s does.
func description(cfg *config.Config) ([]byte, error) {
	args, err := json.Marshal(cfg.Args)
	if err != nil {
		return nil, err
	}
	env, err := json.Marshal(cfg.Env)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append(args, env...))
	labels := map[string]string{
		"node.kubernetes.io/instance-type": "k3s",
		"beta.kubernetes.io/instance-type": "k3s",
	}
	for _, label := range cfg.NodeLabels {
		key, value, _ := strings.Cut(label, "=")
		labels[key] = value
	}
	return json.Marshal(map[string]any{"metadata": map[string]any{
		"labels": labels,
		"annotations": map[string]string{
			"k3s.io/hostname":         cfg.NodeName,
			"k3s.io/internal-ip":      cfg.NodeIP,
			"k3s.io/node-args":        string(args),
			"k3s.io/node-env":         string(env),
			"k3s.io/node-config-hash": base32.StdEncoding.EncodeToString(sum[:]),
		},
	}})
}

// providerID names the node as k3s's cloud controller does.
func providerID(cfg *config.Config) string { return "k3s://" + cfg.NodeName }

// describe patches the node's object once it is there, and tells of taints that come too late.
func describe(ctx context.Context, client kubernetes.Interface, cfg *config.Config) {
	patch, err := description(cfg)
	if err != nil {
		slog.Warn("the node could not be described", "because", err)
		return
	}
	var said string
	for {
		node, err := client.CoreV1().Nodes().Patch(ctx, cfg.NodeName, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "k3s"})
		if err == nil {
			for _, taint := range missingTaints(node, cfg.NodeTaints) {
				slog.Warn("node-taint: the node was registered before without this taint, and k3s sets taints only when a node registers; use kubectl taint, or delete the node and start k3s again", "taint", taint)
			}
			if node.Spec.ProviderID == "" {
				id, _ := json.Marshal(map[string]any{"spec": map[string]string{"providerID": providerID(cfg)}})
				if _, err := client.CoreV1().Nodes().Patch(ctx, cfg.NodeName, types.MergePatchType, id, metav1.PatchOptions{}); err != nil {
					slog.Warn("the node's provider ID could not be set", "because", err)
				}
			}
			return
		}
		if said != err.Error() {
			said = err.Error()
			slog.Warn("describing the node failed and is tried again", "because", said)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// missingTaints are configured taints, as key=value:effect, that the node lacks.
func missingTaints(node *corev1.Node, configured []string) []string {
	has := map[string]bool{}
	for _, taint := range node.Spec.Taints {
		has[taint.Key+"="+taint.Value+":"+string(taint.Effect)] = true
	}
	var missing []string
	for _, taint := range configured {
		name, effect, _ := strings.Cut(taint, ":")
		key, value, _ := strings.Cut(name, "=")
		if !has[key+"="+value+":"+effect] {
			missing = append(missing, fmt.Sprintf("%s=%s:%s", key, value, effect))
		}
	}
	return missing
}
