// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/arcodange-org/sandbox/embedded/internal/config"
	"github.com/arcodange-org/sandbox/embedded/internal/pki"
)

// routeProtocol marks the routes that are ours (rtnetlink(7) leaves 186 to 252 free).
const routeProtocol netlink.RouteProtocol = 199

func cniConf(cfg *config.Config) string {
	return filepath.Join(cfg.DataDir, "agent", "etc", "cni", "net.d")
}

// network gives this node's pods their addresses, and routes to the pods of
// the other nodes by those nodes' own addresses. All nodes share one network,
// so no tunnel is needed.
type network struct {
	cfg    *config.Config
	client *kubernetes.Clientset
}

// start waits for this node's range of pod addresses, then configures CNI and keeps the routes until ctx ends.
func (n *network) start(ctx context.Context) error {
	podCIDR, err := n.podCIDR(ctx)
	if err != nil {
		return err
	}
	if err := n.writeCNI(podCIDR); err != nil {
		return err
	}
	if err := n.leaveOldRange(ctx, podCIDR); err != nil {
		return err
	}
	if err := n.masquerade(ctx, podCIDR); err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(n.client, time.Minute)
	informer := factory.Core().V1().Nodes().Informer()
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { n.route(o, true) },
		UpdateFunc: func(_, o any) { n.route(o, true) },
		DeleteFunc: func(o any) { n.route(o, false) },
	})
	if err != nil {
		return fmt.Errorf("watching the nodes: %w", err)
	}
	factory.Start(ctx.Done())
	return nil
}

func (n *network) podCIDR(ctx context.Context) (string, error) {
	for {
		node, err := n.client.CoreV1().Nodes().Get(ctx, n.cfg.NodeName, metav1.GetOptions{})
		if err == nil && node.Spec.PodCIDR != "" {
			return node.Spec.PodCIDR, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for this node's range of pod addresses: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (n *network) writeCNI(podCIDR string) error {
	conf := map[string]any{
		"cniVersion": "1.0.0",
		"name":       "k3s",
		"plugins": []any{
			map[string]any{
				"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipMasq": false,
				"ipam": map[string]any{
					"type":   "host-local",
					"ranges": []any{[]any{map[string]any{"subnet": podCIDR}}},
					"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
				},
			},
			map[string]any{"type": "portmap", "capabilities": map[string]any{"portMappings": true}},
		},
	}
	data, err := json.MarshalIndent(conf, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the CNI configuration: %w", err)
	}
	if err := pki.WriteFile(filepath.Join(cniConf(n.cfg), "10-k3s.conflist"), append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the CNI configuration: %w", err)
	}
	return nil
}

// leaveOldRange ends the pods that have addresses of another range, and removes
// their bridge: a node that was deleted and registered again gets a new range,
// and no other node has a route to the old one. The kubelet makes the pods anew.
func (n *network) leaveOldRange(ctx context.Context, podCIDR string) error {
	bridge, err := netlink.LinkByName("cni0")
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the pods' bridge: %w", err)
	}
	addresses, err := netlink.AddrList(bridge, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("reading the addresses of the pods' bridge: %w", err)
	}
	_, current, err := net.ParseCIDR(podCIDR)
	if err != nil {
		return fmt.Errorf("reading this node's range of pod addresses: %w", err)
	}
	if len(addresses) == 0 || slices.ContainsFunc(addresses, func(a netlink.Addr) bool { return current.Contains(a.IP) }) {
		return nil
	}
	slog.Info("this node has a new range of pod addresses; its pods are made anew", "range", podCIDR, "before", addresses[0].String())
	if err := netlink.LinkDel(bridge); err != nil {
		return fmt.Errorf("removing the pods' old bridge: %w", err)
	}
	ctr := func(args ...string) ([]byte, error) {
		return exec.CommandContext(ctx, "ctr", append([]string{"--address", config.ContainerdSocket, "--namespace", "k8s.io", "tasks"}, args...)...).Output()
	}
	tasks, err := ctr("list", "--quiet")
	if err != nil {
		return fmt.Errorf("listing the pods' containers: %w", err)
	}
	for _, task := range strings.Fields(string(tasks)) {
		if _, err := ctr("kill", "--all", "--signal", "SIGKILL", task); err != nil {
			slog.Warn("a container of a pod could not be ended", "container", task, "error", err)
		}
	}
	return nil
}

// masquerade lets pods reach what is outside the cluster under the node's
// address, while traffic between pods keeps its own. The bridge plugin's
// ipMasq would rewrite that as well.
func (n *network) masquerade(ctx context.Context, podCIDR string) error {
	rule := []string{"POSTROUTING", "-s", podCIDR, "!", "-d", n.cfg.Cluster.CIDR, "-m", "comment", "--comment", "k3s pods to the outside", "-j", "MASQUERADE"}
	forward := func(direction string) []string {
		return []string{"FORWARD", direction, n.cfg.Cluster.CIDR, "-m", "comment", "--comment", "k3s pods", "-j", "ACCEPT"}
	}
	for _, r := range []struct {
		table string
		rule  []string
	}{{"nat", rule}, {"filter", forward("-s")}, {"filter", forward("-d")}} {
		if exec.CommandContext(ctx, "iptables", append([]string{"-w", "-t", r.table, "-C"}, r.rule...)...).Run() == nil {
			continue
		}
		if out, err := exec.CommandContext(ctx, "iptables", append([]string{"-w", "-t", r.table, "-A"}, r.rule...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("setting up the pods' way out: %w: %s", err, out)
		}
	}
	return nil
}

// route sets (or removes) the route to the pods of one other node.
func (n *network) route(object any, wanted bool) {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	node, ok := object.(*corev1.Node)
	if !ok || node.Name == n.cfg.NodeName || node.Spec.PodCIDR == "" {
		return
	}
	_, destination, err := net.ParseCIDR(node.Spec.PodCIDR)
	if err != nil {
		return
	}
	for _, address := range node.Status.Addresses {
		if address.Type != corev1.NodeInternalIP {
			continue
		}
		route := &netlink.Route{Dst: destination, Gw: net.ParseIP(address.Address), Protocol: routeProtocol}
		if wanted {
			err = netlink.RouteReplace(route)
		} else if err = netlink.RouteDel(route); err == unix.ESRCH {
			err = nil
		}
		if err != nil {
			slog.Warn("setting the route to a node's pods failed and is tried again within a minute", "node", node.Name, "because", err)
		}
		return
	}
}
