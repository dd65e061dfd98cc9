#!/usr/bin/env bash
# Check that a release can be made: `.github/release.sh 0.2.0`. It changes nothing, and says what is missing.
set -uo pipefail
cd "$(dirname "$0")/.."
version=${1:?usage: .github/release.sh VERSION}
bad=0
check() { if eval "$2"; then echo "ok       $1"; else echo "MISSING  $1"; bad=1; fi; }
check "the version in src/spikereel/__init__.py is $version" 'grep -q "^__version__ = \"$version\"" src/spikereel/__init__.py'
check "CITATION.cff has version $version" 'grep -q "^version: $version$" CITATION.cff'
check "CHANGELOG.md has a section $version" 'grep -q "^## .*$version" CHANGELOG.md'
check "nothing is uncommitted" 'test -z "$(git status --porcelain)"'
check "there is no tag v$version yet" '! git rev-parse -q --verify "refs/tags/v$version" >/dev/null'
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
check "sdist and wheel build" 'python3 -m pip wheel --quiet --no-deps --wheel-dir "$out" . 2>"$out/log"'
check "the wheel holds the weights that ship" 'python3 -m zipfile -l "$out"/*.whl | grep -q "spikereel_ti.motion.safetensors\|spikevideoformer_ti.motion.safetensors"'
check "the pages build" 'make --silent docs >"$out/docs.log" 2>&1'
echo "then: make test; cibuildwheel for the wheels; git tag v$version; upload"
exit $bad
