"""Small networks of fixed weights and one fixed batch, for counters of operations. Plain PyTorch alone."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH = 2


class Step(nn.Module):
    """Spikes where the input is above zero."""

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype)


class Residual(nn.Module):
    """Spikes added to spikes: whole numbers reach the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(n, 4, 3, padding=1) for n in (2, 4, 4))
        self.one, self.two = Step(), Step()

    def forward(self, x: Tensor) -> Tensor:
        s = self.one(self.a(x))
        return self.c(s + self.two(self.b(s)))


class Attention(nn.Module):
    """Tokens of spikes: q (k^T v) by matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.fire = nn.Linear(8, 8), Step()
        self.q, self.k, self.v, self.out = (nn.Linear(8, 8) for _ in range(4))
        self.fires = nn.ModuleList(Step() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        s = self.fire(self.embed(x.flatten(1, 2)))
        q, k, v = (fire(layer(s)) for fire, layer in zip(self.fires, (self.q, self.k, self.v), strict=True))
        return self.out(q @ (k.mT @ v))


class Scaled(nn.Module):
    """Tokens through `scaled_dot_product_attention`."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x.flatten(1, 2)).chunk(3, -1)
        return self.out(F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0])


class Functional(nn.Module):
    """A layer whose weight is used by a function, not by calling the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.fire, self.tied = nn.Linear(8, 8), Step(), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.fire(self.a(x.flatten(1, 2))), self.tied.weight)


def pruned() -> nn.Module:
    """Half of the last layer's weights are zero."""
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), Step(), nn.Conv2d(4, 4, 3, padding=1))
    with torch.no_grad():
        net[2].weight[:, ::2] = 0
    return net


NETWORKS = {
    "two layers": lambda: nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), Step(), nn.Conv2d(4, 4, 3, padding=1)),
    "depthwise": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), Step(), nn.Conv2d(4, 4, 3, 2, padding=1, groups=4)
    ),
    "transposed": lambda: nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), Step(), nn.ConvTranspose2d(4, 4, 2, 2)),
    "pooled spikes": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), Step(), nn.AvgPool2d(2), nn.Conv2d(4, 4, 3, padding=1)
    ),
    "residual": Residual,
    "tokens": lambda: nn.Sequential(nn.Flatten(1, 2), nn.Linear(8, 8), Step(), nn.Linear(8, 4)),
    "attention": Attention,
    "scaled attention": Scaled,
    "functional": Functional,
    "zero weights": pruned,
}


def network(name: str) -> tuple[nn.Module, Tensor]:
    """A network in evaluation mode and its batch [2, 2, 8, 8]."""
    torch.manual_seed(0)
    net = NETWORKS[name]().eval()
    return net, torch.randn(BATCH, 2, 8, 8)
