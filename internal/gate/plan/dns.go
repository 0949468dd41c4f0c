// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// dns are the attributes of a type that contain the zone's id or name, and
// the record's name.
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

// dnsLike matches types that are likely to be about DNS.
var dnsLike = lazyregexp.New(`(?:^|_)(?:dns[a-z0-9]*|[a-z]*dns|domains?|zones?|records?|recordset|rrsets?|route53[a-z]*|nameservers?)(?:_|$)`)

// dnsAttributes are the attributes of a resource's type.
func dnsAttributes(r resource) (attributes dns, ok bool) {
	if attributes, ok = dnsTypes[r.Type]; ok {
		return attributes, true
	}
	// Routing of mail, certificates, rules of Cloudflare: all of it is part of a zone.
	if strings.HasPrefix(r.Type, "cloudflare_") && (has(r.Change.Before, "zone_id") || has(r.Change.After, "zone_id") || has(r.Change.AfterUnknown, "zone_id")) {
		return dns{zone: []string{"zone_id"}}, true
	}
	return dns{}, false
}

// attribute is the value of an attribute before or after a change.
type attribute struct {
	attribute, value string
	sensitive        bool
}

// shown returns the value for messages.
func (a attribute) shown() string {
	if a.sensitive {
		return "(sensitive)"
	}
	return fmt.Sprintf("%q", a.value)
}

// dnsSide are the zone and name of a resource before or after its change.
type dnsSide struct{ zones, names []attribute }

// touched are the managed resources that change, move or are imported.
func (p planJSON) touched() iter.Seq[resource] {
	return func(yield func(resource) bool) {
		for r, kind := range p.known() {
			if r.Mode == "managed" && (kind != noop || r.movedFrom() != "" || r.Change.importing()) && !yield(r) {
				return
			}
		}
	}
}

// dnsChanges are the touched resources of DNS, with their sides.
func (p planJSON) dnsChanges() iter.Seq2[resource, []dnsSide] {
	return func(yield func(resource, []dnsSide) bool) {
		for r := range p.touched() {
			if attributes, ok := dnsAttributes(r); ok && !yield(r, attributes.sides(r.Change)) {
				return
			}
		}
	}
}

func (d dns) sides(c resourceChange) []dnsSide {
	var out []dnsSide
	for _, side := range []struct{ values, sensitive any }{{c.Before, c.BeforeSensitive}, {c.After, c.AfterSensitive}} {
		values, ok := side.values.(map[string]any)
		if !ok {
			continue // created or deleted: this side does not exist
		}
		of := func(names []string) (found []attribute) {
			for _, name := range names {
				if value, _ := values[name].(string); value != "" {
					found = append(found, attribute{name, value, covers(side.sensitive, name)})
				}
			}
			return found
		}
		out = append(out, dnsSide{of(d.zone), of(d.names)})
	}
	return out
}

// ask returns the boundary's decision about a zone, or a name in one.
func (s subject) ask(ctx context.Context, r resource, value string) boundary.Decision {
	return s.boundary.Decide(ctx, boundary.Target{Kind: boundary.DNSZone, Value: value, From: r.Address})
}

// once adds each finding about a resource once, even if both sides have it.
func once(report *gate.Report, r resource) func(rule, expected, found string) {
	reported := map[string]bool{}
	return func(rule, expected, found string) {
		if !reported[rule+found] {
			reported[rule+found] = true
			report.Add(gate.Finding{Rule: rule, Resource: r.Address, Expected: expected, Found: found})
		}
	}
}

func has(values any, name string) bool {
	object, _ := values.(map[string]any)
	return object[name] != nil
}
