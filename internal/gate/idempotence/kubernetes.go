// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/run"
)

// restless are the kinds that a cluster writes itself, all the time.
var restless = []string{
	"events", "events.events.k8s.io", "leases.coordination.k8s.io", "endpoints", "endpointslices.discovery.k8s.io",
	"componentstatuses", "nodes.metrics.k8s.io", "pods.metrics.k8s.io", "csinodes.storage.k8s.io",
}

// Cluster looks at every object of a cluster through kubectl.
type Cluster struct {
	Runner     run.Runner
	Kubectl    string
	Kubeconfig string
}

// Objects is every object that nothing else in the cluster made: by its
// generation, which counts changes of what is wanted and not of what is, or, for
// a kind that has none, by its version.
func (c Cluster) Objects(ctx context.Context) (map[string]thing, error) {
	ask := func(args ...string) ([]byte, error) {
		res, err := c.Runner.Run(ctx, run.Cmd{Name: c.Kubectl, Args: append([]string{"--kubeconfig=" + c.Kubeconfig, "--request-timeout=30s"}, args...)})
		if err != nil {
			return nil, fmt.Errorf("looking at the cluster: %w", err)
		}
		return res.Stdout, nil
	}
	listed, err := ask("api-resources", "--verbs=list", "--output=name")
	if err != nil {
		return nil, err
	}
	kinds := slices.DeleteFunc(strings.Fields(string(listed)), func(kind string) bool { return slices.Contains(restless, kind) })
	if len(kinds) == 0 {
		return nil, fmt.Errorf("looking at the cluster: it has no kinds of objects that %s could list", c.Kubectl)
	}
	data, err := ask("get", strings.Join(kinds, ","), "--all-namespaces", "--ignore-not-found", "--show-managed-fields", "--output=json")
	if err != nil {
		return nil, err
	}
	return objects(data)
}

func objects(data []byte) (map[string]thing, error) {
	var list struct {
		Items []struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Metadata   struct {
				Name, Namespace, UID, ResourceVersion string
				Generation                            int64
				CreationTimestamp                     time.Time
				OwnerReferences                       []struct{ UID string }
				ManagedFields                         []struct {
					Time        time.Time
					Subresource string
				}
			}
		}
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("looking at the cluster: not one object was listed")
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("reading the cluster's objects: %w", err)
	}
	out := map[string]thing{}
	for _, o := range list.Items {
		m := o.Metadata
		if len(m.OwnerReferences) > 0 || o.Kind == "Node" {
			continue // its owner is looked at; a node writes its own state
		}
		// The resourceVersion of what has a status counts the status too.
		state := fmt.Sprintf("%s generation=%d", m.UID, m.Generation)
		if m.Generation == 0 && !slices.Contains([]string{"Namespace", "Pod", "Service", "PersistentVolume", "PersistentVolumeClaim"}, o.Kind) {
			state = fmt.Sprintf("%s version=%s", m.UID, m.ResourceVersion)
		}
		at := m.CreationTimestamp
		for _, f := range m.ManagedFields {
			if f.Subresource == "" && f.Time.After(at) {
				at = f.Time
			}
		}
		name := m.Name
		if m.Namespace != "" {
			name = m.Namespace + "/" + name
		}
		out[fmt.Sprintf("object %s %s %s", o.APIVersion, o.Kind, name)] = thing{State: state, Time: float64(at.Unix())}
	}
	return out, nil
}
