#!/usr/bin/env bash
# torchmetrics 1.9.0 (torch 2.13.0), MetricCollection: metrics with other options become one for good, where they agree on
# the first batch. Top-2 accuracy is then top-1 accuracy, and mIoU without a class is taken from counts that hold it.
# Guessed: a metric in a collection gives what it gives alone; groups that share states are made by what a metric counts,
# of one class and equal options, as its page says (accuracy, precision and recall).
# Seen: groups are made by comparing the states after the first update. A first batch that is all right, or one without
# the ignored class, makes them equal by chance; all later batches are counted by the first metric alone. No warning.
# compute_groups=False is right. Upstream: issues 2596 and 2916 (closed), where states agree by a custom filter or BLEU.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6
env/bin/python - <<'P'
import torch
import torchmetrics
from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy, MulticlassJaccardIndex


def measured(metrics, batches):
    whole = torchmetrics.MetricCollection({name: metric.clone() for name, metric in metrics.items()})
    apart = torchmetrics.MetricCollection(dict(metrics), compute_groups=False)
    for predicted, target in batches:
        whole.update(predicted, target)
        apart.update(predicted, target)
    return [{name: round(float(x), 4) for name, x in each.compute().items()} for each in (whole, apart)]


draw = torch.Generator().manual_seed(0)
scores, classes = torch.rand(64, 5, generator=draw), torch.randint(0, 5, (64,), generator=draw)
masks = [torch.randint(0, 3, (2, 8, 8), generator=draw) for _ in range(2)]
cases = {
    "top": ({"top1": MulticlassAccuracy(5), "top2": MulticlassAccuracy(5, top_k=2)}, (torch.eye(5), torch.arange(5))),
    "ignored": (
        {"all": MulticlassJaccardIndex(3), "without_0": MulticlassJaccardIndex(3, ignore_index=0)},
        (masks[0], masks[1].clamp(1, 2)),
    ),
    "threshold": (
        {"above_5": BinaryAccuracy(threshold=0.5), "above_9": BinaryAccuracy(threshold=0.9)},
        (torch.tensor([0.95, 0.05]), torch.tensor([1, 0])),
    ),
}
rest = {"top": (scores, classes), "ignored": (masks[0], masks[1]), "threshold": (scores[:, 0], classes % 2)}
wrong = []
for name, (metrics, first) in cases.items():
    for order, batches in (("easy batch first", (first, rest[name])), ("easy batch last", (rest[name], first))):
        together, alone = measured(metrics, batches)
        print("torchmetrics", torchmetrics.__version__, f"{name}, {order}: in a collection {together}, alone {alone}")
        wrong.append(together != alone)
if wrong != [True, False] * 3:
    raise SystemExit(f"changed: {wrong}")
P
