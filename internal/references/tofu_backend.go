// SPDX-License-Identifier: GPL-3.0-or-later

package references

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/tofu"
)

// backend returns the state of a backend and the hosts that it connects to.
func (t *tofuReader) backend(kind string, values map[string]cty.Value, from string) {
	n := &need{t: t, what: "backend " + kind, from: from, values: values}
	switch kind {
	case "local":
		path := n.maybe("path")
		if path == "" {
			path = "terraform.tfstate"
		}
		if directory := n.maybe("workspace_dir"); directory != "" {
			n.add(boundary.TofuState, "local:"+t.expand(directory, t.root.Directory))
		}
		root, err := filepath.Abs(t.root.Directory)
		if err != nil {
			t.problem(n.what, from, "its location is unknown")
			return
		}
		if !strings.HasPrefix(path, "~/") && !filepath.IsAbs(path) {
			path = root + "/" + path
		}
		n.add(boundary.TofuState, "local:"+shortened(t.expand(path, root)))
	case "gcs":
		location := n.must("bucket")
		if prefix := strings.Trim(n.maybe("prefix"), "/"); prefix != "" {
			location += "/" + prefix
		}
		n.endpoints("storage_custom_endpoint")
		n.add(boundary.TofuState, "gcs:"+location)
	case "s3":
		n.endpoints("endpoint", "endpoints", "iam_endpoint", "sts_endpoint", "dynamodb_endpoint", "http_proxy", "https_proxy")
		n.add(boundary.TofuState, "s3:"+n.must("bucket")+"/"+n.must("key"))
		// States of workspaces are next to that of the default one.
		if prefix := strings.Trim(n.maybe("workspace_key_prefix"), "/"); prefix != "" {
			n.add(boundary.TofuState, "s3:"+n.must("bucket")+"/"+prefix+"/"+n.must("key"))
		}
	case "azurerm":
		n.add(boundary.TofuState, "azurerm:"+n.must("storage_account_name")+"/"+n.must("container_name")+"/"+n.must("key"))
	case "http":
		address := n.must("address")
		n.endpoints("address", "lock_address", "unlock_address")
		for _, name := range []string{"lock_address", "unlock_address"} {
			if _, given := values[name]; !given {
				n.endpoint(t.getenv("TF_HTTP_" + strings.ToUpper(name)))
			}
		}
		n.add(boundary.TofuState, "http:"+withoutUser(address))
	case "pg":
		n.add(boundary.Database, n.must("conn_str"))
	case "consul":
		n.endpoint(n.must("address"))
		n.add(boundary.TofuState, "consul:"+n.must("path"))
	case "kubernetes":
		t.cluster(n)
	case "remote", "cloud":
		host := n.maybe("hostname")
		if host == "" {
			host = "app.terraform.io"
		}
		n.add(boundary.TofuState, "remote:"+host+"/"+n.must("organization"))
	case "inmem":
	default:
		t.problem(n.what, from, "its type is unknown, and so is its location")
	}
}

// merged returns the values of the block, overridden by the files of -backend-config.
func (t *tofuReader) merged(values map[string]cty.Value) map[string]cty.Value {
	for _, path := range t.root.BackendConfigs {
		given, err := tofu.Attributes(path)
		if err != nil {
			t.unread(err)
		}
		maps.Copy(values, given)
	}
	return values
}

// withoutUser returns a URL without user and password. It keeps the query, since
// some servers have several states at one path.
func withoutUser(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return url
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, path := rest[:end], rest[end:]
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		authority = authority[at+1:]
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return scheme + "://" + authority + path
}

// encryption checks the key providers of states and plans.
func (t *tofuReader) encryption(block *hcl.Block) {
	for _, inside := range t.inside(block, "key_provider", "method") {
		kind := inside.Labels[0]
		n := &need{t: t, what: inside.Type + " " + kind, from: tofu.Position(inside), values: t.evaluator.Values(inside)}
		cloud := map[string]string{"aws_kms": "aws", "gcp_kms": "google", "azure_vault": "azurerm"}[kind]
		switch {
		case kind == "pbkdf2" || kind == "aes_gcm" || kind == "unencrypted":
		case kind == "openbao":
			if n.values["address"] == cty.NilVal && t.getenv("BAO_ADDR") != "" {
				n.add(boundary.Vault, t.getenv("BAO_ADDR"))
			} else {
				n.add(boundary.Vault, n.must("address"))
			}
		case cloud != "":
			n.endpoints("endpoint", "endpoints", "http_proxy", "https_proxy")
			n.add(boundary.TofuProvider, cloud)
		default:
			t.problem(n.what, n.from, "it runs a program or is unknown, so its target is unknown")
		}
	}
}

func (t *tofuReader) remoteState(block *hcl.Block) {
	values := t.evaluator.Values(block)
	n := &need{t: t, what: "remote state " + block.Labels[1], from: tofu.Position(block), values: values}
	if kind := n.must("backend"); !n.failed {
		config := values["config"]
		if config != cty.NilVal && !config.IsKnown() {
			t.problem(n.what, n.from, "its config cannot be known before it runs")
			return
		}
		t.backend(kind, tofu.Object(config), n.from)
	}
}

// initialised reads the backend that `tofu init` recorded: the program uses it until the next init.
func (t *tofuReader) initialised() {
	path := filepath.Join(t.dataDirectory(), "terraform.tfstate")
	data, err := read(path)
	if os.IsNotExist(err) {
		return
	}
	var state struct {
		Backend *struct {
			Type   string         `json:"type"`
			Config map[string]any `json:"config"`
		} `json:"backend"`
	}
	if err == nil {
		if json.Unmarshal(data, &state) != nil {
			err = errors.New("it is not what `tofu init` writes")
		}
	}
	if err != nil {
		t.problem("initialised backend", path, "it cannot be read (%s)", reason(err))
		return
	}
	if state.Backend == nil {
		return
	}
	values := map[string]cty.Value{}
	for name, value := range state.Backend.Config {
		values[name] = tofu.FromJSON(value)
	}
	t.backend(state.Backend.Type, values, path)
}
