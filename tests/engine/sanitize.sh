#!/usr/bin/env bash
# Tests of the engine on kernels built with AddressSanitizer and UndefinedBehaviorSanitizer, in a folder of its own,
# those for AMX with its instructions written in C:
#   tests/engine/sanitize.sh /tmp/sanitized [pytest arguments]
# Needs GCC, and an environment with the test dependencies as `python` (or PYTHON) and pip's build tools.
set -euo pipefail
destination=${1:?"usage: sanitize.sh DEST [pytest arguments]"}
shift
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python}
"${PIP_PYTHON:-$python}" -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target "$destination" \
    -C cmake.define.SPIKEREEL_SANITIZE=ON -C cmake.define.SPIKEREEL_TILES_IN_C=ON -C build-dir="$destination/build" "$root"
cd "$root"
[ $# -gt 0 ] || set -- tests/engine/test_kernels.py tests/engine/test_sanitized.py tests/ops/test_training.py
# an editable installation puts its finder before all paths
cat > "$destination/sitecustomize.py" <<'END'
import sys

sys.meta_path[:] = [x for x in sys.meta_path if "editable" not in type(x).__module__]
END
# Python itself does not free all it takes
SPIKEREEL_SANITIZED="$destination" ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONPATH="$destination" \
    LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so)" \
    "$python" -m pytest -p no:cacheprovider -q "$@"
