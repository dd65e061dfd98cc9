"""The training loop's body for PyTorch Lightning: one step, one validation, and the guards that stop a lost run."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from spikereel.errors import ConfigError, TrainingError
from spikereel.layers.neuron import Neuron
from spikereel.layers.norm import synced
from spikereel.layers.observe import firing_rates, spike_operations
from spikereel.layers.state import State
from spikereel.models.base import VideoModel
from spikereel.runs.finite import firing_notes, tensors_of
from spikereel.runs.finite import first_non_finite as first_non_finite
from spikereel.runs.objective import Objective
from spikereel.train.sharded import Sharded, shard, total_norm
from spikereel.train.truncated import windowed_loss

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
        model.order_known = True  # batches come as [B, T, ...] and are turned here
        self.silent_since: dict[str, int] = {}
        self.history: list[dict[str, float]] = []
        self.recipe: Any = None
        """As it is carried out."""
        self.notes: list[str] = []
        """What is to be known about the data before training."""
        self.unseen: tuple[str, ...] = ()
        """Classes that no training clip shows."""
        self.firing: list[str] = []
        """Neurons that never or always fired in the last validation."""
        self.silent: list[str] = []
        """Neurons that never fired in the last validation."""
        self.dead = False
        """Whether the last validation found a network that says the same of every clip."""
        self._resumed = False
        self._held = 0
        """Clips of the batches whose gradients were added since the last step."""
        self._step_ends = False

    def configure_model(self) -> None:
        """Share the network out where the run asks for it; Lightning asks once every process is known."""
        strategy = self.trainer.strategy
        if isinstance(strategy, Sharded):
            if self.recipe.run.sync_norms:
                synced(self.model)
            shard(self.model, strategy.device_mesh["data_parallel"])

    def clip_of(self, batch: Any) -> Tensor:
        """The clip [T, B, C, H, W] of a training batch, unmixed; copies of a video [B, copies, ...] one by one."""
        # of a loader of our own, whose batches no trainer has moved
        videos = batch[0].to(self.device, next(self.model.parameters()).dtype)
        return videos.flatten(0, -5).transpose(0, 1)

    def training_step(self, batch: Any, index: int) -> Tensor:
        clip, target = self.objective.prepare(batch)
        self._clip = clip
        loss, figures = self.clip_loss(clip, target)
        # a module without a trainer is one process
        world = 1 if self._trainer is None else self.trainer.world_size
        several = world > 1
        self.log("loss", loss, prog_bar=True, sync_dist=several)
        self.log_dict(figures, prog_bar=True, sync_dist=several)
        own = clips = len(batch[0])
        if several:
            # gradients are averaged over processes, whatever share of the clips each has
            clips = int(self.trainer.strategy.reduce(torch.tensor(own, device=self.device), reduce_op="sum"))
            own *= world
        if self.optim.accumulate == 1:
            return loss if own == clips else loss * (own / clips)
        # Lightning divides every loss by `accumulate`, whatever a batch and the step hold
        self._held += clips
        self._step_ends = (index + 1) % self.trainer.accumulate_grad_batches == 0
        self._step_ends |= index + 1 == self.trainer.num_training_batches
        return loss * (own / self.optim.batch)

    def clip_loss(self, clip: Tensor, target: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a clip, whole or in windows, and figures to show."""
        size, ask = self.optim.truncate, self.objective
        if size and size < len(clip):
            return windowed_loss(
                self.model,
                clip,
                size,
                lambda part, state, window: self._pass(
                    part, state, window.share, lambda output: ask.window_loss(output, target, window)
                ),
            )
        loss, figures, _ = self._pass(clip, None, 1.0, lambda output: ask.loss(output, target))
        return loss, figures

    def _pass(
        self, clip: Tensor, state: State | None, share: float, judge: Callable[[Any], tuple[Tensor, dict[str, Tensor]]]
    ) -> tuple[Tensor, dict[str, Tensor], State]:
        """One pass over a clip or that share of one: the loss, figures, and the state after it."""
        weight = self.optim.energy_weight
        with spike_operations(self.model) if weight else nullcontext() as spent:
            output, state = self.model(clip, state)
        loss, figures = judge(output)
        if spent is not None:
            figures = {**figures, "operations": spent.share}
            loss = loss + share * weight * spent.share
        if not torch.isfinite(loss):
            raise TrainingError(
                f"loss is {loss.item()} at step {self.global_step}; first layer with values that are not finite: "
                f"{first_non_finite(self.model, clip)}. Lower optim.lr or optim.clip_norm, or look at the data"
            )
        return loss, figures, state

    def on_after_backward(self) -> None:
        """Where a step holds other clips than `accumulate` full batches, its gradient is made the mean over them."""
        if self._held and self._step_ends:
            full = self.optim.batch * self.trainer.accumulate_grad_batches
            if self._held != full:
                for p in self.model.parameters():
                    if p.grad is not None:
                        p.grad *= full / self._held
            self._held = 0

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Stop at a gradient that is not finite: spikes hide such values from the loss until all weights have them."""
        grads = {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}
        if torch.isfinite(total_norm(grads)):
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
        self._first: list[Tensor] = []
        self._varies, self._judged = False, 0
        self._look = self.model.register_forward_hook(self._compare)

    def _compare(self, _module: nn.Module, inputs: tuple, output: Any) -> None:
        """Refuse values that are not finite; see whether clips differ in what is said of them."""
        if self.trainer.sanity_checking:
            return
        found = tensors_of(output[0])
        if not all(torch.isfinite(x).all() for x in found):
            self._look.remove()
            raise TrainingError(
                f"the output of validation is not finite at step {self.global_step}; the first such layer is "
                f"{first_non_finite(self.model, inputs[0])}. Lower optim.lr, or look at the data"
            )
        # clips first: logits are [B, K], what is said of frames [T, B, ...]
        clips = [x if x.ndim == 2 else x.transpose(0, 1) for x in found]
        self._judged += len(clips[0])
        if not self._first or self._first[0].shape != clips[0][0].shape:
            self._first = [x[0].clone() for x in clips]
        self._varies |= any(bool((x != own).any()) for x, own in zip(clips, self._first, strict=True))

    def validation_step(self, batch: Any, _index: int) -> None:
        self.objective.judge(self.model, batch)

    def on_validation_epoch_end(self) -> None:
        self._observer.__exit__(None, None, None)
        self._look.remove()
        means, silent = self.rates.means(), self.rates.silent()
        self.firing, self.silent = firing_notes(self.rates, self.model), silent
        self.dead = len(silent) == len(means) or (self._judged > 1 and not self._varies)
        figures = self.objective.figures() | {"firing": sum(means.values()) / len(means)}
        self.log_dict(figures, prog_bar=True, sync_dist=True)
        if self.trainer.sanity_checking:
            return
        self.history.append({"epoch": self.current_epoch, "step": self.global_step, **figures})
        # norms that are taken anew need no time to settle
        if self.global_step >= SETTLING_STEPS or self.optim.precise_norms:
            self._guard(silent)

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

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters with one weight decay and one learning rate, with their names."""
        o = self.optim
        constants = {id(m.w) for m in self.model.modules() if isinstance(m, Neuron) and m.config.kind == "plif"}
        groups: dict[tuple[float, float], tuple[list[str], list[nn.Parameter]]] = {}
        for name, p in self.model.named_parameters():
            factor = o.head_lr if name.startswith("head.") else 1.0
            decayed = o.decay_time_constants if p.ndim == 0 or id(p) in constants else p.ndim > 1
            names, own = groups.setdefault((o.weight_decay if decayed else 0.0, factor), ([], []))
            names.append(name)
            own.append(p)
        return [
            {"params": own, "names": names, "weight_decay": decay, "lr": factor * o.lr}
            for (decay, factor), (names, own) in groups.items()
        ]

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        o = self.optim
        optimizer = torch.optim.AdamW(self._groups(), lr=o.lr, betas=o.betas)
        total = max(int(self.trainer.estimated_stepping_batches), 1)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: warmup_decay(step, total, o.warmup, o.min_lr / o.lr, o.schedule)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["silent_since"] = dict(self.silent_since)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the settings that are asked for: of the optimiser's state only what it has learnt is taken."""
        self.silent_since, self._resumed = dict(checkpoint["silent_since"]), True
        (saved,) = checkpoint["optimizer_states"]
        pairs = [pair for g in saved["param_groups"] for pair in zip(g["names"], g["params"], strict=True)]
        learnt = {name: saved["state"][number] for name, number in pairs if number in saved["state"]}
        state, groups, count = {}, [], 0
        for own in self._groups():
            numbers = range(count, count + len(own["names"]))
            state |= {i: learnt[name] for i, name in zip(numbers, own["names"], strict=True) if name in learnt}
            asked = {"params": list(numbers), "betas": self.optim.betas, "initial_lr": own["lr"]}
            groups.append(saved["param_groups"][0] | {k: x for k, x in own.items() if k != "params"} | asked)
            count += len(numbers)
        checkpoint["optimizer_states"] = [{"state": state, "param_groups": groups}]
        for schedule in checkpoint["lr_schedulers"]:
            rates = [group["initial_lr"] for group in groups]
            schedule |= {"base_lrs": rates, "_last_lr": rates, "lr_lambdas": [None] * len(groups)}

    def on_train_start(self) -> None:
        if not self._resumed:
            return
        schedule: Any = self.lr_schedulers()
        groups = schedule.optimizer.param_groups
        for group, base, factor in zip(groups, schedule.base_lrs, schedule.lr_lambdas, strict=True):
            group["lr"] = base * factor(schedule.last_epoch)


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
