#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the embedded distribution, once for every content of its sources:
#
#   build.sh CACHE ARCH               build into CACHE/<key>/, unless it is there
#   build.sh --print-dir CACHE ARCH   print that directory
#
# The directory holds k3s-linux-ARCH, k3s-images-linux-ARCH.tar and SHA256SUMS,
# which is written last: with it the build is whole. GO names the Go command.
set -euo pipefail
export LC_ALL=C

kubernetes=v1.34.3
source=$(cd "$(dirname "$0")" && pwd)

only_print=false
if [ "${1:-}" = --print-dir ]; then
    only_print=true
    shift
fi
cache=${1:?usage: build.sh [--print-dir] CACHE ARCH}
arch=${2:?usage: build.sh [--print-dir] CACHE ARCH}

sum() { if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }

# Everything that goes into the build, and nothing that does not.
key=$(cd "$source" && {
    find . -type f \( -name '*.go' -o -name '*.yaml' -o -name go.mod -o -name go.sum -o -name build.sh \) ! -name '*_test.go' ! -path '*/testdata/*' | sort |
        while read -r file; do sum "$file"; done
} | sum | cut -c1-16)
dir=$cache/$key
if $only_print; then
    echo "$dir"
    exit 0
fi
# The sums of one architecture are added last, so they tell whether its files are all there.
whole() { grep -q " k3s-images-linux-$arch.tar\$" "$dir/SHA256SUMS" 2>/dev/null; }
whole && exit 0

go=${GO:-go}
if ! command -v "$go" >/dev/null; then
    echo "building the embedded Kubernetes: no Go command; install Go 1.21 or newer, or name it in GO" >&2
    exit 1
fi
mkdir -p "$cache"
exec 9>"$cache/.lock"
if command -v flock >/dev/null; then flock 9; fi
whole && exit 0
echo "building the embedded Kubernetes $kubernetes for linux/$arch (several minutes the first time)"

# A build cut short leaves only a directory of this name, which the next one removes.
rm -rf "$cache"/.building-*
work=$cache/.building-$$
mkdir "$work"
trap 'rm -rf "$work"' EXIT
export GOOS=linux GOARCH=$arch GOFLAGS=-mod=readonly GOWORK=off

# Compares as k3s1 does, for those who decide by it whether to download k3s, and says what it is.
version=$kubernetes+k3s1.embedded
v=k8s.io/component-base/version
c=k8s.io/client-go/pkg/version
m=github.com/arcodange-org/sandbox/embedded
minor=${kubernetes#v1.}
minor=${minor%%.*}
ldflags="-s -w -buildid="
for package in $v $c; do
    ldflags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
    ldflags+=" -X $package.gitCommit=$key -X $package.buildDate=1970-01-01T00:00:00Z"
done
ldflags+=" -X main.build=$key -X $m/internal/server.Images=$key -X $m/internal/agent.PauseImage=localhost/arcodange/pause:$key"

# SQLite is C. Linked statically, the binary runs whatever the node's C library is.
case $(uname -s)/$(uname -m)/$arch in
Linux/x86_64/amd64 | Linux/aarch64/arm64) ;;
*/arm64) export CC=${CC:-aarch64-linux-gnu-gcc} ;;
*) export CC=${CC:-x86_64-linux-gnu-gcc} ;;
esac
if ! command -v "${CC:-gcc}" >/dev/null; then
    echo "building the embedded Kubernetes: SQLite needs the C compiler ${CC:-gcc}; install it (package gcc, or gcc-aarch64-linux-gnu for arm64), or name one in CC" >&2
    exit 1
fi
(cd "$source" && CGO_ENABLED=1 CGO_CFLAGS="-O2 -DSQLITE_ENABLE_DBSTAT_VTAB=1" "$go" build -trimpath -buildvcs=false \
    -tags netgo,osusergo,sqlite_omit_load_extension -ldflags "$ldflags -linkmode=external -extldflags=-static" -o "$work/k3s-linux-$arch" ./cmd/k3s)

export CGO_ENABLED=0
crictl=$(cd "$source/crictl" && "$go" list -m -f '{{.Version}}' sigs.k8s.io/cri-tools)
(cd "$source/crictl" && "$go" build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X sigs.k8s.io/cri-tools/pkg/version.Version=$crictl" \
    -o "$work/images/crictl" sigs.k8s.io/cri-tools/cmd/crictl)
(
    cd "$source/images"
    build() { "$go" build -trimpath -buildvcs=false -ldflags "-s -w -buildid=" -o "$work/images/$1" "$2"; }
    build pause ./pause
    build shell ./shell
    build probe ./probe
    build coredns ./coredns
    build local-path-provisioner github.com/rancher/local-path-provisioner
    GOOS='' GOARCH='' "$go" build -trimpath -buildvcs=false -o "$work/images/pack" ./pack
    GOOS='' GOARCH='' "$go" build -trimpath -buildvcs=false -o "$work/images/attach" ./attach
)
"$work/images/attach" "$work/k3s-linux-$arch" "crictl=$work/images/crictl"
registry=localhost/arcodange
"$work/images/pack" "$work/k3s-images-linux-$arch.tar" "$arch" \
    "$registry/pause:$key=$work/images/pause:/pause" \
    "$registry/shell:$key=$work/images/shell:/bin/sh" \
    "$registry/probe:$key=$work/images/probe:/probe" \
    "$registry/coredns:$key=$work/images/coredns:/coredns" \
    "$registry/local-path-provisioner:$key=$work/images/local-path-provisioner:/local-path-provisioner"
rm -rf "$work/images"
(cd "$work" && sum "k3s-linux-$arch" "k3s-images-linux-$arch.tar" >"SHA256SUMS.$arch")
mkdir -p "$dir"
mv "$work/k3s-linux-$arch" "$work/k3s-images-linux-$arch.tar" "$dir/"
cat "$work/SHA256SUMS.$arch" >>"$dir/SHA256SUMS"
