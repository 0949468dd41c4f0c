#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds a program from its pinned Go module, once, and prints its path. What
# was built is kept by content: by its sources, the pinned sums, this script and the Go
# command, so that a new pin never finds an old binary.
# usage: tool.sh CACHE_DIR tofu|terraform|helm|kubectl|registry|golangci-lint        (GO names the Go command)
set -euo pipefail

cache=${1:?usage: tool.sh CACHE_DIR tofu|terraform|helm|kubectl|registry|golangci-lint}
name=${2:?usage: tool.sh CACHE_DIR tofu|terraform|helm|kubectl|registry|golangci-lint}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
go=${GO:-$("$here/go.sh")}
source=$here/$name

case $name in
tofu)
    package=github.com/opentofu/opentofu/cmd/tofu
    flags='-s -w -X github.com/opentofu/opentofu/version.dev=no'
    ;;
terraform)
    package=github.com/hashicorp/terraform
    flags='-s -w -X github.com/hashicorp/terraform/version.dev=no'
    ;;
golangci-lint)
    package=github.com/golangci/golangci-lint/v2/cmd/golangci-lint
    flags='-s -w'
    ;;
helm)
    package=helm.sh/helm/v3/cmd/helm
    version=$(awk '$1 == "helm.sh/helm/v3" {print $2} $1 == "require" && $2 == "helm.sh/helm/v3" {print $3}' "$source/go.mod")
    flags="-s -w -X helm.sh/helm/v3/internal/version.version=$version"
    ;;
kubectl)
    package=.
    version=$(awk '$1 == "k8s.io/kubectl" {sub("v0", "v1", $2); print $2}' "$source/go.mod")
    flags='-s -w'
    for info in k8s.io/component-base/version k8s.io/client-go/pkg/version; do flags+=" -X $info.gitVersion=$version"; done
    ;;
registry)
    package=.
    flags='-s -w'
    ;;
*)
    echo "tool: there is no pinned tool $name; tofu, terraform, helm, kubectl, registry and golangci-lint are" >&2
    exit 1
    ;;
esac

sum() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }
# The toolchain that go.mod selects, hence the directory.
key=$( (cat "$source"/go.* "${BASH_SOURCE[0]}" && find "$source" -name '*.go' -exec cat {} + && cd "$source" && "$go" env GOVERSION GOOS GOARCH) | sum | cut -c1-16)
target=$cache/tools/$name/$key/$name
if [ ! -x "$target" ]; then
    echo "tool: building $name (minutes the first time, nothing after)" >&2
    mkdir -p "$(dirname "$target")"
    # Under another name first: a build cut short must not look whole.
    part=$target.$$
    trap 'rm -f "$part"' EXIT
    (cd "$source" && CGO_ENABLED=0 nice -n 10 "$go" build -p 2 -trimpath -mod=readonly -ldflags "$flags" -o "$part" "$package")
    mv "$part" "$target"
fi
echo "$target"
