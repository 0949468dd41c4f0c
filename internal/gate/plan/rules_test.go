// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/gate"
)

const manifest = `
production:
  addresses: [192.0.2.1]
  dns_zones: [{name: example.com, id: prodzone}]
sandbox:
  addresses: [127.0.0.0/8]
  dns_zones: [{name: throwaway.example.net, id: throwzone}]
`

func engine(t testing.TB) boundary.Checker {
	t.Helper()
	m, err := boundary.Parse("boundary.yml", []byte(manifest))
	require.NoError(t, err)
	return boundary.Checker{Manifest: m}
}

// change is the JSON of one resource that changes.
func change(kind, address, actions, before, after string) string {
	return fmt.Sprintf(`{"address": %q, "mode": "managed", "type": %q, "name": "x", "change": {"actions": [%s], "before": %s, "after": %s, "after_unknown": {}, "before_sensitive": {}, "after_sensitive": {}}}`,
		address, kind, actions, before, after)
}

func created(kind, after string) string { return change(kind, kind+".x", `"create"`, "null", after) }

func plan(changes ...string) string {
	return `{"format_version": "1.2", "terraform_version": "1.9.8", "resource_changes": [` + strings.Join(changes, ",") + `], "complete": true, "applyable": true, "errored": false}`
}

const untouched = `{"address": "null_resource.x", "mode": "managed", "type": "null_resource", "change": {"actions": ["no-op"], "before": {"id": "1"}, "after": {"id": "1"}}}`

// with adds a part to a plan.
func with(plan, part string) string { return strings.TrimSuffix(plan, "}") + ", " + part + "}" }

func TestEachDefectOfAPlanIsRedForItsRuleAndNoOther(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plan string
		none bool // no changes are expected
		rule string
	}{
		"a record in production's zone, by id":         {plan(created("cloudflare_record", `{"zone_id": "prodzone", "name": "www"}`)), false, "dns_zone"},
		"a record in an unlisted zone":                 {plan(created("cloudflare_dns_record", `{"zone_id": "other", "name": "www"}`)), false, "dns_zone"},
		"production's name in the throwaway zone":      {plan(created("cloudflare_record", `{"zone_id": "throwzone", "name": "www.example.com"}`)), false, "dns_name"},
		"production's name in capitals and with a dot": {plan(created("google_dns_record_set", `{"managed_zone": "throwzone", "name": "WWW.Example.COM."}`)), false, "dns_name"},
		"a full name in an unlisted zone":              {plan(created("google_dns_record_set", `{"managed_zone": "throwzone", "name": "www.example.org."}`)), false, "dns_name"},
		"a record moves out of production's zone":      {plan(change("ovh_domain_zone_record", "ovh_domain_zone_record.x", `"update"`, `{"zone": "example.com", "subdomain": "a"}`, `{"zone": "throwaway.example.net", "subdomain": "a"}`)), false, "dns_zone"},
		"a record moves into production's zone":        {plan(change("ovh_domain_zone_record", "ovh_domain_zone_record.x", `"update"`, `{"zone": "throwaway.example.net", "subdomain": "a"}`, `{"zone": "example.com", "subdomain": "a"}`)), false, "dns_zone"},
		"a zone below production's":                    {plan(created("aws_route53_zone", `{"name": "dev.example.com"}`)), false, "dns_zone"},
		"a zone that is known after apply only":        {plan(created("aws_route53_record", `{"name": "www"}`)), false, "dns_zone_unknown"},
		"a zone that is no text":                       {plan(created("azurerm_dns_a_record", `{"zone_name": ["throwaway.example.net"], "name": "www"}`)), false, "dns_zone_unknown"},
		"an unknown type of records":                   {plan(created("acme_dns_record", `{"zone": "throwaway.example.net"}`)), false, "dns_unknown_type"},
		"an unknown type of zones":                     {plan(created("acme_zone", `{"name": "throwaway.example.net"}`)), false, "dns_unknown_type"},
		"an import of production's record":             {plan(`{"address": "cloudflare_record.x", "mode": "managed", "type": "cloudflare_record", "change": {"actions": ["no-op"], "before": {"zone_id": "prodzone", "name": "a"}, "after": {"zone_id": "prodzone", "name": "a"}, "importing": {"id": "x"}}}`), false, "dns_zone"},
		"a secret zone that is none of the sandbox":    {plan(`{"address": "cloudflare_record.x", "mode": "managed", "type": "cloudflare_record", "change": {"actions": ["create"], "before": null, "after": {"zone_id": "hidden-zone", "name": "a"}, "after_sensitive": {"zone_id": true}}}`), false, "dns_zone"},
		"something changed outside":                    {with(plan(untouched), `"resource_drift": [`+change("null_resource", "null_resource.x", `"update"`, `{"id": "1"}`, `{"id": "2"}`)+`]`), true, "drift"},
		"something vanished outside":                   {with(plan(untouched), `"resource_drift": [`+change("null_resource", "null_resource.x", `"delete"`, `{"id": "1"}`, `null`)+`]`), true, "drift"},
		"a change that is put off":                     {with(plan(untouched), `"deferred_changes": [{"reason": "resource_config_unknown"}]`), true, "deferred"},
		"actions beside resources":                     {with(plan(untouched), `"action_invocations": [{"address": "action.a.b"}]`), true, "unknown_action"},
		"an unknown action":                            {plan(change("null_resource", "null_resource.x", `"rebuild"`, `{"id": "1"}`, `{"id": "2"}`)), false, "unknown_action"},
		"actions in an unknown order":                  {plan(change("null_resource", "null_resource.x", `"update", "delete"`, `{"id": "1"}`, `{"id": "2"}`)), false, "unknown_action"},
		"no action":                                    {plan(change("null_resource", "null_resource.x", ``, `{"id": "1"}`, `{"id": "2"}`)), false, "unknown_action"},
		"an unknown mode":                              {plan(strings.Replace(created("null_resource", `{}`), `"managed"`, `"list"`, 1)), false, "unknown_action"},
		"data that is written":                         {plan(strings.Replace(created("null_resource", `{}`), `"managed"`, `"data"`, 1)), false, "unknown_action"},
		"an output with an unknown action":             {with(plan(untouched), `"output_changes": {"a": {"actions": ["hide"]}}`), true, "unknown_action"},
		"an import though nothing may change":          {plan(strings.Replace(untouched, `"after": {`, `"importing": {"id": "1"}, "after": {`, 1)), true, "imported"},
		"a move though nothing may change":             {plan(strings.Replace(untouched, `"mode"`, `"previous_address": "null_resource.y", "mode"`, 1)), true, "moved"},
		"an output though nothing may change":          {with(plan(untouched), `"output_changes": {"a": {"actions": ["update"], "before": 1, "after": 2}}`), true, "output"},
		"a delete though nothing may change":           {plan(change("null_resource", "null_resource.x", `"delete"`, `{}`, `null`)), true, "changed"},
		"data that is read though nothing may change":  {plan(strings.Replace(change("null_data", "data.null_data.x", `"read"`, `null`, `{}`), `"managed"`, `"data"`, 1)), true, "changed"},
		"a deposed object that would be deleted":       {plan(untouched, strings.Replace(change("null_resource", "null_resource.x", `"delete"`, `{}`, `null`), `"mode"`, `"deposed": "ab12", "mode"`, 1)), false, "delete"},
		"a thing that is forgotten and made anew":      {plan(change("null_resource", "null_resource.x", `"forget", "create"`, `{}`, `{}`)), false, "forget"},
		"an error while planning":                      {strings.Replace(plan(untouched), `"errored": false`, `"errored": true`, 1), true, "errored"},
		"a plan that is not complete":                  {strings.Replace(plan(untouched), `"complete": true`, `"complete": false`, 1), true, "incomplete"},
		"changes that cannot be applied":               {strings.Replace(plan(created("null_resource", `{}`)), `"applyable": true`, `"applyable": false`, 1), false, "incomplete"},
		"mail that is routed in production's zone":     {plan(created("cloudflare_email_routing_rule", `{"zone_id": "prodzone"}`)), false, "dns_zone"},
		"a check that failed":                          {with(plan(untouched), `"checks": [{"address": {"to_display": "check.c"}, "status": "fail"}]`), true, "check"},
		"a check that met an error":                    {with(plan(untouched), `"checks": [{"address": {"to_display": "check.c"}, "status": "error"}]`), true, "check"},
		"a check without status":                       {with(plan(untouched), `"checks": [{"address": {"to_display": "check.c"}}]`), true, "check"},
		"another major version":                        {strings.Replace(plan(untouched), `"1.2"`, `"2.0"`, 1), true, "format"},
		"no version":                                   {strings.Replace(plan(untouched), `"1.2"`, `""`, 1), true, "format"},
		"nothing at all":                               {plan(), true, "nothing_planned"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := parsePlan([]byte(c.plan))
			require.NoError(t, err)
			findings := check(t, p, c.none).Findings
			var rules []string
			for _, f := range findings {
				if !slices.Contains(rules, f.Rule) {
					rules = append(rules, f.Rule)
				}
				assert.NotContains(t, f.Message, "hidden-zone")
			}
			assert.Equal(t, []string{c.rule}, rules, findings)
		})
	}
}

func TestAnHonestPlanIsGreen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plan string
		none bool
	}{
		"nothing changes": {plan(untouched), true},
		"a drift that is none, and a later minor version": {strings.Replace(with(plan(untouched), `"resource_drift": [`+untouched+`]`), `"1.2"`, `"1.9"`, 1), true},
		"a check that is not known yet":                   {with(plan(untouched), `"checks": [{"address": {"to_display": "check.c"}, "status": "unknown"}]`), true},
		"a record in the throwaway zone of Cloudflare":    {plan(created("cloudflare_record", `{"zone_id": "throwzone", "name": "www"}`)), false},
		"its full name":      {plan(created("cloudflare_dns_record", `{"zone_id": "throwzone", "name": "www.throwaway.example.net"}`)), false},
		"a record at OVH":    {plan(created("ovh_domain_zone_record", `{"zone": "throwaway.example.net", "subdomain": "a.b"}`)), false},
		"a record at Google": {plan(created("google_dns_record_set", `{"managed_zone": "throwzone", "name": "a.throwaway.example.net."}`)), false},
		"a record at AWS, with a label that has a dot": {plan(created("aws_route53_record", `{"zone_id": "throwzone", "name": "a.b"}`)), false},
		"production's record, which is left alone":     {plan(created("null_resource", `{}`), `{"address": "cloudflare_record.x", "mode": "managed", "type": "cloudflare_record", "change": {"actions": ["no-op"], "before": {"zone_id": "prodzone"}, "after": {"zone_id": "prodzone"}}}`), false},
		"production's zone, which is read":             {plan(created("null_resource", `{}`), strings.Replace(change("cloudflare_zone", "data.cloudflare_zone.x", `"read"`, `null`, `{"name": "example.com"}`), `"managed"`, `"data"`, 1)), false},
		"mail that is routed in the throwaway zone":    {plan(created("cloudflare_email_routing_rule", `{"zone_id": "throwzone"}`)), false},
		"a type that only sounds like DNS":             {plan(created("acme_recorder", `{}`), created("acme_zoned_disk", `{}`)), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := parsePlan([]byte(c.plan))
			require.NoError(t, err)
			findings := check(t, p, c.none).Findings
			assert.Empty(t, findings)
		})
	}
}

func TestWhatIsNoPlanIsNotRead(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing": "", "no object": "[]", "half a plan": `{"format_version": "1.2"`, "two plans": plan(untouched) + plan(untouched),
		"changes that are no list": `{"format_version": "1.2", "resource_changes": {}}`, "a number for an error": `{"format_version": "1.2", "errored": 1}`,
	} {
		_, err := parsePlan([]byte(text))
		assert.Error(t, err, name)
	}
}

func TestSensitiveValuesAreFoundWhereverTheTreesMarkThem(t *testing.T) {
	t.Parallel()
	p, err := parsePlan([]byte(with(plan(`{"address": "a.x", "mode": "managed", "type": "a", "change": {"actions": ["update"],
		"before": {"w": "whole-before", "open": "open-before"}, "before_sensitive": {"w": true},
		"after": {"deep": [{"k": "deep-after", "open": "open-after"}], "map": {"m": "map-after"}}, "after_sensitive": {"deep": [{"k": true}], "map": true}}}`),
		`"output_changes": {"o": {"actions": ["create"], "after": ["out-secret"], "after_sensitive": true}},
		"variables": {"pw": {"value": "var-secret"}, "open": {"value": "var-open"}}, "configuration": {"root_module": {"variables": {"pw": {"sensitive": true}, "open": {}}}}`)))
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"whole-before", "deep-after", "map-after", "out-secret", "var-secret"}, p.Sensitive)
	text, err := json.Marshal(p.planned())
	require.NoError(t, err)
	assert.Contains(t, string(text), `"deep (sensitive)","map (sensitive)","open","w (sensitive)"`)
	for _, value := range append(p.Sensitive, "open-before", "open-after") {
		assert.NotContains(t, string(text), value)
	}
}

func TestALossNeedsAWaiver(t *testing.T) {
	t.Parallel()
	p, err := parsePlan([]byte(plan(change("null_resource", `null_resource.x["a"]`, `"delete"`, `{}`, `null`))))
	require.NoError(t, err)
	waiver := func(resource string) gate.Waiver {
		return gate.Waiver{Rule: "delete", Resource: resource, Reason: "meant", Expires: time.Now().Format(time.DateOnly)}
	}
	for name, c := range map[string]struct {
		resource string
		rules    []string
	}{
		"of the instance":      {`null_resource.x["a"]`, nil},
		"of all instances":     {"null_resource.x", nil},
		"by a pattern":         {"null_resource.*", nil},
		"of another instance":  {`null_resource.x["b"]`, []string{"delete", "unused_waiver"}},
		"of another resource":  {"null_resource.y", []string{"delete", "unused_waiver"}},
		"of a longer name":     {"null_resource.x_", []string{"delete", "unused_waiver"}},
		"with another wording": {"null_resource.X", []string{"delete", "unused_waiver"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := check(t, p, false, waiver(c.resource))
			var rules []string
			for _, f := range report.Findings {
				rules = append(rules, f.Rule)
			}
			assert.Equal(t, c.rules, rules)
			assert.Equal(t, len(c.rules) == 0, len(report.Waived) == 1)
		})
	}
}

// check checks a plan, with everything that the gate does once there is one.
func check(t testing.TB, p planJSON, noChanges bool, waivers ...gate.Waiver) *gate.Report {
	t.Helper()
	report, err := gate.NewReport("plan", "root", Rules(), waivers)
	require.NoError(t, err)
	checkPlan(t.Context(), p, Options{NoChanges: noChanges, Boundary: engine(t)}, report)
	report.Finish(true)
	return report
}

func TestAMessageOnTheWireIsReadToItsEndOrNotAtAll(t *testing.T) {
	t.Parallel()
	fields, err := fieldsOf([]byte{0x08, 0x96, 0x01, 0x2a, 0x03, 'a', '.', 'b', 0x82, 0x01, 0x01, 'x'})
	require.NoError(t, err)
	assert.Equal(t, map[uint64]bool{1: true, fieldTargets: true, fieldReplaces: true}, fields)
	for _, broken := range [][]byte{{0x80}, {0x08}, {0x2a, 0x05, 'a'}, {0x0b}, {0x2a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}} {
		_, err := fieldsOf(broken)
		assert.Error(t, err)
	}
}

func TestSecretsAndPasswordsInURLsAreMasked(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "get https://(masked)@host/(masked): no", mask("get https://u:p@host/s3cr3t-long: no", []string{"s3cr3t", "s3cr3t-long", "no"}))
}

func TestOfAnErrorOnlyWhatTheProgramItselfSaysIsRepeated(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "Invalid count argument for a.b", plain("Invalid count argument"+placeMark+" for a.b"))
	assert.Equal(t, "Failed to get existing workspaces", plain("Failed to get existing workspaces: get https://u:p@host: denied"))
	assert.Equal(t, reasonKept+" for a.b at main.tf:3", plain("Invalid password hunter-two"+placeMark+" for a.b at main.tf:3"))
	assert.Equal(t, reasonKept, plain("hunter-two"))
	assert.Empty(t, plain(""))
}

func TestABackendInJSONIsSeenHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	for text, may := range map[string]bool{
		`{"terraform": {"backend": {"gcs": {}}}}`: true, `{"terr\u0061form": {"backend": {"gcs": {}}}}`: true, `[{"resource": {}}, {"terraform": {}}]`: true,
		`{"terraform": `: true, `"text"`: true, `{"resource": {"a": {"terraform": {}}}}`: false, `{}`: false,
	} {
		assert.Equal(t, may, mayHoldBackend([]byte(text)), text)
	}
}

func FuzzReadAndCheck(f *testing.F) {
	f.Add([]byte(plan(untouched)))
	f.Add([]byte(plan(created("cloudflare_record", `{"zone_id": "prodzone", "name": "www"}`))))
	f.Add([]byte(with(plan(change("null_resource", "null_resource.x", `"delete", "create"`, `{"a": [1]}`, `{"a": {"b": null}}`)), `"resource_drift": [`+untouched+`]`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parsePlan(data)
		if err != nil {
			return
		}
		findings := check(t, p, true).Findings
		_ = p.planned()
		for _, r := range p.Changes {
			if len(findings) == 0 && (len(r.Change.Actions) != 1 || r.Change.Actions[0] != noop) {
				t.Fatalf("%s: %q is green", r.Address, r.Change.Actions)
			}
		}
	})
}
