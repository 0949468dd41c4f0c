// SPDX-License-Identifier: GPL-3.0-or-later

package capture

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newScan() *scan {
	return &scan{
		facts: facts{selectors: map[string][]selected{}, longhorn: map[string]bool{}}, templates: map[string]bool{},
		layers: func(file, variables) variables { return variables{"version": "1.2.3", "loop": "{{ loop }}"} },
	}
}

// FuzzFile holds the readers of manifests to this: whatever a file holds, they
// end, and no version, name or repository that they find has a template left.
func FuzzFile(f *testing.F) {
	for _, text := range []string{
		"apiVersion: helm.cattle.io/v1\nkind: HelmChart\nmetadata: {name: a, namespace: b}\nspec: {version: 1.2.3, valuesContent: \"image: {repository: a, tag: b}\"}\n",
		"apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: a}\nspec: {source: {repoURL: https://a/b/c, path: d}}\n",
		"apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: a}\nspec: {generators: [{list: {elements: [{x: y}]}}], template: {metadata: {name: '{{x}}'}, spec: {source: {repoURL: a/b}}}}\n",
		"apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a}\nspec: {replicas: 2, volumeClaimTemplates: [{metadata: {name: d}}]}\n",
		"apiVersion: longhorn.io/v1beta2\nkind: RecurringJob\nmetadata: {name: a}\nspec: {task: backup, groups: [default]}\n",
		"- copy:\n    content: |\n      apiVersion: v1\n      kind: PersistentVolumeClaim\n      metadata: {name: {{ version }}}\n",
		"a: &a {b: *a}\n", "a: &a [1]\nb: {<<: *a}\n", "{{ loop }}: {% x %}\n", "--- |\n x\n--- \n...\n",
	} {
		f.Add("a.yaml", []byte(text))
		f.Add("a.yaml.j2", []byte(text))
		f.Add("chart/templates/a.yaml", []byte(text))
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		s := newScan()
		s.file(&file{Repository: "r", Path: name, Data: data}, []string{"chart"})
		s.values(&file{Repository: "r", Path: name, Data: data}, &chart{Dependencies: map[string]said{}})
		for _, a := range s.applications {
			assert.False(t, unfilled(a.Name) || len(a.Sources) == 0)
			for _, src := range a.Sources {
				assert.False(t, unfilled(src.Repository+src.Path+src.Chart+src.Revision))
			}
		}
		for _, r := range s.releases {
			assert.False(t, unfilled(r.Namespace+r.Name+r.Version.Value))
		}
		for _, i := range s.images {
			assert.False(t, unfilled(i.Repository+i.Tag.Value))
		}
		for _, c := range s.claims {
			assert.False(t, unfilled(c.Namespace+c.Name+c.Class))
		}
		for _, p := range s.problems {
			assert.NotEmpty(t, p.Message)
		}
		s.backups([]string{"longhorn"})
	})
}

// FuzzChart holds the readers of Chart.yaml, Chart.lock and a declared list to ending.
func FuzzChart(f *testing.F) {
	f.Add([]byte("name: a\nversion: 1.0.0\ndependencies: [{name: b, version: ^1, alias: c}]\n"), []byte("dependencies: [{name: b, version: 1.2.3}]\n"))
	f.Fuzz(func(t *testing.T, data, lock []byte) {
		s := newScan()
		tree := &tree{Files: []file{{Repository: "r", Path: "c/Chart.lock", Data: lock}}}
		c := s.chart(tree, &file{Repository: "r", Path: "c/Chart.yaml", Data: data})
		for _, version := range c.Dependencies {
			assert.False(t, strings.ContainsAny(version.Value, "{") && exact.MatchString(version.Value))
		}
		_ = s.declared(AppOfApps{List: "dependencies", Name: "{key}", SourceRepository: "o/{key}"},
			&file{Data: data}, &file{Data: []byte("{{- range .Values.dependencies }}Application{{ end }}")})
		_, _ = composed(Outside{Service: "a"}, &file{Data: data}, variables{})
	})
}

// FuzzInventory holds the reader of what ansible-inventory prints to ending.
func FuzzInventory(f *testing.F) {
	f.Add([]byte(`{"_meta": {"hostvars": {"a": {"v": "{{ v }}", "w": "{{ v }}"}}}, "all": {"children": ["all", "g"]}, "g": {"hosts": ["a"]}}`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		h, err := listed(data)
		if err != nil {
			return
		}
		h.common()
		for name := range h.groups {
			h.agreed(name)
		}
	})
}

func TestAPlainVariableIsFilledAndNothingElse(t *testing.T) {
	t.Parallel()
	known := variables{"a": "1.2.3", "b": "v{{ a }}", "loop": "{{ loop }}", "odd": "x: y", "list": "[1]"}
	for text, want := range map[string]string{
		"{{ a }}": "1.2.3", "{{a}}": "1.2.3", "{{- b -}}": "v1.2.3", "x{# not this {{ a }} #}y": "xy",
		"{{ loop }}": string(hole), "{{ odd }}": string(hole), "{{ list }}": string(hole), "{{ nobody }}": string(hole), "{{ a | upper }}": string(hole), "{{ a.b }}": string(hole),
	} {
		got, err := jinja(text, known)
		require.NoError(t, err)
		assert.Equal(t, want, got, text)
	}
	_, err := jinja("{% if a %}x{% endif %}", known)
	require.ErrorContains(t, err, "statements")
}

func TestAJobCoversTheVolumesOfItsGroupsAndThoseThatNameIt(t *testing.T) {
	t.Parallel()
	f := facts{
		jobs:      []job{{Name: "nightly", Groups: []string{"default"}}, {Name: "alone"}, {Name: "fast", Groups: []string{"fast"}}},
		selectors: map[string][]selected{"chosen": {{Name: "alone"}}, "other": {{Name: "nobody", IsGroup: true}}},
	}
	label := func(labels ...string) map[string]string {
		out := map[string]string{}
		for _, name := range labels {
			out[name] = "enabled"
		}
		return out
	}
	for name, c := range map[string]struct {
		claim claim
		want  bool
	}{
		"no label, so the group default":          {claim{}, true},
		"a class that names a job":                {claim{Class: "chosen"}, true},
		"a class of a group that no job has":      {claim{Class: "other"}, false},
		"a label for a job without groups":        {claim{Labels: label(labelSource, labelJob+"alone")}, true},
		"a label for a group":                     {claim{Labels: label(labelSource, labelGroup+"fast")}, true},
		"a label for a group that no job has":     {claim{Labels: label(labelSource, labelGroup+"slow")}, false},
		"a label that does not count by itself":   {claim{Labels: label(labelGroup + "slow")}, true},
		"a label that is there and not enabled":   {claim{Labels: map[string]string{labelSource: "enabled", labelGroup + "slow": "disabled"}}, true},
		"labels that win over those of the class": {claim{Class: "chosen", Labels: label(labelSource, labelGroup+"slow")}, false},
	} {
		assert.Equal(t, c.want, f.covered(c.claim), name)
	}
	f.jobs[0].Groups = nil
	assert.False(t, f.covered(claim{}), "a job with an empty list of groups covers no claim")
}

func TestAnAddressIsFoundInATextAndAVersionIsNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"192.0.2.1", "192.0.2.1:5000/postgres", "x/192.0.2.1/y", "2001:db8::1", "[2001:db8::1]:443/x", "::1"} {
		assert.True(t, holdsAddress(text), text)
	}
	for _, text := range []string{"arcodange-org/erp", "charts.example.org/stable", "hashicorp/vault", "a.b", "v1.2.3", "1.2.3"} {
		assert.False(t, holdsAddress(text), text)
	}
}

func TestAProblemOfAFileDoesNotRepeatWhatItHolds(t *testing.T) {
	t.Parallel()
	s := newScan()
	for _, text := range []string{"password: [correct-horse\n", "correct-horse\n", "a: correct-horse: b\n", "\tcorrect-horse", "correct-horse: 1\ncorrect-horse: 2\n"} {
		s.file(&file{Repository: "r", Path: "a.yaml", Data: []byte(text)}, nil)
	}
	data, err := json.Marshal(s.problems)
	require.NoError(t, err)
	require.Len(t, s.problems, 5)
	assert.NotContains(t, string(data), "correct-horse")
}
