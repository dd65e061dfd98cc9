"""Where a call of several steps begins to differ: `python benchmarks/export_steps.py MODEL SCHEME NEURON TASK`.

The words name a cell of `export_models.py`. A file shows its membranes after a call alone; here the graph gives input
and spikes of every neuron layer as well, so that all steps are compared with the model: those of ONNX Runtime, of
PyTorch with folded norms, and of float64. Prints layers in which spikes differ, with the charges of the first of them,
and the ties that a certificate names.
"""

import argparse
import copy
import logging
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from export_models import FRAMES, Cell, bases, built
from torch import Tensor, nn

from spikereel.exporting.flat import flat
from spikereel.exporting.fold import folded
from spikereel.exporting.ties import ties
from spikereel.layers.charged import following
from spikereel.layers.neuron import Neuron, collected
from spikereel.models.base import VideoModel

SHOWN = 3


class Steps(nn.Module):
    """A model that sees whole clips, whose outputs go on with input and spikes of each neuron layer."""

    def __init__(self, model: VideoModel, size: tuple[int, int]):
        super().__init__()
        self.flat = flat(model, steps=FRAMES, batch=1, size=size)
        self.seen: dict[str, tuple[Tensor, Tensor]] = {}
        for name, module in model.named_modules():
            if isinstance(module, Neuron) and module.spiking:
                module.register_forward_hook(lambda _m, x, out, name=name: self.seen.update({name: (x[0], out[0])}))

    def forward(self, video: Tensor) -> tuple[Tensor, ...]:
        """The first output, then two for each neuron layer, in the order in which they run."""
        self.seen.clear()
        output = self.flat(video)[0]
        self.order = list(self.seen)
        found = [x for pair in self.seen.values() for x in pair]
        self.seen.clear()
        return (output, *found)


def by_onnx(own: Steps, clip: Tensor) -> list[Tensor]:
    """The outputs in ONNX Runtime."""
    import onnxruntime as ort

    with TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        path = Path(folder, "net.onnx")
        program = torch.onnx.export(own, (clip,), dynamo=True, opset_version=20, verbose=False)
        assert program is not None
        program.save(path)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return [torch.from_numpy(x) for x in session.run(None, {session.get_inputs()[0].name: clip.numpy()})]


def counts(neuron: Neuron, spikes: Tensor) -> Tensor:
    """Whole numbers of spikes [T, ...] of an output."""
    return (collected(spikes, neuron.config) / neuron.config.unit).round()


def compare(model: VideoModel, clip: Tensor) -> None:
    """Print what differs."""
    size = (clip.shape[3], clip.shape[4])
    # hooks are copied with a model
    own = Steps(copy.deepcopy(model), size)
    with torch.no_grad():
        expected = own(clip)
        exact = Steps(copy.deepcopy(model).double(), size)(clip.double())
        found = {"PyTorch, folded": Steps(folded(model), size)(clip)}
    found["ONNX Runtime"] = by_onnx(Steps(folded(model), size), clip)
    modules = dict(model.named_modules())
    for i, name in enumerate(own.order):
        neuron = modules[name]
        assert isinstance(neuron, Neuron)
        spikes = expected[2 + 2 * i]
        for what, others in {**found, "float64": exact}.items():
            differ = (others[2 + 2 * i].float() != spikes).nonzero()
            if len(differ):
                print(f"{name}: {len(differ)} of {spikes.numel()} differ in {what}")
            for place in map(tuple, differ[:SHOWN].tolist()):
                charges = [
                    float(following(neuron, y[1 + 2 * i], None, counts(neuron, y[2 + 2 * i]))[place])
                    for y in (expected, others, exact)
                ]
                here, there, truth = charges
                print(f"  step {place[0]}, {place[1:]}: charge {here:.9g}, there {there:.9g}, in float64 {truth:.9g}")


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=bases(), metavar="MODEL")
    parser.add_argument("scheme")
    parser.add_argument("neuron")
    parser.add_argument("task")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    model, clip, _ = built(Cell(options.model, options.scheme, options.neuron, options.task, "onnx"))
    for tie in ties(model, clip):
        print(f"tie: {tie}")
    compare(model, clip)
    return 0


if __name__ == "__main__":
    sys.exit(main())
