"""`run.strategy=fsdp`: each process holds a part of the weights, gradients and averages of the optimiser (FSDP2)."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
"""Of parts that lie on several devices the whole, on the CPU of the first process; the others get nothing."""


class Sharded(ModelParallelStrategy):
    """FSDP2 by Lightning, whose checkpoints are those of one process: any number of processes can go on from them."""

    def __init__(self, world: int):
        super().__init__(data_parallel_size=world, tensor_parallel_size=1, save_distributed_checkpoint=False)

    @property
    def lightning_restore_optimizer(self) -> bool:
        return True

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        return self.checkpoint_io.load_checkpoint(checkpoint_path, weights_only=weights_only)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        options = StateDictOptions(full_state_dict=True, strict=strict)
        set_model_state_dict(self._module, checkpoint["state_dict"], options=options)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """As an optimiser of one process numbers its parameters; nothing but on the first process."""
        named: dict[str, Any] = get_optimizer_state_dict(self._module, optimizer, options=WHOLE)
        if not named:
            return {}
        order = [name for group in named["param_groups"] for name in group["params"]]
        return _renamed(named, {name: number for number, name in enumerate(order)})

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            names: dict[int, str] = {}
            for group in saved["param_groups"]:
                names |= zip(group["params"], (f"model.{name}" for name in group["names"]), strict=True)
            options = StateDictOptions(full_state_dict=True)
            set_optimizer_state_dict(self._module, optimizer, _renamed(saved, names), options=options)

    @property
    def _module(self) -> nn.Module:
        assert self.model is not None
        return self.model


def _renamed(saved: dict[str, Any], names: Mapping[Any, Any]) -> dict[str, Any]:
    """The state of an optimiser with other names, or numbers, of its parameters."""
    groups = [{**group, "params": [names[x] for x in group["params"]]} for group in saved["param_groups"]]
    return {"state": {names[x]: state for x, state in saved["state"].items()}, "param_groups": groups}


class SameBuffers(Callback):
    """Before a validation every process gets the running means of the first one, as with ddp."""

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        for buffer in pl_module.model.buffers():
            dist.broadcast(buffer, 0)


def shard(model: nn.Module, mesh: DeviceMesh) -> None:
    """Share out a model: the blocks of its stages one by one, so that one at a time is whole, then all that is left."""
    for parameter in model.parameters():
        # FSDP2 takes no channels-last ones
        parameter.data = parameter.data.contiguous()
    for stage in model.children():
        if isinstance(stage, nn.ModuleList):
            for block in stage:
                fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def whole_state(module: nn.Module) -> dict[str, Any]:
    """All weights and buffers on the first process; every process must ask."""
    return get_model_state_dict(module, options=WHOLE)


def total_norm(grads: Mapping[str, Tensor]) -> Tensor:
    """The norm of all gradients, also of those that lie in parts on several devices."""
    norm = torch.nn.utils.get_total_norm(grads.values())
    return norm.full_tensor() if isinstance(norm, DTensor) else norm
