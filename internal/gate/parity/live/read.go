// SPDX-License-Identifier: GPL-3.0-or-later

package live

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/arcodange-org/sandbox/internal/gate/parity"
)

// Wanted selects optional objects to read.
type Wanted struct {
	Releases bool // of Helm, from secrets
	Services bool
}

// Of returns the objects that a manifest requires.
func Of(m *parity.Manifest) Wanted {
	return Wanted{
		Releases: slices.ContainsFunc(m.Components, func(c parity.Component) bool { return c.FoundBy.HelmRelease != nil }),
		Services: slices.ContainsFunc(m.Outside, func(o parity.Outside) bool { return o.Port() != 0 }),
	}
}

// Read reads the cluster; Hosts of the result stays empty. A cluster
// without a node is an error: then nothing was read.
func (c *Client) Read(ctx context.Context, wanted Wanted) (parity.Found, error) {
	var found parity.Found
	var version struct{ GitVersion string }
	if err := c.get(ctx, "/version", nil, &version); err != nil {
		return found, fmt.Errorf("reading the cluster: %w", err)
	}
	if version.GitVersion == "" {
		return found, errors.New("reading the cluster: the API server returned no version")
	}
	found.Version = version.GitVersion
	served, err := c.groups(ctx)
	if err != nil {
		return found, fmt.Errorf("reading the cluster: %w", err)
	}
	found.Groups = served

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	var once sync.Once
	var failed error
	do := func(read func() error) {
		all.Go(func() {
			if err := read(); err != nil {
				once.Do(func() { failed = err; cancel(err) })
			}
		})
	}
	do(func() (err error) { found.Nodes, err = c.nodes(ctx); return })
	do(func() (err error) { found.Images, err = c.images(ctx); return })
	do(func() (err error) { found.Claims, err = c.claims(ctx); return })
	do(func() (err error) { found.Volumes, err = c.volumes(ctx); return })
	do(func() (err error) { found.Applications, err = c.applications(ctx, served); return })
	do(func() (err error) { found.HelmCharts, err = c.helmCharts(ctx, served); return })
	do(func() (err error) { found.Longhorn.Volumes, err = c.longhornVolumes(ctx, served); return })
	do(func() (err error) { found.Longhorn.Jobs, err = c.jobs(ctx, served); return })
	do(func() (err error) { found.Longhorn.Targets, err = c.targets(ctx, served); return })
	if wanted.Releases {
		do(func() (err error) { found.Releases, err = c.releases(ctx); return })
	}
	if wanted.Services {
		do(func() (err error) { found.Services, err = c.services(ctx); return })
	}
	all.Wait()
	if failed == nil && len(found.Nodes) == 0 {
		failed = errors.New("the API server knows no node, so there is nothing to compare")
	}
	if failed != nil {
		return found, fmt.Errorf("reading the cluster: %w", failed)
	}
	return found, nil
}

type metadata struct {
	Name, Namespace string
	Labels          map[string]string
	OwnerReferences []struct{ Kind, Name string }
}

func (c *Client) groups(ctx context.Context) ([]parity.FoundGroup, error) {
	var answer struct {
		Kind   string
		Groups []struct {
			Name             string
			Versions         []struct{ Version string }
			PreferredVersion struct{ Version string }
		}
	}
	if err := c.get(ctx, "/apis", nil, &answer); err != nil {
		return nil, err
	}
	if answer.Kind != "APIGroupList" || len(answer.Groups) == 0 {
		return nil, fmt.Errorf("GET /apis: the answer is %q and names no groups", answer.Kind)
	}
	var groups []parity.FoundGroup
	for _, group := range answer.Groups {
		one := parity.FoundGroup{Name: group.Name, Preferred: group.PreferredVersion.Version}
		for _, version := range group.Versions {
			one.Versions = append(one.Versions, version.Version)
		}
		groups = append(groups, one)
	}
	return groups, nil
}

// custom lists objects of a group that not every cluster serves; nil if it is not served.
func custom[T any](ctx context.Context, c *Client, served []parity.FoundGroup, group, resource string) ([]T, error) {
	at := slices.IndexFunc(served, func(g parity.FoundGroup) bool { return g.Name == group })
	if at < 0 {
		return nil, nil
	}
	// The preferred version of a group need not have every resource of it.
	for _, version := range append([]string{served[at].Preferred}, served[at].Versions...) {
		all, err := list[T](ctx, c, "/apis/"+group+"/"+version+"/"+resource, nil)
		if !status(err, http.StatusNotFound) {
			return all, err
		}
	}
	return nil, nil
}

const roleLabel = "node-role.kubernetes.io/"

func (c *Client) nodes(ctx context.Context) ([]parity.FoundNode, error) {
	type node struct {
		Metadata metadata
		Status   struct {
			NodeInfo   struct{ Architecture, KubeletVersion string }
			Conditions []struct{ Type, Status, Message string }
		}
	}
	read, err := list[node](ctx, c, "/api/v1/nodes", nil)
	var nodes []parity.FoundNode
	for _, n := range read {
		one := parity.FoundNode{
			Name: n.Metadata.Name, Roles: rolesOf(n.Metadata.Labels), Why: "no status",
			Architecture: n.Status.NodeInfo.Architecture, Version: n.Status.NodeInfo.KubeletVersion,
		}
		for _, condition := range n.Status.Conditions {
			if condition.Type == "Ready" {
				one.Ready, one.Why = condition.Status == "True", condition.Message
			}
		}
		nodes = append(nodes, one)
	}
	return nodes, err
}

// rolesOf returns the roles of a node by its labels: a control plane is a server, any other node an agent.
func rolesOf(labels map[string]string) []string {
	first, roles := "agent", []string{}
	for label := range labels {
		switch role, ok := strings.CutPrefix(label, roleLabel); {
		case !ok || role == "":
		case role == "control-plane" || role == "master":
			first = "server"
		default:
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	return append([]string{first}, roles...)
}

type container struct {
	Name, Image   string
	RestartPolicy string
	Ports         []struct{ ContainerPort int }
}

func (c container) ports() []int {
	var ports []int
	for _, one := range c.Ports {
		ports = append(ports, one.ContainerPort)
	}
	return ports
}

type podSpec struct{ Containers, InitContainers []container }

// lasting returns the containers that run as long as their pod: init containers only if they are sidecars.
func (s podSpec) lasting() []container {
	all := slices.Clone(s.Containers)
	for _, c := range s.InitContainers {
		if c.RestartPolicy == "Always" {
			all = append(all, c)
		}
	}
	return all
}

func (c *Client) images(ctx context.Context) ([]parity.FoundImage, error) {
	type pod struct {
		Metadata metadata
		Spec     podSpec
		Status   struct{ Phase string }
	}
	var images []parity.FoundImage
	pods, err := list[pod](ctx, c, "/api/v1/pods", nil)
	if err != nil {
		return nil, err
	}
	for _, p := range pods {
		if p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" {
			continue
		}
		ends := slices.ContainsFunc(p.Metadata.OwnerReferences, func(o struct{ Kind, Name string }) bool { return o.Kind == "Job" })
		for _, one := range p.Spec.lasting() {
			images = append(images, parity.FoundImage{
				Namespace: p.Metadata.Namespace, Workload: "Pod " + p.Metadata.Name, Container: one.Name, Reference: one.Image, Ports: one.ports(), Ends: ends, Labels: p.Metadata.Labels,
			})
		}
	}
	type workload struct {
		Metadata metadata
		Spec     struct {
			Template struct {
				Metadata metadata
				Spec     podSpec
			}
		}
	}
	for _, kind := range []struct{ resource, kind string }{{"deployments", "Deployment"}, {"statefulsets", "StatefulSet"}, {"daemonsets", "DaemonSet"}} {
		workloads, err := list[workload](ctx, c, "/apis/apps/v1/"+kind.resource, nil)
		if err != nil {
			return nil, err
		}
		for _, w := range workloads {
			for _, one := range w.Spec.Template.Spec.lasting() {
				images = append(images, parity.FoundImage{
					Namespace: w.Metadata.Namespace, Workload: kind.kind + " " + w.Metadata.Name, Container: one.Name, Reference: one.Image, Ports: one.ports(),
					Labels: w.Spec.Template.Metadata.Labels,
				})
			}
		}
	}
	return images, nil
}

// services lists Services with a selector; others have no pods, such as those for
// a service outside the cluster.
func (c *Client) services(ctx context.Context) ([]parity.FoundService, error) {
	type service struct {
		Metadata metadata
		Spec     struct {
			Type     string
			Selector map[string]string
			Ports    []struct {
				Port       int
				TargetPort any // a number, or the name of a container's port
			}
		}
	}
	read, err := list[service](ctx, c, "/api/v1/services", nil)
	var services []parity.FoundService
	for _, one := range read {
		if len(one.Spec.Selector) == 0 || one.Spec.Type == "ExternalName" {
			continue
		}
		found := parity.FoundService{Namespace: one.Metadata.Namespace, Name: one.Metadata.Name, Selector: one.Spec.Selector}
		for _, port := range one.Spec.Ports {
			found.Ports = append(found.Ports, port.Port)
			if target, ok := port.TargetPort.(float64); ok && int(target) != port.Port {
				found.Ports = append(found.Ports, int(target))
			}
		}
		services = append(services, found)
	}
	return services, err
}

// storageClassAnnotation is the annotation of older claims, from before the field storageClassName.
const storageClassAnnotation = "volume.beta.kubernetes.io/storage-class"

func (c *Client) claims(ctx context.Context) ([]parity.FoundClaim, error) {
	type claim struct {
		Metadata struct {
			Name, Namespace string
			Annotations     map[string]string
		}
		Spec struct{ StorageClassName, VolumeName string }
	}
	read, err := list[claim](ctx, c, "/api/v1/persistentvolumeclaims", nil)
	var claims []parity.FoundClaim
	for _, one := range read {
		claims = append(claims, parity.FoundClaim{
			Namespace: one.Metadata.Namespace, Name: one.Metadata.Name, Volume: one.Spec.VolumeName,
			StorageClass: cmp.Or(one.Spec.StorageClassName, one.Metadata.Annotations[storageClassAnnotation]),
		})
	}
	return claims, err
}

func (c *Client) volumes(ctx context.Context) ([]parity.FoundVolume, error) {
	type volume struct {
		Metadata metadata
		Spec     struct {
			CSI struct{ Driver, VolumeHandle string }
		}
	}
	read, err := list[volume](ctx, c, "/api/v1/persistentvolumes", nil)
	var volumes []parity.FoundVolume
	for _, one := range read {
		volumes = append(volumes, parity.FoundVolume{Name: one.Metadata.Name, Driver: one.Spec.CSI.Driver, Handle: one.Spec.CSI.VolumeHandle})
	}
	return volumes, err
}

func (c *Client) applications(ctx context.Context, served []parity.FoundGroup) ([]parity.FoundApplication, error) {
	type source struct{ RepoURL, Path, Chart, TargetRevision string }
	type application struct {
		Metadata metadata
		Spec     struct {
			Source  *source
			Sources []source
		}
	}
	read, err := custom[application](ctx, c, served, "argoproj.io", "applications")
	var apps []parity.FoundApplication
	for _, one := range read {
		sources := one.Spec.Sources // if both are set, ArgoCD uses these
		if len(sources) == 0 && one.Spec.Source != nil {
			sources = []source{*one.Spec.Source}
		}
		app := parity.FoundApplication{Namespace: one.Metadata.Namespace, Name: one.Metadata.Name}
		for _, s := range sources {
			app.Sources = append(app.Sources, parity.Source{Repository: s.RepoURL, Path: s.Path, Chart: s.Chart, Revision: s.TargetRevision})
		}
		apps = append(apps, app)
	}
	return apps, err
}

func (c *Client) helmCharts(ctx context.Context, served []parity.FoundGroup) ([]parity.FoundHelmChart, error) {
	type chart struct {
		Metadata metadata
		Spec     struct{ Chart, Version, TargetNamespace string }
	}
	read, err := custom[chart](ctx, c, served, "helm.cattle.io", "helmcharts")
	var charts []parity.FoundHelmChart
	for _, one := range read {
		charts = append(charts, parity.FoundHelmChart{
			Namespace: one.Metadata.Namespace, Name: one.Metadata.Name,
			TargetNamespace: one.Spec.TargetNamespace, Chart: one.Spec.Chart, Version: one.Spec.Version,
		})
	}
	return charts, err
}

func (c *Client) longhornVolumes(ctx context.Context, served []parity.FoundGroup) ([]parity.FoundLonghornVolume, error) {
	type volume struct {
		Metadata metadata
		Spec     struct{ BackupTargetName string }
	}
	read, err := custom[volume](ctx, c, served, "longhorn.io", "volumes")
	var volumes []parity.FoundLonghornVolume
	for _, one := range read {
		volumes = append(volumes, parity.FoundLonghornVolume{
			Namespace: one.Metadata.Namespace, Name: one.Metadata.Name, Labels: one.Metadata.Labels, Target: one.Spec.BackupTargetName,
		})
	}
	return volumes, err
}

func (c *Client) jobs(ctx context.Context, served []parity.FoundGroup) ([]parity.FoundJob, error) {
	type job struct {
		Metadata metadata
		Spec     struct {
			Task, Cron string
			Groups     []string
		}
	}
	read, err := custom[job](ctx, c, served, "longhorn.io", "recurringjobs")
	var jobs []parity.FoundJob
	for _, one := range read {
		jobs = append(jobs, parity.FoundJob{
			Namespace: one.Metadata.Namespace, Name: one.Metadata.Name, Task: one.Spec.Task, Cron: one.Spec.Cron, Groups: one.Spec.Groups,
		})
	}
	return jobs, err
}

func (c *Client) targets(ctx context.Context, served []parity.FoundGroup) ([]parity.FoundTarget, error) {
	type target struct {
		Metadata metadata
		Spec     struct{ BackupTargetURL string }
		Status   struct{ Available *bool }
	}
	read, err := custom[target](ctx, c, served, "longhorn.io", "backuptargets")
	var targets []parity.FoundTarget
	for _, one := range read {
		available := one.Status.Available
		targets = append(targets, parity.FoundTarget{
			Namespace: one.Metadata.Namespace, Name: one.Metadata.Name, URL: one.Spec.BackupTargetURL, Unavailable: available != nil && !*available,
		})
	}
	return targets, err
}

// releases reads the newest deployed revision of every release, without its
// values.
func (c *Client) releases(ctx context.Context) ([]parity.FoundRelease, error) {
	type secret struct {
		Metadata metadata
		Data     struct{ Release []byte }
	}
	read, err := list[secret](ctx, c, "/api/v1/secrets", url.Values{
		"fieldSelector": {"type=helm.sh/release.v1"}, "labelSelector": {"owner=helm,status=deployed"},
	})
	if err != nil {
		return nil, err
	}
	newest := map[string]parity.FoundRelease{}
	for _, one := range read {
		revision, err := strconv.Atoi(one.Metadata.Labels["version"])
		if err != nil {
			return nil, fmt.Errorf("the secret %s/%s of Helm has no revision in its label version", one.Metadata.Namespace, one.Metadata.Name)
		}
		release := parity.FoundRelease{Namespace: one.Metadata.Namespace, Name: one.Metadata.Labels["name"], Revision: revision}
		key := release.Namespace + "/" + release.Name
		if before, ok := newest[key]; ok && before.Revision > revision {
			continue
		}
		if err := decode(one.Data.Release, &release); err != nil {
			return nil, fmt.Errorf("the secret %s/%s of Helm: %w", one.Metadata.Namespace, one.Metadata.Name, err)
		}
		newest[key] = release
	}
	var releases []parity.FoundRelease
	for _, release := range newest {
		releases = append(releases, release)
	}
	slices.SortFunc(releases, func(a, b parity.FoundRelease) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return releases, nil
}

// decode reads a chart's versions from a release: base64 of JSON, usually compressed with gzip.
func decode(data []byte, into *parity.FoundRelease) error {
	plain, err := base64.StdEncoding.DecodeString(string(data))
	if err != nil {
		return errors.New("its release is not base64")
	}
	if bytes.HasPrefix(plain, []byte{0x1f, 0x8b, 0x08}) {
		reader, err := gzip.NewReader(bytes.NewReader(plain))
		if err != nil {
			return errors.New("its release cannot be unpacked")
		}
		if plain, err = io.ReadAll(io.LimitReader(reader, largest)); err != nil {
			return errors.New("its release cannot be unpacked")
		}
	}
	var release struct {
		Chart struct {
			Metadata struct{ Name, Version, AppVersion string }
		}
	}
	if err := json.Unmarshal(plain, &release); err != nil || release.Chart.Metadata.Version == "" {
		return errors.New("its release names no chart") // the parser's error may quote values
	}
	into.Chart, into.ChartVersion, into.AppVersion = release.Chart.Metadata.Name, release.Chart.Metadata.Version, release.Chart.Metadata.AppVersion
	return nil
}
