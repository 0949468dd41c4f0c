// SPDX-License-Identifier: GPL-3.0-or-later

package readonly

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type sent struct{ requests []string }

func (s *sent) RoundTrip(req *http.Request) (*http.Response, error) {
	s.requests = append(s.requests, req.Method+" "+req.URL.Path)
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: req}, nil
}

func TestNothingButReadingIsSent(t *testing.T) {
	t.Parallel()
	const server = "https://production.example:6443"
	for name, c := range map[string]struct {
		method, url string
		header      http.Header
		proved      bool
		secrets     bool
		passes      bool
	}{
		"a GET":                           {method: "GET", url: "/api/v1/nodes", proved: true, passes: true},
		"a GET before it is proved":       {method: "GET", url: "/api/v1/nodes"},
		"the namespaces before":           {method: "GET", url: "/api/v1/namespaces", passes: true},
		"one namespace before":            {method: "GET", url: "/api/v1/namespaces/erp"},
		"a review":                        {method: "POST", url: rulesReview, passes: true},
		"a question":                      {method: "POST", url: accessReview, passes: true},
		"who one is":                      {method: "POST", url: whoAmI, passes: true},
		"a review that is dry":            {method: "POST", url: rulesReview + "?dryRun=All"},
		"a review of another":             {method: "POST", url: "/apis/authorization.k8s.io/v1/subjectaccessreviews", proved: true},
		"a POST":                          {method: "POST", url: "/api/v1/namespaces/erp/pods", proved: true},
		"a PUT":                           {method: "PUT", url: rulesReview, proved: true},
		"a PATCH":                         {method: "PATCH", url: "/api/v1/nodes", proved: true},
		"a DELETE":                        {method: "DELETE", url: "/api/v1/nodes", proved: true},
		"exec by GET":                     {method: "GET", url: "/api/v1/namespaces/erp/pods/x/exec?command=sh", proved: true},
		"a proxy by GET":                  {method: "GET", url: "/api/v1/nodes/pi1/proxy/run/erp/x/y", proved: true},
		"an old proxy by GET":             {method: "GET", url: "/api/v1/proxy/namespaces/erp/services/x", proved: true},
		"an escaped path":                 {method: "GET", url: "/api/v1/namespaces/erp/pods/x/%65xec", proved: true},
		"a path that goes up":             {method: "GET", url: "/api/v1/x/../secrets", proved: true},
		"a path with an empty part":       {method: "GET", url: "/api/v1//secrets", proved: true},
		"an upgrade":                      {method: "GET", url: "/api/v1/nodes", header: http.Header{"Upgrade": {"websocket"}}, proved: true},
		"another user":                    {method: "GET", url: "/api/v1/nodes", header: http.Header{"Impersonate-User": {"admin"}}, proved: true},
		"secrets":                         {method: "GET", url: "/api/v1/secrets", proved: true, secrets: true},
		"releases without leave":          {method: "GET", url: "/api/v1/secrets?fieldSelector=type%3Dhelm.sh%2Frelease.v1", proved: true},
		"releases":                        {method: "GET", url: "/api/v1/secrets?fieldSelector=type%3Dhelm.sh%2Frelease.v1", proved: true, secrets: true, passes: true},
		"releases and another selector":   {method: "GET", url: "/api/v1/secrets?fieldSelector=type%3Dhelm.sh%2Frelease.v1&fieldSelector=type%3DOpaque", proved: true, secrets: true},
		"one secret that calls itself so": {method: "GET", url: "/api/v1/namespaces/erp/secrets/x?fieldSelector=type%3Dhelm.sh%2Frelease.v1", proved: true, secrets: true},
		"another server":                  {method: "GET", url: "https://elsewhere.example/api/v1/nodes", proved: true},
		"another port":                    {method: "GET", url: "https://production.example/api/v1/nodes", proved: true},
		"no TLS":                          {method: "GET", url: "http://production.example:6443/api/v1/nodes", proved: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next := &sent{}
			g := &gate{next: next, host: "production.example:6443", secrets: c.secrets}
			g.proved.Store(c.proved)
			url := c.url
			if strings.HasPrefix(url, "/") {
				url = server + url
			}
			req, err := http.NewRequestWithContext(t.Context(), c.method, url, strings.NewReader("{}"))
			require.NoError(t, err)
			if strings.HasPrefix(name, "another") {
				req.Host = "" // then the URL's counts
			}
			if c.header != nil {
				req.Header = c.header
			}
			res, err := g.RoundTrip(req)
			if c.passes {
				require.NoError(t, err)
				res.Body.Close()
				assert.Len(t, next.requests, 1)
				return
			}
			require.ErrorContains(t, err, "not sent")
			assert.Empty(t, next.requests)
		})
	}
}

func TestARuleThatIsNotUnderstoodIsTakenForWriting(t *testing.T) {
	t.Parallel()
	r := func(groups, resources, verbs string) resourceRule {
		return resourceRule{APIGroups: strings.Split(groups, ","), Resources: strings.Split(resources, ","), Verbs: strings.Split(verbs, ",")}
	}
	for name, c := range map[string]struct {
		rule    resourceRule
		secrets bool
		count   int
	}{
		"reading":                          {r("", "pods,pods/log,nodes", "get,list,watch"), false, 0},
		"the questions of everyone":        {r("authorization.k8s.io", "selfsubjectaccessreviews,selfsubjectrulesreviews", "create"), false, 0},
		"who one is":                       {r("authentication.k8s.io", "selfsubjectreviews", "create"), false, 0},
		"a question in another group":      {r("*", "selfsubjectaccessreviews", "create"), false, 1},
		"a question by another verb":       {r("authorization.k8s.io", "selfsubjectaccessreviews", "*"), false, 1},
		"a verb in capitals":               {r("", "pods", "GET"), false, 1},
		"no verb":                          {r("", "pods", ""), false, 1},
		"list of everything":               {r("*", "*", "list"), false, 1},
		"list of everything with leave":    {r("*", "*", "list"), true, 0},
		"get of everything with leave":     {r("*", "*", "get"), true, 1},
		"secrets of every group":           {r("*", "secrets", "watch"), false, 1},
		"what is called so elsewhere":      {r("example.org", "secrets", "get"), false, 0},
		"writing secrets with leave":       {r("", "secrets", "update"), true, 1},
		"any subresource of pods":          {r("", "pods/*", "get"), false, 1},
		"a console of a virtual machine":   {r("subresources.kubevirt.io", "virtualmachineinstances/console", "get"), false, 1},
		"one that reads and one that acts": {r("", "pods,pods/attach", "get"), false, 1},
	} {
		assert.Len(t, c.rule.writes(c.secrets), c.count, name)
	}
}
