// SPDX-License-Identifier: GPL-3.0-or-later

package readonly

import (
	"fmt"
	"slices"
	"strings"
)

// resourceRule and nonResourceRule are the rules in a SelfSubjectRulesReview's status.
type resourceRule struct {
	Verbs, APIGroups, Resources, ResourceNames []string
}

type nonResourceRule struct {
	Verbs, NonResourceURLs []string
}

// reads are the verbs that change nothing, except on resources that act on a GET.
func reads(verb string) bool { return verb == "get" || verb == "list" || verb == "watch" }

// writes returns the permissions of a rule beyond reading, also those for
// single names.
func (r resourceRule) writes(secrets bool) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, verb := range r.Verbs {
		for _, resource := range r.Resources {
			for _, group := range r.APIGroups {
				name := resource
				if group != "" {
					name += "." + group
				}
				_, sub, isSub := strings.Cut(resource, "/")
				switch {
				case verb == "create" && review(group, resource):
				case !reads(verb):
					add("it may %s %s", verb, name)
				case isSub && (sub == "*" || slices.Contains(acting(), sub)):
					add("it may %s %s, which acts on a GET", verb, name)
				case verb == "get" && resource == "*":
					add("it may get %s, and among what a wildcard covers are pods/exec and the like, which act on a GET, and whatever is added later: name the resources", name)
				case !secrets && (resource == "secrets" || resource == "*") && (group == "" || group == "*"):
					add("it may %s secrets, which can contain credentials that write: remove the permission, or set helm_secrets to read Helm's releases", verb)
				}
			}
		}
	}
	return out
}

// review returns whether a resource is a review of the caller's permissions, which is read with the verb create.
func review(group, resource string) bool {
	return group == "authorization.k8s.io" && (resource == "selfsubjectaccessreviews" || resource == "selfsubjectrulesreviews") ||
		group == "authentication.k8s.io" && resource == "selfsubjectreviews"
}

func (r nonResourceRule) writes() []string {
	var out []string
	for _, verb := range r.Verbs {
		if verb != "get" && verb != "head" && verb != "options" {
			out = append(out, fmt.Sprintf("it may %s %s", verb, strings.Join(r.NonResourceURLs, ", ")))
		}
	}
	return out
}

// attributes are those of one SelfSubjectAccessReview.
type attributes struct {
	Verb, Group, Resource, Subresource string
	Path                               string // of a non-resource URL; then only Verb is set too
	Cluster                            bool   // the resource belongs to no namespace
}

func (a attributes) String() string {
	if a.Path != "" {
		return a.Verb + " " + a.Path
	}
	name := a.Resource
	if a.Subresource != "" {
		name += "/" + a.Subresource
	}
	if a.Group != "" {
		name += "." + a.Group
	}
	return a.Verb + " " + name
}

// questions are checked in addition to the rules, because an authorizer may be
// unable to list its rules but must answer access reviews.
func questions(secrets bool) []attributes {
	all := []attributes{}
	for _, verb := range []string{"*", "create", "update", "patch", "delete", "deletecollection", "impersonate", "escalate", "bind"} {
		all = append(all, attributes{Verb: verb, Group: "*", Resource: "*"})
	}
	for _, verb := range []string{"create", "get"} {
		for _, sub := range []string{"exec", "attach", "portforward", "proxy"} {
			all = append(all, attributes{Verb: verb, Resource: "pods", Subresource: sub})
		}
		all = append(all, attributes{Verb: verb, Resource: "services", Subresource: "proxy"},
			attributes{Verb: verb, Resource: "nodes", Subresource: "proxy", Cluster: true})
	}
	all = append(all,
		attributes{Verb: "create", Resource: "pods"}, attributes{Verb: "delete", Resource: "pods"},
		attributes{Verb: "patch", Resource: "configmaps"}, attributes{Verb: "create", Resource: "secrets"},
		attributes{Verb: "create", Resource: "serviceaccounts", Subresource: "token"},
		attributes{Verb: "create", Resource: "pods", Subresource: "eviction"}, attributes{Verb: "patch", Resource: "pods", Subresource: "ephemeralcontainers"},
		attributes{Verb: "impersonate", Resource: "serviceaccounts"},
		attributes{Verb: "patch", Group: "apps", Resource: "deployments"}, attributes{Verb: "update", Group: "apps", Resource: "statefulsets", Subresource: "scale"},
		attributes{Verb: "create", Group: "batch", Resource: "jobs"}, attributes{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "rolebindings"},
		attributes{Verb: "bind", Group: "rbac.authorization.k8s.io", Resource: "roles"}, attributes{Verb: "escalate", Group: "rbac.authorization.k8s.io", Resource: "roles"},
		attributes{Verb: "patch", Group: "argoproj.io", Resource: "applications"}, attributes{Verb: "delete", Group: "longhorn.io", Resource: "volumes"},
		attributes{Verb: "impersonate", Resource: "users", Cluster: true}, attributes{Verb: "impersonate", Resource: "groups", Cluster: true},
		attributes{Verb: "create", Resource: "namespaces", Cluster: true}, attributes{Verb: "delete", Resource: "nodes", Cluster: true},
		attributes{Verb: "create", Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings", Cluster: true},
		attributes{Verb: "bind", Group: "rbac.authorization.k8s.io", Resource: "clusterroles", Cluster: true},
		attributes{Verb: "escalate", Group: "rbac.authorization.k8s.io", Resource: "clusterroles", Cluster: true},
		attributes{Verb: "create", Group: "certificates.k8s.io", Resource: "certificatesigningrequests", Cluster: true},
		attributes{Verb: "post", Path: "/"}, attributes{Verb: "put", Path: "/debug/flags/v"}, attributes{Verb: "*", Path: "*"},
	)
	if !secrets {
		for _, verb := range []string{"get", "list", "watch"} {
			all = append(all, attributes{Verb: verb, Resource: "secrets"})
		}
	}
	return all
}
