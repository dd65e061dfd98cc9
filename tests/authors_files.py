"""Checkpoints in the layout of the authors' repositories."""

from torch import Tensor

from spikereel.models.base import VideoModel


def authors_state(model: VideoModel) -> dict[str, dict[str, Tensor]]:
    """The weights as the authors save them: {"model_state": ...} of SVFormer, {"model": ...} of the others."""
    weights = {name: x.detach().cpu() for name, x in model.state_dict().items()}
    return {"model_state" if model.family == "svformer" else "model": weights}
