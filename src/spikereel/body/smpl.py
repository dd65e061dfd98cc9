"""SMPL (Loper et al. 2015): a body from rotations, shape and translation. The model file is the user's own."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from spikereel.body.pickled import read_pickled_arrays
from spikereel.body.rotations import forward_kinematics
from spikereel.errors import DataError

OBTAIN = (
    "register at https://smpl.is.tue.mpg.de, download SMPL for Python (basicModel_m_lbs_10_207_0_v1.0.0.pkl is the one "
    "of MMHPSD) and give its path; its licence forbids us to pass it on"
)

KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")


class SMPL(nn.Module):
    """Joints and skin of a body, differentiable: `joints = smpl(rotations, shape, translation)`.

    v_template [V, 3] metres, shapedirs [V, 3, S], posedirs [V, 3, 9 (J - 1)], regressor [J, V], weights [V, J],
    parents (J, parents before children), faces [F, 3]. Raises DataError where these do not fit each other.
    """

    template: Tensor
    shapedirs: Tensor
    posedirs: Tensor
    regressor: Tensor
    weights: Tensor
    faces: Tensor
    _rest: Tensor
    _rest_by_shape: Tensor

    def __init__(
        self,
        *,
        template: Tensor,
        shapedirs: Tensor,
        posedirs: Tensor,
        regressor: Tensor,
        weights: Tensor,
        parents: tuple[int, ...],
        faces: Tensor | None = None,
        where: str = "this body model",
    ):
        super().__init__()
        v, j = len(template), len(parents)
        expected = {
            "v_template": (template, (v, 3)),
            "shapedirs": (shapedirs, (v, 3, shapedirs.shape[-1])),
            "posedirs": (posedirs, (v, 3, 9 * (j - 1))),
            "J_regressor": (regressor, (j, v)),
            "weights": (weights, (v, j)),
        }
        for name, (x, shape) in expected.items():
            if tuple(x.shape) != shape or not torch.isfinite(x).all():
                raise DataError(f"{where}: {name} is {list(x.shape)}, not {list(shape)} and finite; {OBTAIN}")
        if parents[0] != -1 or not all(0 <= parent < child for child, parent in enumerate(parents) if child):
            raise DataError(f"{where}: kintree_table is no tree with parents before children; {OBTAIN}")
        self.parents = parents
        faces = torch.zeros(0, 3, dtype=torch.int64) if faces is None else faces
        for name, x in (
            ("template", template),
            ("shapedirs", shapedirs),
            ("posedirs", posedirs),
            ("regressor", regressor),
            ("weights", weights),
            ("faces", faces),
        ):
            self.register_buffer(name, x)
        # Joints in rest are linear in the shape, so poses alone need no vertices.
        self.register_buffer("_rest", regressor @ template)
        self.register_buffer("_rest_by_shape", torch.einsum("jv,vcs->jcs", regressor, shapedirs))

    def forward(self, rotations: Tensor, shape: Tensor, translation: Tensor) -> Tensor:
        """Joints [..., J, 3] in metres.

        rotations [..., J, 3, 3], each against the parent's; shape [..., S]; translation [..., 3] metres.
        """
        return self._posed(rotations, shape)[1] + translation[..., None, :]

    def vertices(self, rotations: Tensor, shape: Tensor, translation: Tensor) -> Tensor:
        """Skin [..., V, 3] in metres: blend shapes of shape and pose, then linear blend skinning; as `forward`."""
        turned, placed = self._posed(rotations, shape)
        bent = (rotations[..., 1:, :, :] - torch.eye(3, dtype=rotations.dtype, device=rotations.device)).flatten(-3)
        skin = self.template + torch.einsum("vcs,...s->...vc", self.shapedirs, shape)
        skin = skin + torch.einsum("vcp,...p->...vc", self.posedirs, bent)
        moved = placed - (turned @ self._joints_at_rest(shape)[..., None])[..., 0]
        blended = torch.einsum("vj,...jab->...vab", self.weights, turned)
        shift = torch.einsum("vj,...ja->...va", self.weights, moved)
        return (blended @ skin[..., None])[..., 0] + shift + translation[..., None, :]

    def _posed(self, rotations: Tensor, shape: Tensor) -> tuple[Tensor, Tensor]:
        rest = self._joints_at_rest(shape)
        above = [max(parent, 0) for parent in self.parents]
        first = torch.arange(len(above), device=rest.device)[:, None] == 0
        return forward_kinematics(rotations, torch.where(first, rest, rest - rest[..., above, :]), self.parents)

    def _joints_at_rest(self, shape: Tensor) -> Tensor:
        return self._rest + torch.einsum("jcs,...s->...jc", self._rest_by_shape, shape)


def load_smpl(path: str | Path, *, shapes: int = 10) -> SMPL:
    """The body model of a file .npz or .pkl (as published; none of its code is run), float32, with `shapes` shapes.

    Raises DataError for a file that is missing (and says where users get it), broken, unsafe or no SMPL model.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no SMPL model file there; {OBTAIN}")
    arrays = _npz(path) if path.suffix == ".npz" else read_pickled_arrays(path)
    if absent := [key for key in KEYS if key not in arrays]:
        raise DataError(f"{path}: is no SMPL model, it lacks {', '.join(absent)}; {OBTAIN}")
    tensors = {key: torch.from_numpy(np.ascontiguousarray(arrays[key])) for key in KEYS}
    tree = tensors["kintree_table"].to(torch.int64)
    if tree.ndim != 2 or tree.shape[1] < 2 or tensors["shapedirs"].ndim != 3:
        raise DataError(f"{path}: kintree_table or shapedirs are of another form; {OBTAIN}")
    return SMPL(
        template=tensors["v_template"].float(),
        shapedirs=tensors["shapedirs"][..., :shapes].float().contiguous(),
        posedirs=tensors["posedirs"].float(),
        regressor=tensors["J_regressor"].float(),
        weights=tensors["weights"].float(),
        parents=(-1, *tree[0, 1:].tolist()),
        faces=tensors["f"].to(torch.int64),
        where=str(path),
    )


def _npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in KEYS if key in arrays}
    except (OSError, ValueError, BadZipFile, EOFError) as error:
        raise DataError(f"{path}: cannot be read as a SMPL model ({error}); {OBTAIN}") from None
