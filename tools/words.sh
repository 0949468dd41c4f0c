#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Fails if code, messages or task names hold a word that readers had to decode,
# and names the word to use. usage: words.sh
set -euo pipefail
cd "$(dirname "$0")/.."

# pattern TAB word to use
words='stand-?in\b	wrapper, or replacement
couplings?\b	external reference
\bways in\b	bypass attempts
\bwish(es)?\b	request
headless\b|heedless	missing_head, allow_missing_head
\bpatience\b	timeout
\bslack\b	clock skew
farthest	maximal depth
undoing|unheard	what it does
\bliars?\b	undeclared change
no_class	unclassified
, (is|there) :?= 	ok
\bjudg(e|es|ing|ement)\b	check, evaluate
\bnobody\b	no process, no user, not X
\bwhoever\b	the caller, the user
\bleads? to\b	resolves to, points to
\b(is|are) told\b	receives, reports'
found=0
while IFS=$'\t' read -r pattern instead; do
    # Chromium has an option of that name.
    if hits=$(git grep -niE "$pattern" -- 'internal/*.go' 'modules/*.go' 'cmd/*.go' 'tools/*.go' plugins roles playbooks inventory site.yml destroy.yml \
        ':!*_test.go' ':!*testdata*' ':!*chromium*'); then
        echo "words.sh: use ${instead}:" >&2
        printf '%s\n' "$hits" >&2
        found=1
    fi
done <<<"$words"
exit "$found"
