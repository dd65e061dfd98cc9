"""Counters of other libraries on `networks`: `python counts.py COUNTER` writes JSON to the terminal.

{network: {figure: operations of a sample}}, and `versions`. What a counter raises stands in place of its figures. Runs
inside a side environment, without Spikereel.
"""

import contextlib
import io
import json
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch
from networks import BATCH, NETWORKS, Step, network
from torch import Tensor, nn


def neurobench(net: nn.Module, x: Tensor) -> dict[str, float]:
    from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
    from neurobench.models import TorchModel

    model = TorchModel(net)
    model.add_activation_module(Step)
    model.register_hooks()
    found = SynapticOperations()(model, model(x), (x, x))
    # in NeuroBench a metric may go on after an error; the one that is called raises
    sparsity = ActivationSparsity()(model, None, None)
    model.cleanup_hooks()
    return {**found, "ActivationSparsity": sparsity}


def spikingjelly(net: nn.Module, x: Tensor) -> dict[str, float]:
    from spikingjelly.activation_based import op_counter as oc

    counters = {"SynOp": oc.SynOpCounter(), "MAC": oc.MACCounter(), "AC": oc.ACCounter(), "FLOP / 2": oc.FlopCounter()}
    with torch.no_grad(), oc.DispatchCounterMode(list(counters.values())):
        net(x)
    halves = {"FLOP / 2": 2}
    return {name: c.get_total() / BATCH / halves.get(name, 1) for name, c in counters.items()}


def syops(net: nn.Module, x: Tensor) -> dict[str, float]:
    from syops import get_model_complexity_info

    # without a loader it makes up an input
    found, _ = get_model_complexity_info(
        net, tuple(x.shape[1:]), [(x, None)], as_strings=False, print_per_layer_stat=False
    )
    return {"SynOp": float(found[0]), "AC": float(found[1]), "MAC": float(found[2])}


def fvcore(net: nn.Module, x: Tensor) -> dict[str, float]:
    from fvcore.nn import FlopCountAnalysis

    return {"dense": FlopCountAnalysis(net, x).unsupported_ops_warnings(False).total() / BATCH}


def ptflops(net: nn.Module, x: Tensor) -> dict[str, float]:
    from ptflops import get_model_complexity_info

    macs, _ = get_model_complexity_info(net, tuple(x.shape[1:]), as_strings=False, print_per_layer_stat=False)
    return {"dense": macs}


def thop(net: nn.Module, x: Tensor) -> dict[str, float]:
    from thop import profile

    return {"dense": profile(net, (x,), verbose=False)[0] / BATCH}


def torchinfo(net: nn.Module, x: Tensor) -> dict[str, float]:
    from torchinfo import summary

    return {"dense": summary(net, input_data=x, verbose=0).total_mult_adds / BATCH}


def torch_flops(net: nn.Module, x: Tensor) -> dict[str, float]:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as mode:
        net(x)
    return {"dense": mode.get_total_flops() / 2 / BATCH}


COUNTERS: dict[str, tuple[str, Callable[[nn.Module, Tensor], dict[str, float]]]] = {
    "neurobench": ("neurobench", neurobench),
    "spikingjelly": ("spikingjelly", spikingjelly),
    "syops": ("syops", syops),
    "fvcore": ("fvcore", fvcore),
    "ptflops": ("ptflops", ptflops),
    "thop": ("thop", thop),
    "torchinfo": ("torchinfo", torchinfo),
    "torch": ("torch", torch_flops),
}


def counted(count: Callable[[nn.Module, Tensor], dict[str, float]], name: str) -> dict[str, Any]:
    """The figures of one network, or the error."""
    net, x = network(name)
    try:
        return count(net, x)
    except Exception as error:  # noqa: BLE001
        said = (str(error).splitlines() or [""])[0].partition(" (/")[0]
        return {"error": f"{type(error).__name__}: {said[:120]}"}


def main() -> None:
    warnings.simplefilter("ignore")
    package, count = COUNTERS[sys.argv[1]]
    with contextlib.redirect_stdout(io.StringIO()):
        rows = {name: counted(count, name) for name in NETWORKS}
    print(json.dumps({"networks": rows, "versions": {package: version(package), "torch": torch.__version__}}))


if __name__ == "__main__":
    main()
