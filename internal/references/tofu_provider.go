// SPDX-License-Identifier: GPL-3.0-or-later

package references

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/lazyregexp"
	"github.com/arcodange-org/sandbox/internal/tofu"
)

// need returns attributes as strings, and adds a problem for each that is unknown, or missing but required.
type need struct {
	t      *tofuReader
	what   string
	from   string
	values map[string]cty.Value
	failed bool
}

func (n *need) maybe(name string) string {
	value, known := tofu.Text(n.values, name)
	if !known && !n.failed {
		n.failed = true
		n.t.problem(n.what, n.from, "its %s cannot be known before it runs", name)
	}
	return value
}

func (n *need) must(name string) string {
	value := n.maybe(name)
	if value == "" && !n.failed {
		n.failed = true
		n.t.problem(n.what, n.from, "it has no %s, so the command line or the environment decides", name)
	}
	return value
}

func (n *need) all(name string) []string {
	values, known := tofu.Texts(n.values, name)
	if !known && !n.failed {
		n.failed = true
		n.t.problem(n.what, n.from, "its %s cannot be known before it runs", name)
	}
	return values
}

func (n *need) add(kind boundary.Kind, value string) {
	if !n.failed && value != "" {
		n.t.add(target(kind, value, n.from))
	}
}

func (n *need) endpoints(names ...string) {
	for _, name := range names {
		for _, value := range n.all(name) {
			n.endpoint(value)
		}
	}
}

func (n *need) endpoint(value string) {
	if value != "" && !strings.Contains(value, "://") {
		value = "https://" + value
	}
	n.add(boundary.Endpoint, value)
}

// jump is a bastion, as some providers have it.
func (n *need) jump() {
	n.add(boundary.Host, n.maybe("jumphost"))
}

// Providers without an endpoint.
var nowhere = []string{"archive", "cloudinit", "local", "null", "random", "template", "terraform", "time", "tls"}

// Providers whose endpoint depends on credentials or resources.
// A configured endpoint is that of a single service; the others keep their
// default endpoints.
var anywhere = []string{
	// clouds, and others with many services
	"alicloud", "aws", "awscc", "azapi", "azuread", "azuredevops", "azurerm", "azurestack", "cloudscale", "cloudstack", "confluent", "databricks", "digitalocean", "exoscale",
	"flexibleengine", "google", "google-beta", "googleworkspace", "gridscale", "hcloud", "hcp", "heroku", "huaweicloud", "ibm", "ionoscloud", "linode", "mongodbatlas", "newrelic", "oci",
	"opentelekomcloud", "openstack", "ovh", "scaleway", "selectel", "snowflake", "stackit", "tencentcloud", "upcloud", "vercel", "volcengine", "vultr", "yandex",
	// DNS and CDN
	"akamai", "bunnynet", "cloudflare", "constellix", "desec", "dnsimple", "fastly", "gandi", "godaddy", "hetznerdns", "infomaniak", "inwx", "namecheap", "netlify", "ns1", "porkbun", "ultradns",
	// an endpoint, or a program, in every resource
	"ansible", "command", "external", "http", "powershell", "remote", "scp", "shell", "ssh", "sshcommand",
}

var (
	kindOfProvider = lazyregexp.New(`^[a-z0-9_-]+$`)
	// endpointName matches the usual attribute of a provider's endpoint, otherEndpoint those of further endpoints.
	endpointName  = lazyregexp.New(`^(?:address|addresses|api_url|auth_url|base_url|endpoint|endpoints|host|hosts|hostname|server|server_addr|uri|url)$`)
	otherEndpoint = lazyregexp.New(`_(?:url|urls|uri|uris|endpoint|endpoints|host|hosts|hostname|server|servers)$`)
)

// provider returns the targets of a provider's settings.
func (t *tofuReader) provider(kind string, values map[string]cty.Value, from string) {
	kind = strings.ToLower(kind) // OpenTofu ignores case
	n := &need{t: t, what: "provider " + kind, from: from, values: values}
	asked := false // about every place that may be named
	switch kind {
	case "postgresql", "mysql", "mariadb":
		host := n.maybe("host")
		if endpoint := n.maybe("endpoint"); host == "" {
			host = endpoint
		}
		if host == "" && !n.failed {
			t.problem(n.what, from, "it has no host, so the environment decides")
			return
		}
		if port := n.maybe("port"); port != "" && !strings.Contains(strings.Trim(host, "[]"), ":") {
			if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 {
				t.problem(n.what, from, "its port must be 1-65535")
				return
			}
			host += ":" + port
		}
		n.add(boundary.Database, host)
		n.endpoints("proxy")
		n.jump()
	case "vault":
		address := n.maybe("address")
		if address == "" && !n.failed {
			if address = t.getenv("VAULT_ADDR"); address == "" {
				t.problem(n.what, from, "it has no address, so the environment decides")
			}
		}
		n.add(boundary.Vault, address)
	case "kubernetes", "kubectl", "kustomization":
		t.cluster(n)
	case "helm":
		inner := *n
		inner.values = tofu.Object(values["kubernetes"])
		t.cluster(&inner)
	case "docker":
		host := n.maybe("host")
		if n.maybe("context") != "" {
			t.problem(n.what, from, "it names a context, which is defined elsewhere; give its host")
		}
		for _, auth := range tofu.Objects(map[string]cty.Value{"": values["registry_auth"]})[1:] {
			(&need{t: t, what: n.what, from: from, values: auth}).endpoints("address")
		}
		if host == "" {
			host = t.getenv("DOCKER_HOST")
		}
		if host != "" && !n.failed {
			t.add(dockerHost(host, from)...)
		} else if !n.failed {
			t.add(t.DockerContext()...)
		}
	default:
		if slices.Contains(nowhere, kind) {
			return
		}
		endpoints := 0
		for _, values := range tofu.Objects(values) {
			inner := &need{t: t, what: n.what, from: from, values: values}
			for _, name := range slices.Sorted(maps.Keys(values)) {
				main := endpointName.MatchString(name)
				if kind := values[name].Type(); !main && (kind == cty.Bool || kind == cty.Number || !otherEndpoint.MatchString(name)) {
					continue
				}
				for _, value := range inner.all(name) {
					if main && value != "" { // any other is an additional endpoint
						endpoints++
					}
					inner.endpoint(value)
				}
			}
			n.failed = n.failed || inner.failed
		}
		if (endpoints == 0 || slices.Contains(anywhere, kind) || !kindOfProvider.MatchString(kind)) && !n.failed {
			n.add(boundary.TofuProvider, kind)
		}
		asked = true
	}
	n.endpoints("http_proxy", "https_proxy")
	if !asked && !slices.Contains([]string{"kubernetes", "kubectl", "kustomization"}, kind) { // these were checked above
		n.endpoints("proxy_url")
	}
}

// mentions searches a provider's block for production: known values, and
// the text of unknown ones.
func (t *tofuReader) mentions(block *hcl.Block) {
	written := t.evaluator.Texts(block)
	for _, name := range slices.Sorted(maps.Keys(written)) {
		if text := strings.Join(written[name], "\n"); text != "" {
			t.add(search("provider "+block.Labels[0]+", "+name, text, tofu.Position(block)))
		}
	}
}

// cluster is a Kubernetes cluster, by its URL or by kubeconfig files.
func (t *tofuReader) cluster(n *need) {
	if insecure := n.maybe("insecure"); insecure != "" && insecure != "false" {
		t.problem(n.what, n.from, "insecure accepts any server; give the cluster's CA")
	}
	if exec, ok := n.values["exec"]; ok && (!exec.IsKnown() || !exec.IsNull()) {
		t.problem(n.what, n.from, "its exec names a program, which may lead anywhere")
	}
	n.endpoints("proxy_url")
	host := n.maybe("host")
	if host != "" {
		if !strings.Contains(host, "://") {
			host = "https://" + host
		}
		ca := n.maybe("cluster_ca_certificate")
		if n.failed {
			return
		}
		var data []byte
		if ca != "" {
			data = []byte(ca)
		}
		sums, err := caSums(data, nil)
		if err != nil {
			t.problem(n.what, n.from, "its CA cannot be read (%v)", err)
		}
		t.add(kube(host, sums, n.from)...)
	}
	files := n.all("config_paths")
	if one := n.maybe("config_path"); one != "" {
		files = append(files, one)
	}
	if load := n.maybe("load_config_file"); load == "false" {
		files = nil
	}
	if n.failed {
		return
	}
	if len(files) == 0 && host == "" {
		t.problem(n.what, n.from, "it has neither host nor config_path, so the environment decides")
	}
	for _, file := range files {
		t.add(t.kubeconfig(t.expand(file, t.root.Directory))...)
	}
}
