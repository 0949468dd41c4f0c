// SPDX-License-Identifier: GPL-3.0-or-later

package readonly

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// The reviews: POSTs that change nothing, and that every authenticated user may
// make (ClusterRole system:basic-user).
const (
	rulesReview  = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
	accessReview = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
	whoAmI       = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	namespaces   = "/api/v1/namespaces"
)

// acting are subresources that act on a GET, through an upgraded connection or a
// proxy. The last ones are of virtual machines (kubevirt.io).
func acting() []string {
	return []string{"exec", "attach", "portforward", "proxy", "console", "vnc", "usbredir", "vsock"}
}

// gate is a transport that sends only requests that read.
type gate struct {
	next    http.RoundTripper
	host    string
	secrets bool // Helm's releases may be read
	proved  atomic.Bool
}

// RoundTrip implements http.RoundTripper.
func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	if why := g.refuses(req); why != "" {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, fmt.Errorf("not sent: %s %s: %s", req.Method, req.URL.Path, why)
	}
	return g.next.RoundTrip(req)
}

// refuses returns why a request is not sent; empty if it only reads.
func (g *gate) refuses(req *http.Request) string {
	path := req.URL.EscapedPath()
	switch {
	case req.URL.Scheme != "https" || req.URL.Host != g.host || req.Host != "" && req.Host != g.host:
		return "it is for another server"
	case strings.Contains(path, "%") || strings.Contains(path, "//") || strings.Contains(path, "/.") || !strings.HasPrefix(path, "/"):
		return "its path is ambiguous"
	}
	for name := range req.Header {
		switch name = strings.ToLower(name); {
		case strings.HasPrefix(name, "impersonate-"), name == "upgrade", name == "connection", name == "x-http-method-override", strings.HasPrefix(name, "x-remote-"), strings.HasPrefix(name, "sec-websocket"):
			return "its header " + name + " requests more than reading"
		}
	}
	if req.Method == http.MethodPost {
		if (path == rulesReview || path == accessReview || path == whoAmI) && req.URL.RawQuery == "" {
			return ""
		}
		return "only the reviews of one's own rights are asked by POST"
	}
	if req.Method != http.MethodGet {
		return "it is not a GET"
	}
	segments := strings.Split(strings.Trim(path, "/"), "/")
	for _, segment := range segments {
		if slices.Contains(acting(), segment) {
			return "the subresource " + segment + " acts on a GET"
		}
	}
	if !g.proved.Load() && path != namespaces {
		return "it is not yet proved that the kubeconfig can only read"
	}
	if strings.HasPrefix(path, "/api/v1/") && slices.Contains(segments, "secrets") {
		asked := req.URL.Query()["fieldSelector"]
		if !g.secrets || len(asked) != 1 || asked[0] != "type=helm.sh/release.v1" || segments[len(segments)-1] != "secrets" {
			return "of secrets only Helm's releases are read, and only with helm_secrets"
		}
	}
	return ""
}
