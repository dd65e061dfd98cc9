"""What weights know, said before they are asked: their names stand for nothing else, whatever a video shows."""

from typing import Any

from spikereel.runs.config import data_spec_of
from spikereel.runs.kinds import use_of

MOST = 12
"""Names that are said."""


def knows(model: Any) -> str:
    """One sentence: how many classes or joints of what data, and whether that data was drawn by a program."""
    meta = model.metadata
    names = ", ".join(meta.classes[:MOST]) + (", ..." if len(meta.classes) > MOST else "")
    count = len(meta.classes) or model.config.num_classes
    what = f"{count} classes" + (f" ({names})" if names else ", whose names it does not say")
    if model.task == "pose":
        what = f"{model.config.pose.joints} joints of one person"
    subject = f"{meta.name or 'this model'} knows {what}"
    if not meta.preprocess:
        return f"{subject}; its weights do not say what they were trained on"
    spec = data_spec_of(meta)
    if "root" in use_of(spec, model.task).reads:
        return f"{subject} from data.kind={spec.kind}; whatever else a video shows, the answer is one of them"
    return f"{subject} from procedural clips, and no real scenes: of a real video the answer means little"
