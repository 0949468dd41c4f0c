// SPDX-License-Identifier: GPL-3.0-or-later

package readonly

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/kubeconfig"
)

// masters is the group that the API server allows everything, regardless of RBAC.
const masters = "system:masters"

// Options are what to open, and the limits.
type Options struct {
	Kubeconfig string
	Context    string // the current one if empty
	// HelmSecrets accepts credentials that can read secrets; only Helm's
	// releases are requested.
	HelmSecrets bool
}

// Refused is a kubeconfig that could do more than read.
type Refused struct {
	Reasons []string // sorted, at least one
}

// Error is one line with the first reasons.
func (r *Refused) Error() string {
	shown, more := r.Reasons, ""
	if len(shown) > 4 {
		more = fmt.Sprintf(" (and %d more)", len(shown)-4)
		shown = shown[:4]
	}
	return "the kubeconfig could do more than read: " + strings.Join(shown, "; ") + more
}

// maxAnswer is the maximal size of a response in bytes.
const maxAnswer = 64 << 20

// Access is read-only access to a cluster.
type Access struct {
	options Options
	server  *url.URL
	address string // to connect to; empty to resolve the server's name
	gate    *gate
	client  *http.Client
}

// At sets the address to connect to, so that a second resolution of the server's
// name cannot differ from the checked one.
func (a *Access) At(address string) { a.address = address }

// Open checks a kubeconfig without sending anything. A *Refused error means
// that the file itself allows more than reading.
func Open(o Options) (*Access, error) {
	file, err := kubeconfig.Read(o.Kubeconfig, o.Context)
	if err != nil {
		return nil, fmt.Errorf("looking at the kubeconfig: %w", err)
	}
	if slices.Contains(file.Groups, masters) {
		return nil, &Refused{[]string{fmt.Sprintf("its client certificate is of the group %s, which may do everything; give one of a user who may only read", masters)}}
	}
	a := &Access{options: o, server: file.Server}
	transport, err := file.Transport(func() string { return a.address })
	if err != nil {
		return nil, fmt.Errorf("looking at the kubeconfig: %w", err)
	}
	a.gate = &gate{next: transport, host: a.server.Host, secrets: o.HelmSecrets}
	a.client = &http.Client{Transport: a.gate, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("the server sends elsewhere, which is not followed")
	}}
	return a, nil
}

// Server is the URL of the API server.
func (a *Access) Server() *url.URL { return a.server }

// Client returns a client that sends only requests that read; until Prove has
// passed, only those of Prove.
func (a *Access) Client() *http.Client { return a.client }

// ClusterUID returns the UID of the namespace kube-system, which identifies a cluster.
func (a *Access) ClusterUID(ctx context.Context) (string, error) {
	var space struct{ Metadata struct{ UID string } }
	if err := a.call(ctx, http.MethodGet, namespaces+"/kube-system", "", &space); err != nil {
		return "", fmt.Errorf("asking which cluster it is: %w", err)
	}
	if space.Metadata.UID == "" {
		return "", errors.New("reading the cluster's UID: none returned")
	}
	return space.Metadata.UID, nil
}

// Prove reads all permissions of the credentials from the API server, and enables
// Client if they are read-only. A *Refused error lists the other permissions.
// Permissions that are granted later are not detected.
func (a *Access) Prove(ctx context.Context) error {
	reasons, err := a.ask(ctx)
	if err != nil {
		return fmt.Errorf("asking the API server what the kubeconfig may do: %w", err)
	}
	if len(reasons) > 0 {
		slices.Sort(reasons)
		return &Refused{slices.Compact(reasons)}
	}
	a.gate.proved.Store(true)
	return nil
}

func (a *Access) ask(ctx context.Context) ([]string, error) {
	var me struct {
		Status struct {
			UserInfo struct{ Groups []string }
		}
	}
	if err := a.call(ctx, http.MethodPost, whoAmI, `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`, &me); err != nil {
		return nil, err
	}
	if slices.Contains(me.Status.UserInfo.Groups, masters) {
		return []string{"its user is of the group " + masters + ", which may do everything"}, nil
	}
	var reasons []string
	where := map[string][]string{} // reason -> the namespaces it holds in
	spaces, err := a.spaces(ctx)
	if err != nil {
		return nil, err
	}
	if spaces == nil {
		// Permissions in unknown namespaces cannot be checked.
		reasons = append(reasons, "it cannot list namespaces, so that it cannot be asked what it may do in each: let it get and list them")
		spaces = []string{"default", "kube-system"}
	}
	for _, space := range spaces {
		found, err := a.rules(ctx, space)
		if err != nil {
			return nil, err
		}
		for _, reason := range found {
			if !slices.Contains(where[reason], space) {
				where[reason] = append(where[reason], space)
			}
		}
	}
	everywhere, err := a.access(ctx, "", questions(a.options.HelmSecrets))
	if err != nil {
		return nil, err
	}
	reasons = append(reasons, everywhere...)
	namespaced := slices.DeleteFunc(questions(a.options.HelmSecrets), func(q attributes) bool { return q.Cluster || q.Path != "" })
	for _, space := range spaces {
		found, err := a.access(ctx, space, namespaced)
		if err != nil {
			return nil, err
		}
		for _, reason := range found {
			if !slices.Contains(everywhere, reason) && !slices.Contains(where[reason], space) {
				where[reason] = append(where[reason], space)
			}
		}
	}
	for reason, in := range where {
		switch {
		case len(in) == len(spaces):
			reasons = append(reasons, reason)
		case len(in) > 3:
			reasons = append(reasons, fmt.Sprintf("in %s and %d more namespaces %s", strings.Join(in[:3], ", "), len(in)-3, reason))
		default:
			reasons = append(reasons, fmt.Sprintf("in the namespace %s %s", strings.Join(in, ", "), reason))
		}
	}
	return reasons, nil
}

// spaces returns the names of all namespaces; nil if listing is forbidden.
func (a *Access) spaces(ctx context.Context) ([]string, error) {
	var list struct {
		Items    []struct{ Metadata struct{ Name string } }
		Metadata struct{ Continue string }
	}
	err := a.call(ctx, http.MethodGet, namespaces, "", &list)
	var failed *statusError
	if errors.As(err, &failed) && failed.code == http.StatusForbidden {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if list.Metadata.Continue != "" || len(list.Items) == 0 {
		return nil, errors.New("it did not list all namespaces")
	}
	var names []string
	for _, item := range list.Items {
		names = append(names, item.Metadata.Name)
	}
	return names, nil
}

// rules returns the permissions beyond reading in a SelfSubjectRulesReview, which
// covers a namespace and cluster-wide rules.
func (a *Access) rules(ctx context.Context, space string) ([]string, error) {
	var answer struct {
		Status *struct {
			ResourceRules    []resourceRule
			NonResourceRules []nonResourceRule
			Incomplete       bool
			EvaluationError  string
		}
	}
	ask, err := json.Marshal(map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": map[string]string{"namespace": space},
	})
	if err != nil {
		return nil, err
	}
	if err := a.call(ctx, http.MethodPost, rulesReview, string(ask), &answer); err != nil {
		return nil, err
	}
	if answer.Status == nil {
		return nil, errors.New("it answered a SelfSubjectRulesReview without a status")
	}
	var reasons []string
	if answer.Status.Incomplete || answer.Status.EvaluationError != "" {
		reasons = append(reasons, "the API server returned incomplete rules, so its permissions are unknown")
	}
	for _, rule := range answer.Status.ResourceRules {
		reasons = append(reasons, rule.writes(a.options.HelmSecrets)...)
	}
	for _, rule := range answer.Status.NonResourceRules {
		reasons = append(reasons, rule.writes()...)
	}
	return reasons, nil
}

// access returns the attributes that SelfSubjectAccessReviews allow. Without a
// namespace they are about all namespaces.
func (a *Access) access(ctx context.Context, space string, questions []attributes) ([]string, error) {
	var reasons []string
	for _, q := range questions {
		spec := map[string]any{"nonResourceAttributes": map[string]string{"verb": q.Verb, "path": q.Path}}
		if q.Path == "" {
			spec = map[string]any{"resourceAttributes": map[string]string{
				"verb": q.Verb, "group": q.Group, "resource": q.Resource, "subresource": q.Subresource, "namespace": space,
			}}
		}
		ask, err := json.Marshal(map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec})
		if err != nil {
			return nil, err
		}
		var answer struct {
			Status *struct {
				Allowed         bool
				EvaluationError string
			}
		}
		if err := a.call(ctx, http.MethodPost, accessReview, string(ask), &answer); err != nil {
			return nil, err
		}
		switch {
		case answer.Status == nil:
			return nil, errors.New("it answered a SelfSubjectAccessReview without a status")
		case answer.Status.Allowed:
			reasons = append(reasons, "it may "+q.String())
		case answer.Status.EvaluationError != "":
			reasons = append(reasons, "the API server cannot evaluate whether it may "+q.String())
		}
	}
	return reasons, nil
}

// statusError is a response with a status other than success.
type statusError struct {
	method, path string
	code         int
}

func (e *statusError) Error() string {
	hint := ""
	if e.code == http.StatusUnauthorized {
		hint = "; its credentials are not accepted"
	}
	return fmt.Sprintf("%s %s was answered with %d %s%s", e.method, e.path, e.code, http.StatusText(e.code), hint)
}

func (a *Access) call(ctx context.Context, method, path, body string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, a.Server().String()+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := a.client.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // without the address
		}
		var dial *net.OpError
		if errors.As(err, &dial) {
			err = dial.Err
		}
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated {
		return &statusError{method, path, res.StatusCode}
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if len(data) > maxAnswer {
		return fmt.Errorf("%s %s: the answer is larger than %d MiB", method, path, maxAnswer>>20)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s %s: the answer is not JSON that is understood", method, path)
	}
	return nil
}
