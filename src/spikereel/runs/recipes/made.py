"""Recipes on procedural clips, one function a run."""

from spikereel.runs.config import DataSpec, ModelSpec, OptimSpec, Recipe, RunSpec
from spikereel.runs.recipes.variants import variant


def motion() -> Recipe:
    """Ten motions of procedural clips, joint Hamming attention: the default task, and the weights that ship.

    The network sees the time surface of ON and OFF events. Half the usual threshold: at 1.0 a small network fires too
    little to learn quickly.
    """
    return Recipe(
        name="motion",
        model=ModelSpec(name="spikevideoformer_ti", threshold=0.5),
        data=DataSpec(kind="motion", modality="surface", frames=8, stride=2, size=32, train_length=4000, workers=0),
        optim=OptimSpec(lr=3e-3, epochs=32, batch=32, weight_decay=0.02, smoothing=0.05, clip_norm=10.0),
    )


def motion_spatial() -> Recipe:
    """The same with attention inside each frame only."""
    return variant(motion(), "motion_spatial", attention="spatial")


def motion_causal() -> Recipe:
    """The same where each frame attends to the past alone: for a camera, frame by frame (`spikereel stream`)."""
    return variant(motion(), "motion_causal", attention="causal")


def motion_svformer() -> Recipe:
    """The same clips for a small SVFormer."""
    return variant(motion(), "motion_svformer", name="svformer_ti")


def probe() -> Recipe:
    """A temporal probe: is the shape after a gap of 8 dark frames the one before it? `data.probe` asks other questions.

    A network small enough for a table of many runs: some 5 minutes on one core; see docs/data/probe.md.
    """
    return Recipe(
        name="probe",
        model=ModelSpec(name="spikevideoformer_ti", threshold=0.5, widths=(8, 16, 48, 64), depths=(1, 1)),
        data=DataSpec(kind="probe", modality="grey", frames=16, size=32, train_length=1920, test_length=500, workers=0),
        optim=OptimSpec(
            lr=3e-3, epochs=10, batch=32, weight_decay=0.02, smoothing=0.05, clip_norm=10.0, start_norms=64
        ),
    )


def actions() -> Recipe:
    """Fourteen things that people do, alone or two together, as trails of motion: the start weights of own videos."""
    return Recipe(
        name="actions",
        model=ModelSpec(name="spikevideoformer_ti", threshold=0.5, start="spikevideoformer_ti.motion"),
        data=DataSpec(
            kind="actions", frames=8, size=48, trails=0.33, time_warp=0.5, train_length=2800, test_length=560, workers=0
        ),
        optim=OptimSpec(
            lr=3e-3, epochs=5, batch=16, weight_decay=0.02, smoothing=0.05, clip_norm=10.0, precise_norms=256
        ),
        run=RunSpec(validate_every=2),
    )
