"""The training loop's body for PyTorch Lightning: one step, one validation, and the guards that stop a lost run."""

import math
from contextlib import nullcontext
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from spikereel.errors import ConfigError, TrainingError
from spikereel.layers.neuron import Neuron
from spikereel.layers.observe import firing_rates, spike_operations
from spikereel.models.base import VideoModel
from spikereel.runs.objective import Objective

SETTLING_STEPS = 100
"""Before that, running statistics still hold 0 and 1 (momentum 0.1), and layers that fire in training are silent."""


class TrainingModule(pl.LightningModule):
    """Trains a model on batches whose first part is videos [B, T, C, H, W]; what is asked of it is the objective's."""

    def __init__(self, model: VideoModel, objective: Objective, *, silent_epochs: int = 2):
        super().__init__()
        self.optim = objective.optim
        if self.optim.energy_weight and not any(isinstance(m, Neuron) and m.spiking for m in model.modules()):
            raise ConfigError("optim.energy_weight has no spikes to make fewer in an ANN; leave it at 0")
        self.model, self.objective, self.silent_epochs = model, objective, silent_epochs
        self.silent_since: dict[str, int] = {}
        self.history: list[dict[str, float]] = []

    def clip_of(self, batch: Any) -> Tensor:
        """The clip [T, B, C, H, W] of a training batch, unmixed; copies of a video [B, copies, ...] one by one."""
        videos = batch[0].to(self.device)
        return videos.flatten(0, -5).transpose(0, 1)

    def training_step(self, batch: Any, _index: int) -> Tensor:
        clip, target = self.objective.prepare(batch)
        self._clip = clip
        with spike_operations(self.model) if self.optim.energy_weight else nullcontext() as spent:
            output, _ = self.model(clip)
        loss, figures = self.objective.loss(output, target)
        if spent is not None:
            figures = {**figures, "operations": spent.share}
            loss = loss + self.optim.energy_weight * spent.share
        if not torch.isfinite(loss):
            raise TrainingError(
                f"loss is {loss.item()} at step {self.global_step}; first layer with values that are not finite: "
                f"{first_non_finite(self.model, clip)}. Lower optim.lr or optim.clip_norm, or look at the data"
            )
        self.log("loss", loss, prog_bar=True)
        self.log_dict(figures, prog_bar=True)
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Stop at a gradient that is not finite: spikes hide such values from the loss until all weights have them."""
        grads = {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}
        if torch.isfinite(torch.nn.utils.get_total_norm(grads.values())):
            return
        nearest = [name for name, x in grads.items() if not torch.isfinite(x).all()][-1:]
        raise TrainingError(
            f"gradient is not finite at step {self.global_step}, from {''.join(nearest) or 'their norm'} back; first "
            f"layer with values that are not finite: {first_non_finite(self.model, self._clip)}. "
            "Lower optim.lr, or look at the data"
        )

    def on_validation_epoch_start(self) -> None:
        self.objective.begin_score()
        self._observer = firing_rates(self.model)
        self.rates = self._observer.__enter__()

    def validation_step(self, batch: Any, _index: int) -> None:
        self.objective.judge(self.model, batch)

    def on_validation_epoch_end(self) -> None:
        self._observer.__exit__(None, None, None)
        means = self.rates.means()
        figures = self.objective.figures() | {"firing": sum(means.values()) / len(means)}
        self.log_dict(figures, prog_bar=True, sync_dist=True)
        if self.trainer.sanity_checking:
            return
        self.history.append({"epoch": self.current_epoch, "step": self.global_step, **figures})
        # norms that are taken anew need no time to settle
        if self.global_step >= SETTLING_STEPS or self.optim.precise_norms:
            self._guard(self.rates.silent())

    def _guard(self, silent: list[str]) -> None:
        """Stop when a layer has been silent in `silent_epochs` validations on end."""
        self.silent_since = {name: self.silent_since.get(name, 0) + 1 for name in silent}
        dead = [name for name, n in self.silent_since.items() if n >= self.silent_epochs]
        if self.silent_epochs and dead:
            raise TrainingError(
                f"dead network: {len(dead)} layer(s) never fired in evaluation in {self.silent_epochs} validations: "
                f"{', '.join(dead[:3])}. Lower optim.lr or model.threshold, or take norms anew with "
                "optim.precise_norms=64; run.silent_epochs=0 turns this guard off"
            )

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        o = self.optim
        undecayed = (1,) if o.decay_time_constants else (0, 1)
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, p in self.model.named_parameters():
            factor = o.head_lr if name.startswith("head.") else 1.0
            groups.setdefault((0.0 if p.ndim in undecayed else o.weight_decay, factor), []).append(p)
        optimizer = torch.optim.AdamW(
            [{"params": p, "weight_decay": decay, "lr": factor * o.lr} for (decay, factor), p in groups.items()],
            lr=o.lr,
            betas=o.betas,
        )
        total = max(int(self.trainer.estimated_stepping_batches), 1)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: warmup_decay(step, total, o.warmup, o.min_lr / o.lr, o.schedule)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def warmup_decay(
    step: int, total: int, warmup: float, floor: float = 0.0, schedule: Literal["cosine", "linear"] = "cosine"
) -> float:
    """Factor on the learning rate: linear from `floor` to 1 over the share `warmup` of all steps, then back to `floor`
    by a half cosine or a straight line."""
    ramp = warmup * total
    if step < ramp:
        share = step / ramp
    else:
        done = min(1.0, (step - ramp) / max(total - ramp, 1))
        share = 0.5 * (1.0 + math.cos(math.pi * done)) if schedule == "cosine" else 1.0 - done
    return floor + (1.0 - floor) * share


def first_non_finite(model: nn.Module, clip: Tensor) -> str:
    """Name of the first layer, in order of execution, with a parameter or an output that is not finite."""
    found: list[str] = []

    def look(name: str):
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            own = (*module.parameters(recurse=False), output[0] if isinstance(output, tuple) else output)
            if not found and not all(torch.isfinite(x).all() for x in own):
                found.append(name)

        return hook

    hooks = [
        module.register_forward_hook(look(name)) for name, module in model.named_modules() if not any(module.children())
    ]
    try:
        with torch.no_grad():
            model(clip)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else "none (loss or gradient overflowed)"
