#!/usr/bin/env bash
# torch 2.13.0, torch.export of a neuron whose membrane is a buffer: all modules that come from one ExportedProgram, the
# program itself and the network it was made from have one membrane between them.
# Guessed: program.module() is a module of its own ("self contained", says its page), at rest as the network was when it
# was exported; two of them are two streams, and torch.export.save writes the program as it was exported.
# Seen: buffers are shared, not copied. A second module goes on where the first one stopped, two streams that take turns
# are both wrong, a file saved after a trial begins in the middle of it, and the network itself has moved. No warning. So
# with `self.v = v` and with `self.v.copy_(v)`. copy.deepcopy(program.module()) is apart, and so is a program that is
# loaded from a file, from others, but not from its own modules.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
python3 -m venv env && env/bin/pip install -q torch==2.13.0 numpy==2.4.6
env/bin/python -W ignore - <<'P'
import copy
import io

import torch


class Neuron(torch.nn.Module):
    def __init__(self, assigned):
        super().__init__()
        self.assigned = assigned
        self.register_buffer("v", torch.zeros(1))

    def forward(self, x):
        v = 0.5 * self.v + x
        spikes = (v >= 1).float()
        v = v - spikes
        if self.assigned:
            self.v = v
        else:
            self.v.copy_(v)
        return spikes, v


x = torch.full((1,), 0.8)


def run(module, steps=4):
    return [round(float(module(x)[1]), 3) for _ in range(steps)]


def in_turns(first, second):
    both = [(run(first, 1), run(second, 1)) for _ in range(2)]
    return [[float(x) for (x,) in stream] for stream in zip(*both, strict=True)]


def written(program):
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    return torch.export.load(file)


right = run(Neuron(True))
print("torch", torch.__version__, "membrane of four steps from rest:", right)
for assigned in (True, False):
    network = Neuron(assigned)
    program = torch.export.export(network, (x,))
    apart = copy.deepcopy(program.module())
    seen = {"first module": run(program.module()), "network after it": round(float(network.v), 3)}
    seen |= {"second module": run(program.module()), "saved and loaded": run(written(program).module())}
    seen["deep copy"] = run(apart)
    fresh = torch.export.export(Neuron(assigned), (x,))
    seen["two in turns"] = in_turns(fresh.module(), fresh.module())
    loaded = written(torch.export.export(Neuron(assigned), (x,)))
    seen["two of a file"] = [run(loaded.module()), run(loaded.module())]
    for what, values in seen.items():
        print("self.v = v:" if assigned else "self.v.copy_(v):", what, values)
    alone = seen["first module"] == seen["deep copy"] == right and seen["network after it"] == right[-1]
    leaks = right not in (seen["second module"], seen["saved and loaded"], seen["two of a file"][1])
    if not alone or not leaks or seen["two in turns"] != [[right[0], right[2]], [right[1], right[3]]]:
        raise SystemExit(f"changed: {seen}")
P
