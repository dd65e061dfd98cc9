"""A pinhole camera, and where a body must be so that it appears at given points of the picture."""

from dataclasses import dataclass

import torch
from torch import Tensor

from spikereel.errors import ConfigError

_NEAREST = 1e-5
"""Metres added to the distance, so that a point in the camera has finite coordinates."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Pinhole: u = fx x / z + cx, v = fy y / z + cy for x right, y down, z away in metres.

    u and v are in pixels or in shares of the picture, as the four numbers are; fy is negative for frames with y up.
    Tensors [..., 1], one number a frame, are cameras of their own for the points [..., J, 2] of each frame.
    """

    fx: float | Tensor
    fy: float | Tensor
    cx: float | Tensor
    cy: float | Tensor

    def __post_init__(self) -> None:
        fx, fy, cx, cy = (torch.as_tensor(x) for x in (self.fx, self.fy, self.cx, self.cy))
        if not all(x.isfinite().all() for x in (fx, fy, cx, cy)) or (fx <= 0).any() or (fy == 0).any():
            raise ConfigError(f"{self}: intrinsics are fx > 0, fy, cx and cy in pixels, all finite; check calibration")

    @classmethod
    def of_rows(cls, rows: Tensor) -> "Camera":
        """The cameras of frames, from fx, fy, cx and cy in [..., 4]."""
        return cls(**dict(zip(("fx", "fy", "cx", "cy"), rows[..., None].unbind(-2), strict=True)))

    def rows(self, frames: int) -> Tensor:
        """float32 [frames, 4]: fx, fy, cx and cy of each frame."""
        numbers = (torch.as_tensor(x, dtype=torch.float32) for x in (self.fx, self.fy, self.cx, self.cy))
        return torch.stack([x.reshape(-1).expand(frames) for x in numbers], dim=1)

    def seen_in(self, squares: Tensor) -> "Camera":
        """The cameras of squares cut from the frames, in shares of their sides: [N, 3] left, top and side in pixels."""
        left, top, side = squares[..., None].unbind(-2)
        return Camera(fx=self.fx / side, fy=self.fy / side, cx=(self.cx - left) / side, cy=(self.cy - top) / side)

    def project(self, points: Tensor) -> Tensor:
        """[..., 3] metres -> [..., 2]."""
        x, y, z = points.unbind(-1)
        z = z + _NEAREST
        return torch.stack([self.fx * x / z + self.cx, self.fy * y / z + self.cy], dim=-1)

    def locate(self, joints: Tensor, points: Tensor, weights: Tensor | None = None) -> Tensor:
        """Translation [..., 3] that makes `joints` [..., J, 3] appear at `points` [..., J, 2].

        Least squares of fx (x + tx) - (u - cx) (z + tz) and the same of y, which is linear in t; weights [..., J].
        """
        u, v = points.unbind(-1)
        aim = torch.stack([(u - self.cx) / self.fx, (v - self.cy) / self.fy], dim=-1)
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
