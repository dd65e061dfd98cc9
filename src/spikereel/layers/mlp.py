"""The channel mixer of a Transformer block, as in the released code of SpikeVideoFormer."""

from torch import Tensor, nn

from spikereel.layers import plain
from spikereel.layers.conv import Conv1d
from spikereel.layers.neuron import Neuron, NeuronConfig


class MLP(nn.Module):
    """Neuron, linear D to r D, norm, neuron, linear back, norm; on every pixel alike."""

    def __init__(self, dim: int, ratio: float, neuron: NeuronConfig):
        super().__init__()
        wide = int(dim * ratio)
        self.fc1_lif = Neuron(neuron, dim)
        self.fc1_conv = Conv1d(dim, wide, 1, neuron=neuron)
        self.fc1_bn = plain.BatchNorm1d(wide)
        self.fc2_lif = Neuron(neuron, wide)
        self.fc2_conv = Conv1d(wide, dim, 1, neuron=neuron)
        self.fc2_bn = plain.BatchNorm1d(dim)

    def forward(self, x: Tensor, state: dict | None = None) -> tuple[Tensor, dict]:
        """x [T, B, D, H, W] to the same shape."""
        state, after = state or {}, {}
        t, b, _, h, w = x.shape
        x, after["fc1_lif"] = self.fc1_lif(x, state.get("fc1_lif"))
        x = self.fc1_bn(self.fc1_conv(x.flatten(0, 1).flatten(2))).unflatten(0, (t, b))
        x, after["fc2_lif"] = self.fc2_lif(x, state.get("fc2_lif"))
        x = self.fc2_bn(self.fc2_conv(x.flatten(0, 1)))
        return x.view(t, b, -1, h, w), after
