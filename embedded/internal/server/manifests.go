// SPDX-License-Identifier: GPL-3.0-or-later

package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/arcodange-org/sandbox/embedded/internal/agent"
	"github.com/arcodange-org/sandbox/embedded/internal/config"
	"github.com/arcodange-org/sandbox/embedded/internal/pki"
)

//go:embed manifests/*.yaml
var packaged embed.FS

// Images is the tag of the images that the packaged manifests run, set by build.sh.
var Images = "unknown"

// How often the directory is looked at; k3s looks every 15 s.
const manifestsEvery = 2 * time.Second

// pack is a packaged component: a file of that name.
type pack struct {
	name string
	out  func(*config.Config) bool // it is left out
}

func disabled(name string) func(*config.Config) bool {
	return func(cfg *config.Config) bool { return cfg.Disabled(name) }
}

// packs are the packaged components. Those named limit-… warn of, or refuse, what k3s's component of that name would do and
// nothing here does. Without that component in k3s there is nothing to tell, so what disables it there removes them here.
var packs = []pack{
	{"coredns", disabled("coredns")},
	{"local-storage", disabled("local-storage")},
	{"limit-network-policy", func(cfg *config.Config) bool { return cfg.DisablePolicies }},
	{"limit-servicelb", disabled("servicelb")},
	{"limit-traefik", disabled("traefik")},
	{"limit-metrics-server", disabled("metrics-server")},
}

// manifests applies files to the cluster, and again whenever they change.
type manifests struct {
	dir    string
	cfg    *config.Config
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
	done   map[string][sha256.Size]byte // what was applied, by file
}

func newManifests(rest *rest.Config, dir string, cfg *config.Config) (*manifests, error) {
	client, err := dynamic.NewForConfig(rest)
	if err != nil {
		return nil, fmt.Errorf("making a client of the API server: %w", err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(rest)
	if err != nil {
		return nil, fmt.Errorf("making a client of the API server: %w", err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disco))
	return &manifests{dir, cfg, client, mapper, map[string][sha256.Size]byte{}}, nil
}

// applyBootstrap applies what nodes need to join, and writes the packaged
// components to the directory; those that are disabled are removed.
func (m *manifests) applyBootstrap(ctx context.Context) error {
	data, err := packaged.ReadFile("manifests/bootstrap.yaml")
	if err != nil {
		return err
	}
	for said := ""; ; {
		// Upstream's own roles appear a moment after the server is ready.
		if err = m.apply(ctx, data); err == nil {
			break
		}
		if said != err.Error() {
			said = err.Error()
			slog.Warn("what nodes need to join could not be applied and is tried again", "because", said)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("applying the bootstrap manifests: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
	for _, pack := range packs {
		name := pack.name
		path := filepath.Join(m.dir, name+".yaml")
		data, err := m.render(name)
		if err != nil {
			return err
		}
		if !pack.out(m.cfg) {
			if err := pki.WriteFile(path, data, 0o600); err != nil {
				return fmt.Errorf("writing the packaged manifest: %w", err)
			}
			continue
		}
		// The file goes last: while it is there, a removal that was cut short is taken up again.
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := m.delete(ctx, data); err != nil {
			return fmt.Errorf("removing the disabled component %s: %w", name, err)
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("removing the disabled component %s: %w", name, err)
		}
	}
	return nil
}

// render fills the settings into a packaged manifest.
func (m *manifests) render(name string) ([]byte, error) {
	data, err := packaged.ReadFile("manifests/" + name + ".yaml")
	if err != nil {
		return nil, err
	}
	forward := "forward . /etc/resolv.conf"
	if !agent.HasUpstreamDNS(m.cfg) {
		// The node resolves through a server on its own loopback, which no pod can reach: then only the cluster's names resolve.
		forward = "# no name server that a pod could reach"
	}
	return []byte(strings.NewReplacer(
		"%{CLUSTER_DOMAIN}", m.cfg.Cluster.Domain, "%{CLUSTER_DNS}", m.cfg.Cluster.DNS, "%{IMAGES}", Images,
		"%{FORWARD}", forward, "%{STORAGE}", m.cfg.StoragePath,
	).Replace(string(data))), nil
}

// watch applies the directory's files until ctx ends. One that fails is tried again.
func (m *manifests) watch(ctx context.Context) {
	said := map[string]string{}
	for {
		for _, file := range manifestFiles(m.dir) {
			data, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			sum := sha256.Sum256(data)
			if m.done[file] == sum {
				continue
			}
			if err := m.applyFile(ctx, file, data); err != nil {
				if said[file] != err.Error() {
					slog.Warn("a manifest could not be applied and is tried again", "file", file, "because", err)
					said[file] = err.Error()
				}
				continue
			}
			m.done[file] = sum
			delete(said, file)
			slog.Info("applied a manifest", "file", file)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(manifestsEvery):
		}
	}
}

// manifestFiles are the manifests under dir, as k3s finds them: in folders too, and not those whose name another file
// has with .skip behind it, in whichever folder.
func manifestFiles(dir string) []string {
	var files []string
	skipped := map[string]bool{}
	_ = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return nil // it is gone again
		}
		name := entry.Name()
		if of, ok := strings.CutSuffix(name, ".skip"); ok {
			skipped[of] = true
		}
		if ext := filepath.Ext(name); !entry.IsDir() && !strings.HasPrefix(name, ".") && (ext == ".yaml" || ext == ".yml" || ext == ".json") {
			files = append(files, path)
		}
		return nil
	})
	return slices.DeleteFunc(files, func(path string) bool { return skipped[filepath.Base(path)] })
}

// applyFile applies a file, and deletes what it had when it was applied before and has no longer, as k3s does. An object
// that another file has meanwhile stays.
func (m *manifests) applyFile(ctx context.Context, file string, data []byte) error {
	if err := m.apply(ctx, data); err != nil {
		return err
	}
	var now []reference
	if err := m.each(data, func(object *unstructured.Unstructured, _ dynamic.ResourceInterface) error {
		now = append(now, referenceTo(object))
		return nil
	}); err != nil {
		return err
	}
	path := filepath.Join(filepath.Dir(m.dir), "applied.json")
	applied := map[string][]reference{}
	if text, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(text, &applied); err != nil {
			return fmt.Errorf("reading %s: %w; remove it", path, err)
		}
	}
	before := applied[file]
	applied[file] = now
	kept := slices.Concat(slices.Collect(maps.Values(applied))...)
	for _, old := range before {
		if slices.Contains(kept, old) {
			continue
		}
		text, err := json.Marshal(old.object())
		if err != nil {
			return err
		}
		if err := m.delete(ctx, text); err != nil && !meta.IsNoMatchError(err) {
			return err
		}
	}
	text, err := json.Marshal(applied)
	if err != nil {
		return err
	}
	return pki.WriteFile(path, text, 0o600)
}

// reference names an object.
type reference struct{ APIVersion, Kind, Namespace, Name string }

func referenceTo(object *unstructured.Unstructured) reference {
	return reference{object.GetAPIVersion(), object.GetKind(), object.GetNamespace(), object.GetName()}
}

func (r reference) object() *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetAPIVersion(r.APIVersion)
	object.SetKind(r.Kind)
	object.SetNamespace(r.Namespace)
	object.SetName(r.Name)
	return object
}

// each calls do with every object in data and the client of its kind.
func (m *manifests) each(data []byte, do func(*unstructured.Unstructured, dynamic.ResourceInterface) error) error {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if len(object.Object) == 0 {
			continue
		}
		if object.IsList() {
			if err := object.EachListItem(func(item runtime.Object) error {
				return m.one(item.(*unstructured.Unstructured), do)
			}); err != nil {
				return err
			}
			continue
		}
		if err := m.one(object, do); err != nil {
			return err
		}
	}
}

// one calls do with an object and the client of its kind.
func (m *manifests) one(object *unstructured.Unstructured, do func(*unstructured.Unstructured, dynamic.ResourceInterface) error) error {
	kind := object.GroupVersionKind()
	mapping, err := m.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		m.mapper.Reset() // its definition may have come since
		mapping, err = m.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	if err != nil {
		return err
	}
	var client dynamic.ResourceInterface = m.client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		namespace := object.GetNamespace()
		if namespace == "" {
			namespace = metav1.NamespaceDefault
		}
		client = m.client.Resource(mapping.Resource).Namespace(namespace)
	}
	if err := do(object, client); err != nil {
		return fmt.Errorf("%s %s: %w", kind.Kind, object.GetName(), err)
	}
	return nil
}

func (m *manifests) apply(ctx context.Context, data []byte) error {
	return m.each(data, func(object *unstructured.Unstructured, client dynamic.ResourceInterface) error {
		_, err := client.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: "k3s", Force: true})
		return err
	})
}

func (m *manifests) delete(ctx context.Context, data []byte) error {
	return m.each(data, func(object *unstructured.Unstructured, client dynamic.ResourceInterface) error {
		err := client.Delete(ctx, object.GetName(), metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}
