#!/usr/bin/env bash
# Check that a release can be made: `.github/release.sh 0.2.0`. It writes into ignored folders and /tmp alone, and says what is missing.
set -uo pipefail
cd "$(dirname "$0")/.."
version=${1:?usage: .github/release.sh VERSION}
bad=0
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# check WHAT COMMAND...: the end of what a command printed says why it failed
check() {
  if "${@:2}" >"$out/log" 2>&1; then echo "ok       $1"; else echo "MISSING  $1"; tail -5 "$out/log" | sed 's/^/           /'; bad=1; fi
}
begins_with() { awk -v text="$1" 'index($0, text) == 1 { found = 1 } END { exit !found }' "$2"; }
dated() { grep -F "## $version " CHANGELOG.md | grep -E '\([0-9]{1,2} [A-Z][a-z]+ [0-9]{4}\)$' || { echo "write: ## $version ($(date '+%-d %B %Y'))"; false; }; }
committed() { git status --porcelain && test -z "$(git status --porcelain)"; }
untagged() { git rev-parse --git-dir && ! git rev-parse -q --verify "refs/tags/v$version"; }
packages() {
  make --silent .venv/.installed-dev && SPIKEREEL_PACKAGES="$out/packages" .venv/bin/python -m pytest -q tests/test_packages.py
}
check "the version in src/spikereel/__init__.py is $version" begins_with "__version__ = \"$version\"" src/spikereel/__init__.py
check "CITATION.cff has version $version" grep -qxF "version: $version" CITATION.cff
check "CHANGELOG.md has a section $version with its date" dated
check "nothing is uncommitted" committed
check "there is no tag v$version yet" untagged
check "the pages build" make --silent docs
# sets up .venv where it is not there, then some 3 GB and 20 minutes: sdist, wheel, an environment for the core and one for each extra
check "sdist and wheel install, each command works or names its extra" packages
echo "then: make test; git tag v$version, for which .github/workflows/wheels.yml builds all files; upload them"
exit $bad
