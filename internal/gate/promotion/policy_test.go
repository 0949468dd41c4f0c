// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheShippedPolicyIsValidAndRequiresK3s(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../../promotion/policy.yml")
	require.NoError(t, err)
	p, err := parsePolicy("policy.yml", data)
	require.NoError(t, err)
	assert.True(t, p.Signed)
	for _, class := range []string{"ansible", "vault", "postgresql", "argocd", "dns", "longhorn", "recovery", "pki"} {
		assert.Contains(t, p.Classes, class, "the reference lab has this class of change")
	}
	of := func(repository, path string) string {
		var classes []string
		for _, m := range p.Repositories[repository].Classes {
			if m.holds(path) {
				classes = append(classes, m.Class)
			}
		}
		return strings.Join(classes, " ")
	}
	for path, class := range map[string]string{
		"roles/longhorn/tasks/main.yml": "longhorn", "roles/k3s/tasks/main.yml": "ansible longhorn", "site.yml": "ansible", "roles/vault/x": "vault",
		"roles/postgres/x": "postgresql", "roles/step_ca/x": "pki", "roles/pihole/x": "dns", "playbooks/recover/longhorn.yml": "recovery",
		"CLUSTER_RECOVERY.md": "recovery", "README.md": "pages", "promotion.yml": "promotion", "bin/x": "", ".gitea/workflows/promotion.yml": "promotion",
	} {
		assert.Equal(t, class, of("factory", path), path)
	}
	for path, class := range map[string]string{
		"longhorn/values.yaml": "longhorn", "erp/templates/app.yaml": "argocd", "iac/dns.tf": "dns", "erp/iac/main.tf": "infrastructure", "x": "",
	} {
		assert.Equal(t, class, of("tools", path), path)
	}
	for name, class := range p.Classes {
		for _, need := range class.Gates {
			switch {
			case need.Name == "idempotence_gate":
				assert.Equal(t, gateRequirement{Name: need.Name, Report: map[string]string{"subject": "playbooks/site.yml"}, In: "factory"}, need, name)
			case name == "infrastructure":
				assert.Equal(t, "tools", need.In)
			}
		}
	}
	assert.Equal(t, []string{"factory"}, p.Repositories["tools"].Related)
	for _, class := range []string{"longhorn", "recovery"} {
		assert.Equal(t, words{List: []string{"k3s"}}, p.Classes[class].Fidelity.Distributions, class)
	}
}

func TestAPolicyIsReadWithItsDefaults(t *testing.T) {
	t.Parallel()
	p, err := parsePolicy("p.yml", []byte(policyText))
	require.NoError(t, err)
	assert.False(t, p.Signed)
	assert.Equal(t, fidelity{
		Modes: words{List: []string{"vm"}}, Drivers: words{Any: true}, Distributions: words{Any: true}, Deviations: words{List: []string{"kubernetes.distribution*"}},
	}, p.Classes["ansible"].Fidelity, "unlisted waivers and deviations are refused")
	assert.Equal(t, 72*time.Hour, p.Classes["ansible"].MaxAge)
	assert.Len(t, p.SHA256, 64)
}

func TestAPolicyThatIsNotUnderstoodIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	const class = "classes:\n  a:\n    gates: [idempotence_gate]\n    max_age: 1h\n    fidelity: {modes: any, distributions: any}\n"
	const repository = "repositories:\n  r:\n    classes:\n      - class: a\n        paths: [x]\n"
	with := func(class string) string { return repository + "classes:\n  a:\n" + class }
	const good = "    max_age: 1h\n    fidelity: {modes: any, distributions: any}\n"
	for name, c := range map[string]struct{ text, says string }{
		"exempt":                         {"", ":1:1: it is empty"},
		"no mapping":                     {"[]", ":1:1: not a mapping"},
		"no YAML":                        {"a: b: c", ":1:1: mapping values"},
		"a tab":                          {"repositories:\n\tr: 1\n", ":2:1: found character that cannot start any token"},
		"two documents":                  {repository + class + "---\nb: 1\n", "a second YAML document"},
		"an unknown key":                 {repository + class + "extra: 1\n", `:11:1: unknown key "extra"; use classes, repositories, signed`},
		"a repeated key":                 {repository + class + "signed: true\nsigned: true\n", `:12:1: the key "signed" is listed twice`},
		"signed by a word":               {repository + class + "signed: 'yes'\n", ":11:9: not true or false"},
		"no classes":                     {repository, "repositories or classes are missing"},
		"no repositories":                {class, "repositories or classes are missing"},
		"an undescribed class":           {strings.Replace(repository, "class: a", "class: b", 1) + class, `:4:16: the class "b" is not listed under classes`},
		"a class twice":                  {repository + "      - class: a\n        paths: [y]\n" + class, `:6:16: the class "a" is listed twice`},
		"a repository of no classes":     {"repositories:\n  r: {classes: []}\n" + class, "classes is missing"},
		"a class of no paths":            {"repositories:\n  r:\n    classes:\n      - class: a\n" + class, `:4:16: the class "a" has no paths`},
		"paths of no class":              {"repositories:\n  r:\n    classes:\n      - paths: [x]\n" + class, "class is missing"},
		"a pattern that is none":         {strings.Replace(repository, "[x]", `["!x"]`, 1) + class, ":5:17: the pattern"},
		"a pattern that is a number":     {strings.Replace(repository, "[x]", "[1]", 1) + class, ":5:17: not text"},
		"a name with a slash":            {strings.Replace(repository, "  r:", "  r/s:", 1) + class, "not a name"},
		"an alias":                       {strings.Replace(repository, "[x]", "&p [x]", 1) + "      - class: b\n        paths: *p\n" + class, "not a list"},
		"a merge key":                    {with("    <<: {max_age: 1h}\n"), "unknown key \"<<\""},
		"a gate that is not known":       {with("    gates: [smoke_gate]\n" + good), `:8:13: unknown gate "smoke_gate"`},
		"the promotion gate itself":      {with("    gates: [promotion_gate]\n" + good), "unknown gate"},
		"a gate twice":                   {with("    gates: [idempotence_gate, idempotence_gate]\n" + good), "is listed twice"},
		"a drill that is none":           {with("    drills: [idempotence_gate]\n" + good), "not the name of a drill"},
		"a need with a wrong key":        {with("    gates: [{gates: idempotence_gate}]\n" + good), `unknown key "gates"; use gate, in, report`},
		"a playbook that is no path":     {with("    gates: [{gate: idempotence_gate, report: {subject: /tmp/site.yml}}]\n" + good), `:8:56: "/tmp/site.yml": not a path in a repository`},
		"a playbook outside":             {with("    gates: [{gate: idempotence_gate, report: {subject: ../site.yml}}]\n" + good), "not a path in a repository"},
		"a root with a slash at its end": {with("    gates: [{gate: tofu_plan_gate, report: {subject: iac/}}]\n" + good), "not a path in a repository"},
		"a repository that not a name":   {with("    gates: [{gate: tofu_plan_gate, in: ../x}]\n" + good), "not a name"},
		"a need without a name":          {with("    gates: [{report: {subject: x}}]\n" + good), "unknown gate \"\""},
		"an age that is none":            {with("    gates: [idempotence_gate]\n    max_age: 3 days\n"), ":9:14: max_age"},
		"an age below zero":              {with("    gates: [idempotence_gate]\n    max_age: -1h\n"), ":9:14: max_age"},
		"no age":                         {with("    gates: [idempotence_gate]\n    fidelity: {modes: any, distributions: any}\n"), "max_age is missing"},
		"no fidelity":                    {with("    gates: [idempotence_gate]\n    max_age: 1h\n"), "fidelity is missing"},
		"half a fidelity":                {with("    gates: [idempotence_gate]\n    max_age: 1h\n    fidelity: {modes: any}\n"), "are both required"},
		"a class that asks for nothing":  {with(good), "gates and drills are missing"},
		"nothing, and something":         {with("    exempt: pages\n    gates: [idempotence_gate]\n"), "exempt cannot be combined"},
		"too much":                       {strings.Repeat("#", policyLimit+1), "at most 1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parsePolicy("p.yml", []byte(c.text))
			require.ErrorContains(t, err, c.says)
			assert.Regexp(t, `^promotion policy: p\.yml:\d+:\d+: [^\n]+$`, err.Error())
		})
	}
}

func FuzzAPolicyIsReadOrRefusedWithItsPlace(f *testing.F) {
	f.Add([]byte(policyText))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("? {a: b}\n: c"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := parsePolicy("p.yml", text); err != nil {
			assert.Regexp(t, `^promotion policy: p\.yml:\d+:\d+: `, err.Error())
		}
	})
}
