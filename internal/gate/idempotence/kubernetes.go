// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/run"
)

// restless are the kinds that a cluster writes continuously.
var restless = []string{
	"events", "events.events.k8s.io", "leases.coordination.k8s.io", "leasecandidates.coordination.k8s.io", "endpoints", "endpointslices.discovery.k8s.io",
	"componentstatuses", "nodes.metrics.k8s.io", "pods.metrics.k8s.io", "csinodes.storage.k8s.io", "csistoragecapacities.storage.k8s.io",
	"volumeattachments.storage.k8s.io", "certificatesigningrequests.certificates.k8s.io", "storageversions.internal.apiserver.k8s.io",
	"ipaddresses.networking.k8s.io", "resourceslices.resource.k8s.io",
}

// Cluster reads the objects of a cluster with kubectl.
type Cluster struct {
	Runner     run.Runner
	Kubectl    string
	Kubeconfig string
}

// Objects returns every object without a controller: its
// generation, which counts changes of the spec and not of the status, and
// a digest of all fields but the status. For custom resources it has only
// the digest, since some count changes of the status too.
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
	get := []string{"get", strings.Join(kinds, ","), "--all-namespaces", "--ignore-not-found", "--output=json"}
	data, err := ask(append(get, "--show-managed-fields")...)
	if err != nil && strings.Contains(err.Error(), "unknown flag") {
		data, err = ask(get...) // before 1.21 they are always shown
	}
	if err != nil {
		return nil, err
	}
	return objects(data)
}

// passing are annotations that a cluster updates continuously.
var passing = []string{"control-plane.alpha.kubernetes.io/leader", "endpoints.kubernetes.io/last-change-trigger-time"}

// ofCondition are taints that the cluster sets for a node's conditions, which are
// status, and for a cordon, which is another field of the spec.
// Source: k8s.io/api/core/v1, well_known_taints.go.
var ofCondition = []string{
	"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "node.kubernetes.io/memory-pressure", "node.kubernetes.io/disk-pressure",
	"node.kubernetes.io/pid-pressure", "node.kubernetes.io/network-unavailable", "node.kubernetes.io/unschedulable",
}

func objects(data []byte) (map[string]thing, error) {
	var list struct{ Items []map[string]any }
	if len(data) == 0 {
		return nil, fmt.Errorf("looking at the cluster: not one object was listed")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&list); err != nil {
		return nil, fmt.Errorf("reading the cluster's objects: %w", err)
	}
	out := map[string]thing{}
	for _, item := range list.Items {
		o, err := objectOf(item)
		if err != nil {
			return nil, fmt.Errorf("reading the cluster's objects: %w", err)
		}
		m := o.Metadata
		if slices.ContainsFunc(m.OwnerReferences, func(owner owner) bool { return owner.Controller }) {
			continue // its controller's spec is compared; owners that are not controllers only matter for deletion
		}
		state := m.UID
		if group, _, named := strings.Cut(o.APIVersion, "/"); m.Generation > 0 && o.Kind != "Node" && (!named || !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")) {
			state += fmt.Sprintf(" generation=%d", m.Generation)
		}
		state += " content=" + wanted(o.Kind, item)
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

// object has the fields of an object that the gate reads.
type object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name, Namespace, UID string
		Generation           int64
		CreationTimestamp    time.Time
		OwnerReferences      []owner
		ManagedFields        []struct {
			Time        time.Time
			Subresource string
		}
	}
}

// owner is an owner reference. At most one of an object's is its controller.
type owner struct{ Controller bool }

func objectOf(item map[string]any) (object, error) {
	var o object
	data, err := json.Marshal(item)
	if err == nil {
		err = json.Unmarshal(data, &o)
	}
	return o, err
}

// wanted returns a digest of all fields of an object but its status, the fields
// that the API server counts, and a node's annotations and taints that the kubelet
// and the cluster set. The digest is short and includes the object's
// UID, so that it does not reveal a secret's value.
func wanted(kind string, item map[string]any) string {
	rest := maps.Clone(item)
	delete(rest, "status")
	if metadata, ok := item["metadata"].(map[string]any); ok {
		kept := maps.Clone(metadata)
		for _, name := range []string{"resourceVersion", "generation", "managedFields"} {
			delete(kept, name)
		}
		if annotations, ok := kept["annotations"].(map[string]any); ok {
			annotations = maps.Clone(annotations)
			maps.DeleteFunc(annotations, func(name string, _ any) bool { return kind == "Node" || slices.Contains(passing, name) })
			kept["annotations"] = annotations
			if len(annotations) == 0 {
				delete(kept, "annotations")
			}
		}
		rest["metadata"] = kept
	}
	if spec, ok := item["spec"].(map[string]any); ok && kind == "Node" {
		kept := maps.Clone(spec)
		if taints, ok := kept["taints"].([]any); ok {
			taints = slices.DeleteFunc(slices.Clone(taints), func(taint any) bool {
				t, _ := taint.(map[string]any)
				key, _ := t["key"].(string)
				return slices.Contains(ofCondition, key)
			})
			kept["taints"] = taints
			if len(taints) == 0 {
				delete(kept, "taints")
			}
		}
		rest["spec"] = kept
	}
	data, err := json.Marshal(rest)
	if err != nil {
		return err.Error() // cannot happen for a map that was decoded from JSON
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))[:12]
}
