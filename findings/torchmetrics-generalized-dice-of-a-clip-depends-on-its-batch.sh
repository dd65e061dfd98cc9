#!/usr/bin/env bash
# torchmetrics 1.9.0 (torch 2.13.0), segmentation.GeneralizedDiceScore: the same masks score otherwise in batches of
# another size, or in another order, as soon as a mask lacks a class.
# Guessed: a mean over samples, as its page says, each scored by its own mask; batches only split the sum. DiceScore,
# MeanIoU and MulticlassJaccardIndex hold to that here.
# Seen: the weight of a class is 1 / size², and of a class that a mask lacks, the greatest weight that a class has in the
# other masks of the batch: not even of the same class, since the table of weights is turned (classes first) and read as
# if it were not. A batch of 1 has none. weight_type="simple" likewise; "linear" is right, and so is any, where each mask
# holds all classes. Upstream: issue 2846 is of the same lines, but of per_class alone.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 torchmetrics==1.9.0 numpy==2.4.6
env/bin/python - <<'P'
import torch
import torchmetrics
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.segmentation import DiceScore, GeneralizedDiceScore, MeanIoU

draw = torch.Generator().manual_seed(0)
whole = torch.randint(0, 4, (8, 16, 16), generator=draw)
lacking = whole.clone()
lacking[:4][lacking[:4] == 2] = 1
noise = torch.randint(0, 4, whole.shape, generator=draw)
kept = torch.rand(whole.shape, generator=draw) < 0.7
turned = torch.tensor([7, 0, 5, 2, 3, 4, 1, 6])


def scored(metric, target):
    """In batches of 1, 2 and 8, and of 8 in another order."""
    predicted, scores = torch.where(kept, target, noise), []
    for order, batch in ((torch.arange(8), 1), (torch.arange(8), 2), (torch.arange(8), 8), (turned, 8)):
        metric.reset()
        for some in order.split(batch):
            metric.update(predicted[some], target[some])
        scores.append(round(float(metric.compute()), 4))
    return scores


def generalized(weights):
    return GeneralizedDiceScore(4, input_format="index", weight_type=weights)


metrics = {f"generalized {weights}": generalized(weights) for weights in ("square", "simple", "linear")}
metrics |= {"dice": DiceScore(4, input_format="index"), "mean IoU": MeanIoU(4, input_format="index")}
metrics |= {"Jaccard": MulticlassJaccardIndex(4)}
found = {}
for name, metric in metrics.items():
    for kind, target in (("all classes in each mask", whole), ("class 2 in half of them", lacking)):
        found[name, kind] = scored(metric, target)
        print("torchmetrics", torchmetrics.__version__, f"{name}, {kind}: batches of 1, 2, 8, 8 turned: {found[name, kind]}")


def spread(scores):
    return max(scores) - min(scores)


moved = {case for case, scores in found.items() if spread(scores) > 0.0002}
if moved != {(f"generalized {weights}", "class 2 in half of them") for weights in ("square", "simple")}:
    raise SystemExit(f"changed: {found}")
one, _, eight, other_order = found["generalized square", "class 2 in half of them"]
if abs(one - eight) < 0.02 or abs(eight - other_order) < 0.001:
    raise SystemExit(f"changed: {found}")
P
