#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the kits, and the collection's artifact:
#
#   build.sh kits PLATFORM...    into plugins/, for a checkout used in place
#   build.sh artifact OUTPUT     for every supported platform, into OUTPUT/
#
# A platform is goos/goarch. GO names the Go command. The same sources give the
# same bytes: no paths, no times, no build ids.
set -euo pipefail
# The same order of file names everywhere, in a UTF-8 locale, which Ansible requires.
LC_ALL=$([ "$(uname -s)" = Darwin ] && echo en_US.UTF-8 || echo C.UTF-8)
export LC_ALL
root=$(cd "$(dirname "$0")/.." && pwd)
go=${GO:-go}
all=(linux/amd64 linux/arm64 darwin/arm64)

sum() { if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }

# kits PLUGINS LEVEL PLATFORM...: the kits into PLUGINS/modules and PLUGINS/bin,
# those that run on the controller packed with xz at LEVEL.
kits() {
    local plugins=$1 level=$2 platform name kit
    shift 2
    mkdir -p "$plugins/modules" "$plugins/bin"
    local work
    work=$(mktemp -d "$plugins/bin/.building.XXXXXX")
    # shellcheck disable=SC2064 # the directory of now, not of then
    trap "rm -rf '$work'" EXIT
    for platform in "$@"; do
        name=${platform%/*}_${platform#*/}
        for kit in target controller; do
            (cd "$root" && CGO_ENABLED=0 GOOS=${platform%/*} GOARCH=${platform#*/} GOFLAGS=-mod=readonly GOWORK=off \
                "$go" build -trimpath -buildvcs=false -ldflags '-s -w -buildid=' -o "$work/${kit}_$name" "./cmd/$kit")
        done
        # The x86 filter, which makes jump addresses absolute, saves 6 %. The one for arm64
        # needs liblzma 5.4 (2022), which some Pythons that unpack the kit lack.
        case $name in
        *_amd64) xz -z -k -T1 --x86 "--lzma2=preset=$level" "$work/controller_$name" ;;
        *) xz -z -k -T1 "-$level" "$work/controller_$name" ;;
        esac
    done
    (cd "$work" && sum controller_* target_* | grep -v '\.xz$') >"$work/SHA256SUMS"
    for platform in "$@"; do
        name=${platform%/*}_${platform#*/}
        chmod 755 "$work/target_$name"
        mv "$work/target_$name" "$plugins/modules/__target_$name"
        mv "$work/controller_$name.xz" "$plugins/bin/"
    done
    mv "$work/SHA256SUMS" "$plugins/bin/SHA256SUMS"
    rm -f "$plugins"/bin/guard_* # of older checkouts, in which the guard was a separate kit
    rm -rf "$work"
}

case ${1:-} in
kits)
    shift
    kits "$root/plugins" 1 "$@"
    ;;
artifact)
    output=$(mkdir -p "$2" && cd "$2" && pwd)
    stage=$(mktemp -d "${TMPDIR:-/tmp}/sandbox-collection.XXXXXX")
    trap 'rm -rf "$stage"' EXIT
    tree=$stage/ansible_collections/arcodange/sandbox
    mkdir -p "$tree"
    # Only files that git tracks or would track, so that no build, cache or secret of this checkout is included.
    (cd "$root" && git ls-files -z --cached --others --exclude-standard -- CHANGELOG.md LICENSE README.md galaxy.yml meta plugins roles playbooks \
        inventory site.yml destroy.yml CONTRIBUTING.md docs embedded changelogs tofu promotion ':!docs/site' |
        while IFS= read -r -d '' file; do [ -f "$file" ] && printf '%s\0' "$file"; done |
        tar --null -T - -cf -) | tar -xf - -C "$tree"
    find "$tree" -name '*_test.go' -delete
    kits "$tree/plugins" 9e "${all[@]}"
    trap 'rm -rf "$stage"' EXIT
    (cd "$tree" && ansible-galaxy collection build --force --output-path "$stage/built" >/dev/null)
    for artifact in "$stage"/built/*.tar.gz; do
        python3 "$root/collection/normalise.py" "$artifact" "$output/$(basename "$artifact")"
        echo "$output/$(basename "$artifact")"
    done
    ;;
*)
    echo "usage: build.sh kits PLATFORM... | build.sh artifact OUTPUT" >&2
    exit 2
    ;;
esac
