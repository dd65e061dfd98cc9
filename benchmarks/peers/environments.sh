#!/usr/bin/env bash
# Side environments of the peers, one folder each below DEST: two versions of SpikingJelly exclude each other, and our
# own environment stays free of both. Run a peer's benchmark from the root of the repository with
#   PYTHONPATH=src DEST/<environment>/bin/python benchmarks/peer_speed.py --peers <name>
set -euo pipefail
destination=${1:?"usage: environments.sh DEST [ENVIRONMENT ...]"}
shift
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
[ $# -gt 0 ] || set -- spikingjelly012 spikingjelly2 dense

for name in "$@"; do
    "$python" -m venv "$destination/$name"
    pip=("$destination/$name/bin/python" -m pip --disable-pip-version-check --quiet install -c "$here/../../constraints.txt")
    "${pip[@]}" torch numpy einops jaxtyping safetensors av jsonargparse rich beartype hypothesis pytest pytest-timeout
    case $name in
        spikingjelly*) "${pip[@]}" --no-deps -r "$here/requirements/$name.txt" ;;
        *) "${pip[@]}" -r "$here/requirements/$name.txt" ;;
    esac
    echo "made: $destination/$name"
done
