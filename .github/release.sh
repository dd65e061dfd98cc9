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
check "the pages build" 'make --silent docs >"$out/docs.log" 2>&1'
# some 3 GB and 20 minutes: sdist, wheel, an environment for the core and one for each extra
check "sdist and wheel install, each command works or names its extra" \
  'SPIKEREEL_PACKAGES="$out/packages" .venv/bin/python -m pytest -q tests/test_packages.py >"$out/packages.log" 2>&1 || { tail -5 "$out/packages.log"; false; }'
echo "then: make test; git tag v$version, for which .github/workflows/wheels.yml builds all files; upload them"
exit $bad
