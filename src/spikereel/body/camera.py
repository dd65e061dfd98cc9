"""A pinhole camera, and where a body must be so that it appears at given points of the picture."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from spikereel.errors import ConfigError

_NEAREST = 1e-5  # metres added to the distance, so that a point in the camera has finite coordinates


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Pinhole: u = fx x / z + cx, v = fy y / z + cy for x right, y down, z away in metres.

    u and v are in pixels or in shares of the picture, as the four numbers are; fy is negative for frames with y up.
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        numbers = (self.fx, self.fy, self.cx, self.cy)
        if not all(math.isfinite(x) for x in numbers) or self.fx <= 0 or self.fy == 0:
            raise ConfigError(f"{self}: intrinsics are fx > 0, fy, cx and cy in pixels, all finite; check calibration")

    def project(self, points: Tensor) -> Tensor:
        """[..., 3] metres -> [..., 2]."""
        x, y, z = points.unbind(-1)
        z = z + _NEAREST
        return torch.stack([self.fx * x / z + self.cx, self.fy * y / z + self.cy], dim=-1)

    def locate(self, joints: Tensor, points: Tensor, weights: Tensor | None = None) -> Tensor:
        """Translation [..., 3] that makes `joints` [..., J, 3] appear at `points` [..., J, 2].

        Least squares of fx (x + tx) - (u - cx) (z + tz) and the same of y, which is linear in t; weights [..., J].
        """
        aim = (points - points.new_tensor([self.cx, self.cy])) / points.new_tensor([self.fx, self.fy])
        weights = torch.ones_like(aim[..., 0]) if weights is None else weights
        a = torch.zeros(*aim.shape[:-1], 2, 3, dtype=aim.dtype)
        a[..., 0, 0] = a[..., 1, 1] = 1.0
        a[..., 2] = -aim
        b = aim * joints[..., 2:] - joints[..., :2]
        root = weights.sqrt()[..., None]
        a, b = (a * root[..., None]).flatten(-3, -2), (b * root).flatten(-2)
        return torch.linalg.lstsq(a.double(), b.double()[..., None]).solution[..., 0].to(aim.dtype)


STANDARD = Camera(fx=1.5, fy=1.5, cx=0.5, cy=0.5)
"""The camera that networks see cropped pictures through, in shares of the picture: where a person stands in front of it
follows from the crop alone, whatever the real camera was."""
