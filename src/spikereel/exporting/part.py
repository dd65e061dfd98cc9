"""The beginning of a model, up to and with one stage: what runs on other hardware while the rest stays here.

(features,), state = beginning(video, state)
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn

from spikereel.errors import ConfigError
from spikereel.layers.attention import ProductAttention
from spikereel.layers.positions import TimePositions
from spikereel.layers.state import State
from spikereel.models.base import Task, VideoModel, neuron_names
from spikereel.models.spikevideoformer import SpikeVideoFormer
from spikereel.models.svformer import SVFormer


class Features(NamedTuple):
    """What a part gives."""

    features: Tensor
    """Real numbers [T, B, D, h, w], before the neuron of the next stage."""


class Beginning(VideoModel):
    """Stages of a model in order, with the names and the weights that they have there."""

    family = "beginning"

    def __init__(self, model: VideoModel, until: str):
        nn.Module.__init__(self)
        self.config, self.metadata, self.contrast = model.config, model.metadata, model.contrast
        self.until, self._task, self._streams = until, model.task, model.can_stream
        self.names = []
        for name, stage in stages(model):
            self.names.append(name)
            self.add_module(name, stage)
            if name == until:
                break
        else:
            raise ConfigError(f"--part {until}: there is no such stage; choose one of {', '.join(self.names)}")
        if getattr(model.config, "time_norm", False):
            raise ConfigError(f"--part {until}: norms of these weights tell time steps apart; export the whole model")
        self.eval()

    @property
    def task(self) -> Task:
        """That of the whole model."""
        return self._task

    @property
    def can_stream(self) -> bool:
        """As the whole model, or where no attention is in it."""
        return self._streams or not any(isinstance(m, ProductAttention) for m in self.modules())

    def forward(self, video: Tensor, state: State | None = None) -> tuple[Features, State]:
        """video [T, B, C, H, W]. Raises DataError and StateError as the whole model."""
        self.check_video(video)
        self.check_state(state)
        previous, after, x = state or State(), State(), video
        if self.contrast is not None:
            x, after["contrast"] = self.contrast(x, previous.get("contrast"))
        for name in self.names:
            stage = self.get_submodule(name)
            if not isinstance(stage, nn.ModuleList):
                x, after[name] = stage(x, previous.get(name))
                continue
            after[name] = {}
            for i, block in enumerate(stage):
                x, after[name][str(i)] = block(x, previous.get(name, {}).get(str(i)))
        return Features(x), after

    def state_names(self) -> frozenset[str]:
        """Those of the model, as far as this goes; running sums of causal attention among them."""
        sums: set[str] = set()
        for name, module in self.named_modules():
            if isinstance(module, ProductAttention) and "past" in getattr(module, "groupings", ()):
                sums |= {f"{name}.summed", f"{name}.frames"}
        return frozenset(neuron_names(self) | sums | ({"contrast"} if self.contrast is not None else set()))


def stages(model: VideoModel) -> Iterator[tuple[str, Any]]:
    """The parts of a backbone, in order."""
    if isinstance(model, SpikeVideoFormer):
        yield from model.stages()
        return
    assert isinstance(model, SVFormer)
    for i in range(1, 5):
        for name in (f"patch_embed{i}", f"blocks{i}"):
            yield name, model.get_submodule(name)


def last_without_attention(model: VideoModel) -> str:
    """The stage before the first attention, and before positions, which one step of a call does not know."""
    last = ""
    for name, stage in stages(model):
        if any(isinstance(m, ProductAttention | TimePositions) for m in stage.modules()):
            return last
        last = name
    raise AssertionError("every family has attention")
