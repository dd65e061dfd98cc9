"""Our graph with the multi-step neurons of SpikingJelly 2.0.0 in place of ours."""

import copy
from collections.abc import Callable

from torch import Tensor, nn

from peers.contract import Built, Peer, without_gradients
from spikereel.errors import ConfigError
from spikereel.layers.neuron import Neuron, NeuronConfig
from spikereel.models.base import VideoModel


class Foreign(nn.Module):
    """A neuron of theirs with the signature of ours; it keeps its own membrane until it is reset."""

    def __init__(self, config: NeuronConfig):
        super().__init__()
        from spikingjelly.activation_based.neuron import LIFNode
        from spikingjelly.activation_based.surrogate import Sigmoid

        if config.kind != "lif" or config.surrogate != "sigmoid":
            raise ConfigError(f"this peer has LIF neurons with a sigmoid, got {config.kind}, {config.surrogate}")
        self.config = config
        self.node = LIFNode(
            tau=config.tau,
            decay_input=config.decay_input,
            v_threshold=config.threshold,
            v_reset=config.v_reset if config.reset == "hard" else None,
            surrogate_function=Sigmoid(alpha=config.alpha or 4.0),
            detach_reset=config.detach_reset,
            step_mode="m",
        )

    def forward(self, x: Tensor, v: Tensor | None = None) -> tuple[Tensor, Tensor]:
        assert v is None, "a membrane of ours has no place in theirs"
        return self.node(x), x.new_empty(0)


def network(model: VideoModel) -> VideoModel:
    """A copy of a model with every neuron exchanged."""
    built = copy.deepcopy(model)
    replace(built, Neuron, lambda neuron: Foreign(neuron.config))
    return built.eval()


def replace(module: nn.Module, kind: type[nn.Module], make: Callable[[nn.Module], nn.Module]) -> None:
    """Put `make(child)` in the place of every descendant of a kind."""
    for name, child in module.named_children():
        if isinstance(child, kind):
            setattr(module, name, make(child))
        else:
            replace(child, kind, make)


def build(model: VideoModel, clip: Tensor) -> Built:
    from spikingjelly.activation_based.functional import reset_net

    built = network(model)

    def run(video: Tensor) -> Tensor:
        reset_net(built)
        return built(video)[0]

    return Built(run=without_gradients(run), settings={"step_mode": "m"})


PEER = Peer(
    name="spikingjelly2",
    what="our graph on multi-step LIF neurons of SpikingJelly 2.0.0",
    build=build,
    tolerance=1e-4,
    exact=True,
    environment="spikingjelly2",
)
