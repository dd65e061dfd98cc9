#!/usr/bin/env bash
# What a container or an installation must be able to do, in about a minute and without any data:
#   docker run --rm --entrypoint /opt/spikereel/smoke.sh spikereel:cpu
#   PYTHON=.venv/bin/python deploy/smoke.sh
set -euo pipefail

python=${PYTHON:-python}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
spikereel() { "$python" -m spikereel.apps.cli "$@"; }

spikereel doctor
echo "smoke: a clip is drawn and predicted"
"$python" - <<'PY'
import torch

from spikereel.data.video.write import write_video

for number in range(3):
    pictures = torch.randint(0, 256, (12, 3, 48, 64), generator=torch.Generator().manual_seed(number))
    write_video(f"{number}.mp4", pictures.to(torch.uint8), 12)
open("clips.csv", "w").write("path\n0.mp4\n1.mp4\n2.mp4\nnot_there.mp4\n")
PY
spikereel predict --manifest clips.csv --out results --workers 1
"$python" - <<'PY'
import spikereel

rows = spikereel.read_results("results")
assert len(rows) == 4, rows
assert sum(row["error"] is None for row in rows) == 3, rows
PY
echo "smoke: four steps of training"
spikereel train motion run.out=runs run.progress=false optim.epochs=0.25 optim.batch=4 \
    data.train_length=64 data.test_length=10 data.size=32 data.workers=0 run.silent_epochs=0 --no-report
test -s runs/*/last.safetensors
echo "smoke: passed"
