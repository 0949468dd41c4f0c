// SPDX-License-Identifier: GPL-3.0-or-later

//go:build sandbox

package parity

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/modules/parity_assert"
	"github.com/arcodange-org/sandbox/tests/sandboxtest"
)

const (
	// How long what was changed may take to be what the API server says.
	soon = 30 * time.Second
	// child makes the test binary the kit of the module.
	child = "PARITY_TEST_CHILD"
)

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		os.Exit(ansible.Main(os.Args, parityassert.Module()))
	}
	os.Exit(m.Run())
}

type object = map[string]any

// lab is the sandbox under test.
type lab struct {
	t *testing.T
	sandboxtest.Sandbox
	client     *http.Client
	server     string
	manifest   string // text
	postgresql string // host of PostgreSQL
}

func bringUp(t *testing.T) *lab {
	l := &lab{t: t, Sandbox: sandboxtest.Up(t), postgresql: "pi2"}
	config, err := clientcmd.BuildConfigFromFlags("", l.Kubeconfig())
	require.NoError(t, err)
	l.server = config.Host
	l.client, err = rest.HTTPClientFor(config)
	require.NoError(t, err)
	l.client.Timeout = 20 * time.Second
	l.manifest = manifest(t)
	l.furnish()
	return l
}

// manifest is what the sandbox is held to.
func manifest(t *testing.T) string {
	text, err := os.ReadFile("testdata/manifest.yml")
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "ARCH", runtime.GOARCH)
}

// do asks the API server and fills the answer's JSON into into, if that is given.
func (l *lab) do(method, path, kind string, body, into any) error {
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(l.t.Context(), method, l.server+path, reader)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", kind)
	response, err := l.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return failure{response.StatusCode, fmt.Sprintf("%s %s: %s: %s", method, path, response.Status, data)}
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(data, into)
}

type failure struct {
	status int
	text   string
}

func (f failure) Error() string { return f.text }

// plurals are the resources of the kinds that the tests use; those outside of namespaces begin with a slash.
func resource(version, kind string) string {
	return map[string]string{
		"v1 Namespace": "/namespaces", "v1 Node": "/nodes", "v1 PersistentVolume": "/persistentvolumes",
		"v1 PersistentVolumeClaim": "persistentvolumeclaims", "v1 Secret": "secrets", "v1 Pod": "pods", "v1 Service": "services",
		"apps/v1 Deployment": "deployments", "apps/v1 StatefulSet": "statefulsets", "apps/v1 DaemonSet": "daemonsets",
		"batch/v1 Job": "jobs", "argoproj.io/v1alpha1 Application": "applications", "longhorn.io/v1beta2 Volume": "volumes",
		"longhorn.io/v1beta2 RecurringJob": "recurringjobs", "longhorn.io/v1beta2 BackupTarget": "backuptargets",
		"helm.cattle.io/v1 HelmChart": "helmcharts", "apiextensions.k8s.io/v1 CustomResourceDefinition": "/customresourcedefinitions",
	}[version+" "+kind]
}

// at is the path of an object, by its kind and namespace/name.
func at(version, kind, name string) string {
	prefix := "/apis/" + version
	if version == "v1" {
		prefix = "/api/v1"
	}
	plural := resource(version, kind)
	if strings.HasPrefix(plural, "/") {
		return prefix + plural + "/" + name
	}
	namespace, name, _ := strings.Cut(name, "/")
	return prefix + "/namespaces/" + namespace + "/" + plural + "/" + name
}

func pathOf(o object) string {
	meta := o["metadata"].(object)
	name := meta["name"].(string)
	if namespace, ok := meta["namespace"].(string); ok {
		name = namespace + "/" + name
	}
	return at(o["apiVersion"].(string), o["kind"].(string), name)
}

func documents(t *testing.T, file string) []object {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var all []object
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var one object
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		if one != nil {
			all = append(all, one)
		}
	}
}

// apply makes an object be as it is given.
func (l *lab) apply(t require.TestingT, o object) {
	require.NoError(t, l.do(http.MethodPatch, pathOf(o)+"?fieldManager=parity-test&force=true", "application/apply-patch+yaml", o, nil))
}

// furnish puts there what production would have.
func (l *lab) furnish() {
	for _, crd := range documents(l.t, "testdata/crds.yml") {
		l.apply(l.t, crd)
	}
	for _, o := range documents(l.t, "testdata/objects.yml") {
		require.EventuallyWithT(l.t, func(t *assert.CollectT) { l.apply(t, o) }, soon, 200*time.Millisecond)
	}
	l.apply(l.t, release(l.t, "longhorn-system", "longhorn", 1, "superseded", "1.9.2", "v1.9.2"))
	l.apply(l.t, release(l.t, "longhorn-system", "longhorn", 2, "deployed", "1.10.1", "v1.10.1"))
}

const secretValue = "correct-horse-battery"

// release is a revision of a release as Helm keeps it.
func release(t require.TestingT, namespace, name string, revision int, status, chart, app string) object {
	data, err := json.Marshal(object{
		"name": name, "namespace": namespace, "version": revision, "info": object{"status": status},
		"chart":  object{"metadata": object{"name": name, "version": chart, "appVersion": app, "apiVersion": "v2"}, "values": object{"password": secretValue}},
		"config": object{"adminPassword": secretValue},
	})
	require.NoError(t, err)
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, err = writer.Write(data)
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	inner := base64.StdEncoding.EncodeToString(packed.Bytes())
	return object{
		"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
		"metadata": object{
			"name": fmt.Sprintf("sh.helm.release.v1.%s.v%d", name, revision), "namespace": namespace,
			"labels": object{"owner": "helm", "name": name, "version": fmt.Sprint(revision), "status": status},
		},
		"data": object{"release": base64.StdEncoding.EncodeToString([]byte(inner))},
	}
}

// get reads an object, without what the server alone may write.
func (l *lab) get(t require.TestingT, path string) object {
	var o object
	require.NoError(t, l.do(http.MethodGet, path, "", nil, &o))
	meta := o["metadata"].(object)
	for _, key := range []string{"resourceVersion", "uid", "creationTimestamp", "generation", "managedFields", "selfLink"} {
		delete(meta, key)
	}
	return o
}

// change merges a patch into an object until the test ends.
func (l *lab) change(t *testing.T, path string, patch object) {
	before := l.get(t, path)
	require.NoError(t, l.do(http.MethodPatch, path, "application/merge-patch+json", patch, nil))
	t.Cleanup(func() {
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			var now struct {
				Metadata struct{ ResourceVersion string }
			}
			require.NoError(t, l.do(http.MethodGet, path, "", nil, &now))
			before["metadata"].(object)["resourceVersion"] = now.Metadata.ResourceVersion
			require.NoError(t, l.do(http.MethodPut, path, "application/json", before, nil))
		}, soon, 100*time.Millisecond)
	})
}

// create makes an object that is gone when the test ends.
func (l *lab) create(t *testing.T, o object) {
	require.NoError(t, l.do(http.MethodPost, pathOf(o)[:strings.LastIndex(pathOf(o), "/")], "application/json", o, nil))
	t.Cleanup(func() { l.forget(t, pathOf(o)) })
}

func (l *lab) forget(t *testing.T, path string) {
	err := l.do(http.MethodDelete, path+"?gracePeriodSeconds=0&propagationPolicy=Background", "", nil, nil)
	var f failure
	if !errors.As(err, &f) || f.status != http.StatusNotFound {
		require.NoError(t, err)
	}
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		var f failure
		err := l.do(http.MethodGet, path, "", nil, nil)
		assert.True(t, errors.As(err, &f) && f.status == http.StatusNotFound, "%s is gone", path)
	}, soon, 100*time.Millisecond)
}

// remove takes an object away until the test ends.
func (l *lab) remove(t *testing.T, path string) {
	before := l.get(t, path)
	l.forget(t, path)
	t.Cleanup(func() {
		require.NoError(t, l.do(http.MethodPost, path[:strings.LastIndex(path, "/")], "application/json", before, nil))
	})
}

// hosts is what the playbook would gather of the host of PostgreSQL.
func (l *lab) hosts(t require.TestingT) object {
	var containers []struct {
		Name   string
		Config struct {
			Image  string
			Labels map[string]string
			Env    []string
		}
		State struct {
			Status string
			Health struct{ Status string }
		}
	}
	ids := strings.Fields(l.On(t, l.postgresql, "docker", "ps", "--all", "--quiet", "--no-trunc"))
	read := []object{}
	if len(ids) > 0 {
		require.NoError(t, json.Unmarshal([]byte(l.On(t, l.postgresql, append([]string{"docker", "inspect"}, ids...)...)), &containers))
	}
	for _, c := range containers {
		environment := []string{}
		for _, line := range c.Config.Env {
			if name, _, _ := strings.Cut(line, "="); strings.HasSuffix(name, "_VERSION") || strings.HasSuffix(name, "_MAJOR") {
				environment = append(environment, line)
			}
		}
		read = append(read, object{
			"name": c.Name, "project": c.Config.Labels["com.docker.compose.project"], "service": c.Config.Labels["com.docker.compose.service"],
			"image": c.Config.Image, "environment": environment, "status": c.State.Status, "health": c.State.Health.Status,
		})
	}
	return object{l.postgresql: object{"groups": []string{"postgres", "gitea", "raspberries"}, "containers": read}}
}

// result is what the module said.
type result struct {
	Failed     bool
	Msg        string
	Verdict    string
	Warnings   []string
	Deviations []string
	Findings   []struct{ Path, Expected, Found, Where string }
	Waived     []gate.Waived
	Diff       struct{ Before, After map[string]string }
	Seconds    float64
	raw        string
}

func (r result) paths() []string {
	paths := []string{}
	for _, d := range r.Findings {
		paths = append(paths, d.Path)
	}
	slices.Sort(paths)
	return paths
}

func (r result) texts() string {
	var all []string
	for _, d := range r.Findings {
		all = append(all, fmt.Sprintf("%s: expected %s, found %s (%s)", d.Path, d.Expected, d.Found, d.Where))
	}
	return strings.Join(all, "\n")
}

// judgement is what the module is asked.
type judgement struct {
	manifest   string // text; the lab's if empty
	waivers    string // text; none if empty
	kubeconfig string // the lab's if empty
	hosts      object // read from the host if nil
}

// judge runs the module as Ansible does: a binary, a file of arguments, one object.
func (l *lab) judge(t require.TestingT, j judgement) result {
	dir, err := os.MkdirTemp("", "parity")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	if j.manifest == "" {
		j.manifest = l.manifest
	}
	if j.kubeconfig == "" {
		j.kubeconfig = l.Kubeconfig()
	}
	if j.hosts == nil {
		j.hosts = l.hosts(t)
	}
	arguments := object{
		"_kit_call": "parity_assert", "_ansible_diff": true, "manifest": write("manifest.yml", j.manifest), "kubeconfig": j.kubeconfig,
		"boundary": filepath.Join(l.Root, "inventory/sandbox/boundary.yml"), "hosts": j.hosts, "report": filepath.Join(dir, "report.json"),
	}
	if j.waivers != "" {
		arguments["waiver_file"] = write("waivers.yml", j.waivers)
	}
	data, err := json.Marshal(arguments)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	command := exec.Command(self, write("arguments.json", string(data)))
	command.Env = append(os.Environ(), child+"=1")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, _ := command.Output() // the object says whether it failed
	var r result
	require.NoError(t, json.Unmarshal(out, &r), "%s%s", out, stderr.String())
	r.raw = string(out)
	return r
}

// green waits until nothing differs.
func (l *lab) green(t require.TestingT, j judgement) result {
	var r result
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		r = l.judge(t, j)
		assert.False(t, r.Failed, "%s\n%s", r.Msg, r.texts())
		assert.Equal(t, "green", r.Verdict)
		assert.Empty(t, r.Findings)
	}, 2*soon, 300*time.Millisecond)
	return r
}

// red waits until exactly the wanted paths drift.
func (l *lab) red(t require.TestingT, j judgement, wants ...string) result {
	slices.Sort(wants)
	var r result
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		r = l.judge(t, j)
		assert.Equal(t, wants, r.paths(), "%s\n%s", r.Msg, r.texts())
	}, soon, 200*time.Millisecond)
	assert.True(t, r.Failed, "any drift fails")
	assert.Equal(t, "red", r.Verdict)
	assert.NotContains(t, r.raw, secretValue, "nothing that a release was given is told")
	for _, path := range wants {
		assert.Contains(t, r.Diff.Before, path, "the difference shows it")
		assert.NotEqual(t, r.Diff.Before[path], r.Diff.After[path])
	}
	return r
}
