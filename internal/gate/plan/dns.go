// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"fmt"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// dns says by which attributes a type tells its zone: zone by id or name,
// names what lies in it. A name without a dot at its end may be relative to the
// zone, so it is only refused if it is production's.
type dns struct{ zone, names []string }

var dnsTypes = map[string]dns{
	"cloudflare_record":                 {[]string{"zone_id"}, []string{"hostname", "name"}},
	"cloudflare_dns_record":             {[]string{"zone_id"}, []string{"name"}},
	"cloudflare_zone":                   {[]string{"zone", "name"}, nil},
	"cloudflare_zone_settings_override": {[]string{"zone_id"}, nil},
	"cloudflare_zone_setting":           {[]string{"zone_id"}, nil},
	"cloudflare_zone_dnssec":            {[]string{"zone_id"}, nil},
	"ovh_domain_zone":                   {[]string{"name"}, nil},
	"ovh_domain_zone_record":            {[]string{"zone"}, []string{"subdomain"}},
	"ovh_domain_zone_redirection":       {[]string{"zone"}, []string{"subdomain"}},
	"google_dns_managed_zone":           {[]string{"dns_name"}, nil},
	"google_dns_record_set":             {[]string{"managed_zone"}, []string{"name"}},
	"aws_route53_zone":                  {[]string{"name"}, nil},
	"aws_route53_record":                {[]string{"zone_id"}, []string{"fqdn", "name"}},
	"azurerm_dns_zone":                  {[]string{"name"}, nil},
	"azurerm_dns_a_record":              {[]string{"zone_name"}, []string{"fqdn", "name"}},
	"azurerm_dns_aaaa_record":           {[]string{"zone_name"}, []string{"fqdn", "name"}},
	"azurerm_dns_caa_record":            {[]string{"zone_name"}, []string{"fqdn", "name"}},
	"azurerm_dns_cname_record":          {[]string{"zone_name"}, []string{"fqdn", "name"}},
	"azurerm_dns_mx_record":             {[]string{"zone_name"}, []string{"fqdn", "name"}},
	"azurerm_dns_ns_record":             {[]string{"zone_name"}, []string{"fqdn", "name"}},
	"azurerm_dns_srv_record":            {[]string{"zone_name"}, []string{"fqdn", "name"}},
	"azurerm_dns_txt_record":            {[]string{"zone_name"}, []string{"fqdn", "name"}},
	"digitalocean_domain":               {[]string{"name"}, nil},
	"digitalocean_record":               {[]string{"domain"}, []string{"fqdn", "name"}},
	"gandi_livedns_domain":              {[]string{"name"}, nil},
	"gandi_livedns_record":              {[]string{"zone"}, []string{"name"}},
	"hetznerdns_record":                 {[]string{"zone_id"}, []string{"name"}},
	"hetznerdns_zone":                   {[]string{"name"}, nil},
	"scaleway_domain_record":            {[]string{"dns_zone"}, []string{"fqdn", "name"}},
	"powerdns_record":                   {[]string{"zone"}, []string{"name"}},
	"powerdns_zone":                     {[]string{"name"}, nil},
	"dns_a_record_set":                  {[]string{"zone"}, []string{"name"}},
	"dns_aaaa_record_set":               {[]string{"zone"}, []string{"name"}},
	"dns_cname_record":                  {[]string{"zone"}, []string{"name"}},
	"dns_mx_record_set":                 {[]string{"zone"}, []string{"name"}},
	"dns_ns_record_set":                 {[]string{"zone"}, []string{"name"}},
	"dns_srv_record_set":                {[]string{"zone"}, []string{"name"}},
	"dns_txt_record_set":                {[]string{"zone"}, []string{"name"}},
}

// What the type of something to do with DNS usually has in its name.
var dnsLike = lazyregexp.New(`(?:^|_)(?:dns[a-z0-9]*|[a-z]*dns|domains?|zones?|records?|recordset|rrsets?|route53[a-z]*|nameservers?)(?:_|$)`)

// judgeDNS asks the boundary about every zone and name that a change is for, before and after.
func judgeDNS(ctx context.Context, engine boundary.Checker, r Resource) []Finding {
	attributes, known := dnsTypes[r.Type]
	if !known && strings.HasPrefix(r.Type, "cloudflare_") && (has(r.Change.Before, "zone_id") || has(r.Change.After, "zone_id") || has(r.Change.AfterUnknown, "zone_id")) {
		// Routing of mail, certificates, rules: all of it is part of a zone.
		attributes, known = dns{zone: []string{"zone_id"}}, true
	}
	if !known {
		if dnsLike.MatchString(r.Type) {
			return []Finding{found("dns_unknown_type", r.Address, "a type of which it is known how it tells its zone", "the type "+r.Type)}
		}
		return nil
	}
	var findings []Finding
	once := map[string]bool{}
	say := func(rule, expected, what string) {
		if !once[rule+what] {
			once[rule+what] = true
			findings = append(findings, found(rule, r.Address, expected, what))
		}
	}
	ask := func(value string) boundary.Decision {
		return engine.Decide(ctx, boundary.Target{Kind: boundary.DNSZone, Value: value, From: r.Address})
	}
	for _, side := range []struct {
		values, unknown, sensitive any
	}{{r.Change.Before, nil, r.Change.BeforeSensitive}, {r.Change.After, r.Change.AfterUnknown, r.Change.AfterSensitive}} {
		values, ok := side.values.(map[string]any)
		if !ok {
			continue // created or deleted: there is no such side
		}
		shown := func(name, value string) string {
			if covers(side.sensitive, name) {
				return "(sensitive)"
			}
			return fmt.Sprintf("%q", value)
		}
		zones := 0
		for _, name := range attributes.zone {
			value, ok := values[name].(string)
			if !ok || value == "" {
				continue
			}
			zones++
			if d := ask(value); !d.Allowed {
				reason := d.Reason
				if covers(side.sensitive, name) {
					reason = "it is not the throwaway zone"
				}
				say("dns_zone", "a change in the throwaway zone only", fmt.Sprintf("%s %s: %s", name, shown(name, value), reason))
			}
		}
		if zones == 0 {
			say("dns_zone_unknown", "a zone that is known before it runs", strings.Join(attributes.zone, " or ")+" cannot be told")
		}
		for _, name := range attributes.names {
			value, _ := values[name].(string)
			if value == "" || !strings.Contains(strings.TrimSuffix(value, "."), ".") {
				continue // a label within the zone
			}
			if d := ask(value); !d.Allowed && (d.Rule != nil || strings.HasSuffix(value, ".")) {
				say("dns_name", "a name in the throwaway zone only", fmt.Sprintf("%s %s lies outside", name, shown(name, value)))
			}
		}
	}
	return findings
}

func has(values any, name string) bool {
	object, _ := values.(map[string]any)
	return object[name] != nil
}
