// SPDX-License-Identifier: GPL-3.0-or-later

// Package live reads a cluster with GET requests only, and without typed
// clients, which would make the kit large. It compares nothing.
//
// An API that is not served counts as absent. Every other failure (403,
// 500, a proxy's page) is an error, so that unreadable objects are not taken for
// absent ones.
package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/kubeconfig"
	"github.com/arcodange-org/sandbox/internal/references"
)

// Client reads from one API server.
type Client struct {
	http *http.Client
	base *url.URL
}

// Server is the server of a kubeconfig.
type Server struct {
	URL      string
	CASHA256 []string // hexadecimal, of each certificate of its CA; at least one
}

// Allow returns whether requests to a server are allowed, and the address to use; with
// an empty one its name is resolved. It is called before the first packet.
type Allow func(ctx context.Context, file string, server Server) (address string, err error)

// Connect returns a client for a kubeconfig file; an empty context is its current
// one. It sends nothing yet. It fails if allow or the package kubeconfig refuses
// the server.
func Connect(ctx context.Context, file, kubeContext string, allow Allow) (*Client, error) {
	access, err := kubeconfig.Read(file, kubeContext)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig %s: %w", file, err)
	}
	address, err := allow(ctx, file, Server{URL: access.Server.String(), CASHA256: access.CASHA256()})
	if err != nil {
		return nil, err
	}
	// Connect to the address that was checked, without resolving the name again.
	transport, err := access.Transport(func() string { return address })
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig %s: %w", file, err)
	}
	client := &http.Client{Transport: transport, Timeout: time.Minute, CheckRedirect: func(request *http.Request, _ []*http.Request) error {
		return fmt.Errorf("the server redirects to %s, which is not followed", request.URL.Host)
	}}
	return &Client{http: client, base: access.Server}, nil
}

// Within returns an Allow that requires all servers of the file, in every context,
// to be listed as sandbox.
func Within(engine boundary.Checker) Allow {
	return func(ctx context.Context, file string, server Server) (string, error) {
		for _, finding := range references.System().Read(ctx, references.Sources{Kubeconfigs: []string{file}}) {
			if d := finding.Decide(ctx, engine); !d.Allowed {
				return "", fmt.Errorf("the kubeconfig %s is refused before anything is sent: %s", file, d)
			}
		}
		pinned := ""
		for _, sum := range server.CASHA256 {
			d := engine.Decide(ctx, boundary.Target{Kind: boundary.Kube, Value: server.URL, From: file, CASHA256: sum})
			if !d.Allowed {
				return "", fmt.Errorf("the kubeconfig %s is refused before anything is sent: %s", file, d)
			}
			pinned = d.Pinned
		}
		return pinned, nil
	}
}

const (
	largest = 256 << 20 // bytes of one answer
	page    = "500"     // objects of one answer
)

// answer is a response with a status other than success.
type answer struct {
	path   string
	status int
	says   string
}

func (a answer) Error() string {
	return fmt.Sprintf("GET %s: %d %s%s", a.path, a.status, http.StatusText(a.status), a.says)
}

func status(err error, code int) bool {
	var a answer
	return errors.As(err, &a) && a.status == code
}

func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	to := *c.base
	to.Path = strings.TrimSuffix(to.Path, "/") + path
	to.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	request.Header.Set("Accept", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("asking the API server: %w", err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, largest+1))
	switch {
	case err != nil:
		return fmt.Errorf("GET %s: reading the answer: %w", path, err)
	case len(data) > largest:
		return fmt.Errorf("GET %s: the answer is larger than %d MiB", path, largest>>20)
	case response.StatusCode != http.StatusOK:
		var status struct{ Kind, Message string }
		if json.Unmarshal(data, &status) == nil && status.Kind == "Status" && status.Message != "" {
			return answer{path, response.StatusCode, ": " + status.Message}
		}
		return answer{path, response.StatusCode, ""}
	}
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(into); err != nil {
		return fmt.Errorf("GET %s: the answer is not what an API server gives: %w", path, err)
	}
	return nil
}

// list reads all objects at a path, page by page. If the continue token expires
// (410), it starts over once.
func list[T any](ctx context.Context, c *Client, path string, query url.Values) ([]T, error) {
	for again := true; ; again = false {
		all, err := pages[T](ctx, c, path, query)
		if again && status(err, http.StatusGone) {
			continue
		}
		return all, err
	}
}

func pages[T any](ctx context.Context, c *Client, path string, query url.Values) ([]T, error) {
	asked := url.Values{"limit": {page}}
	for key, values := range query {
		asked[key] = slices.Clone(values)
	}
	var all []T
	for {
		var answer struct {
			Kind     string
			Metadata struct{ Continue string }
			Items    *[]T
		}
		if err := c.get(ctx, path, asked, &answer); err != nil {
			return nil, err
		}
		if !strings.HasSuffix(answer.Kind, "List") || answer.Items == nil {
			return nil, fmt.Errorf("GET %s: the answer is %q and no list", path, answer.Kind)
		}
		all = append(all, *answer.Items...)
		if answer.Metadata.Continue == "" {
			return all, nil
		}
		asked.Set("continue", answer.Metadata.Continue)
	}
}
