#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Measures what the README promises, beside what it is compared to, in one run
# on this machine, and prints a table. Nothing here passes or fails: machines
# are noisy. It uses a sandbox of its own and removes it. usage: bench.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

inventory=molecule/default/inventory
options=(-i "$inventory" -e sandbox_name=bench -e sandbox_subnet=172.30.9.0/24 -e '{"sandbox_evidence": {}}')
row() { printf '%-66s %12s  %s\n' "$1" "$2" "$3"; }
seconds() {
    local begun=$EPOCHREALTIME
    "$@" >/tmp/sandbox-bench.log 2>&1 || { tail -n 20 /tmp/sandbox-bench.log >&2; exit 1; }
    awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN {printf "%.1f s", b - a}'
}
trap 'ansible-playbook "${options[@]}" destroy.yml >/dev/null 2>&1' EXIT

ansible-playbook "${options[@]}" destroy.yml >/dev/null 2>&1
row WHAT MEASURED "AT MOST"
row "site.yml, caches warm, nothing running" "$(seconds ansible-playbook "${options[@]}" site.yml)" "90 s, aim 60"
row "site.yml again" "$(seconds ansible-playbook "${options[@]}" site.yml)" "40 s"
row "site.yml --check --diff" "$(seconds ansible-playbook "${options[@]}" site.yml --check --diff)" "40 s"
sleep 20
memory=$(docker stats --no-stream --format '{{.MemUsage}}' bench-pi1 bench-pi2 bench-pi3 |
    awk '{v = $1; if (v ~ /GiB/) m = 1024; else m = 1; sub(/[A-Za-z]+$/, "", v); sum += v * m} END {printf "%.0f MiB", sum}')
row "memory of the three idle nodes" "$memory" "1536 MiB"
python=$(dirname "$(readlink -f "$(command -v ansible-playbook)")")/python
guard=$(mktemp -d)
xz -dc plugins/bin/controller_"$(uname -s | tr '[:upper:]' '[:lower:]')"_*.xz >"$guard/prod-ip-guard"
chmod 755 "$guard/prod-ip-guard"
python3 tests/bench/guard.py "$guard/prod-ip-guard" "$inventory/boundary.yml" \
    "${XDG_STATE_HOME:-$HOME/.local/state}/arcodange-sandbox/bench" 172.30.9.11
"$python" tests/bench/connection.py "$inventory/boundary.yml" "${XDG_STATE_HOME:-$HOME/.local/state}/arcodange-sandbox/bench" 172.30.9.11
ln "$guard/prod-ip-guard" "$guard/kit" # by that name it is no guard
python3 tests/bench/parity.py "$guard/kit" "$inventory/boundary.yml" \
    "${XDG_STATE_HOME:-$HOME/.local/state}/arcodange-sandbox/bench/kubeconfig" inventory/parity/manifest.yml inventory/parity/waivers.yml
rm -r "$guard"
row "destroy.yml" "$(seconds ansible-playbook "${options[@]}" destroy.yml)" "-"
kit=$(ls plugins/modules/__target_"$(uname -s | tr '[:upper:]' '[:lower:]')"_*)
row "$(basename "$kit")" "$(($(stat -c %s "$kit") / 1024)) KiB" "6144 KiB"
for artifact in build/arcodange-sandbox-*.tar.gz; do
    [ -f "$artifact" ] && row "$(basename "$artifact")" "$(($(stat -c %s "$artifact") / 1024)) KiB" "20480 KiB"
done
echo
"$python" tests/bench/module_call.py "$kit"
"$python" tests/bench/gate_events.py
${GO:-go} test -run '^$' -bench . -benchtime 5x ./internal/gate/promotion/ | awk '/^BenchmarkEvaluate/ {printf "%-66s %10.2f s  %s\n", "promotion_gate, 1,000 commits and 10,000 files", $3 / 1e9, "2 s"}'
${GO:-go} test -run '^$' -bench . -benchtime 5x ./internal/evidence/ | awk '
    /^BenchmarkAppendTo100000Records/ {printf "%-66s %9.1f ms  %s\n", "ledger of 100,000 records, one more", $3 / 1e6, "20 ms"}
    /^BenchmarkAppendSignedTo100000Records/ {printf "%-66s %9.1f ms  %s\n", "  and signed", $3 / 1e6, "20 ms"}
    /^BenchmarkVerify100000Records/ {printf "%-66s %10.2f s  %s\n", "ledger of 100,000 records, verified", $3 / 1e9, "2 s"}
    /^BenchmarkVerify100000SignedRecords/ {printf "%-66s %10.2f s  %s\n", "  and each signed", $3 / 1e9, "2 s"}'
${GO:-go} test -run '^$' -bench . -benchtime 10x ./tests/naming/ ./internal/ansible/ | grep -E '^Benchmark'
