"""A random small body model."""

import numpy as np
import torch

from spikereel.body.smpl import SMPL

PARENTS = (-1, 0, 0, 1, 3)
V, J, S = 30, len(PARENTS), 4


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    regressor = rng.random((J, V)) * (rng.random((J, V)) < 0.4)
    weights = rng.random((V, J))
    return {
        "v_template": rng.normal(size=(V, 3)), "shapedirs": 0.1 * rng.normal(size=(V, 3, S)),
        "posedirs": 0.1 * rng.normal(size=(V, 3, 9 * (J - 1))), "J_regressor": regressor,
        "weights": weights / weights.sum(1, keepdims=True), "f": rng.integers(0, V, (8, 3)).astype(np.uint32),
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(J)], dtype=np.int64),
    }  # fmt: skip


def body(a):
    x = {key: torch.from_numpy(value) for key, value in a.items() if key != "f"}
    return SMPL(template=x["v_template"], shapedirs=x["shapedirs"], posedirs=x["posedirs"], regressor=x["J_regressor"],
                weights=x["weights"], parents=PARENTS)  # fmt: skip
