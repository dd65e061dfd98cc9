"""Published energies, as printed, with what is known of how they were counted. Facts, not targets."""

from dataclasses import dataclass

from spikereel.energy.costs import COSTS

SVDF = "Zou et al., SpikeVideoFormer, ICML 2025"
SVF = "Yu et al., SVFormer, arXiv 2406.15034"
LOG = "test log in the authors' repository of SVFormer"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One published row."""

    model: str
    task: str
    energy_mj: float
    result: str
    protocol: str
    source: str
    spiking: bool = True
    gmac: float | None = None
    """Dense operations that the energy stands for, of an ANN: energy / 4.6 pJ."""


def dense_mj(gmac: float) -> float:
    """Millijoules of so many 10^9 multiply-accumulates under `paper`: what an ANN costs by its FLOPs."""
    return COSTS["paper"].mac_pj * gmac


_K400 = "Kinetics-400"
_POSE = "MMHPSD pose, T = 32"
_SEGMENTATION = "Cityscapes, Integer-LIF 4"
_VIEWS = "energy of one view (FLOPs x 4.6 pJ), accuracy of 4 x 3 views"
_UNSAID = "energy of T = 32 frames of 224 px in one view by its size; views of the accuracy not stated"
_TEXT = "resolution and frames of the energy not stated"

REFERENCES: tuple[Reference, ...] = (
    Reference(
        model="ViViT",
        task=_K400,
        energy_mj=6651.6,
        result="80.6 / 94.7 %",
        protocol=_VIEWS,
        source=SVDF,
        spiking=False,
        gmac=1446.0,
    ),
    Reference(
        model="Swin-B",
        task=_K400,
        energy_mj=1297.2,
        result="80.6 / 94.6 %",
        protocol=_VIEWS,
        source=SVDF,
        spiking=False,
        gmac=282.0,
    ),
    Reference(
        model="Meta-SpikeFormer", task=_K400, energy_mj=396.4, result="75.5 / 90.1 %", protocol=_UNSAID, source=SVDF
    ),
    Reference(
        model="SpikeVideoFormer", task=_K400, energy_mj=412.1, result="79.8 / 94.0 %", protocol=_UNSAID, source=SVDF
    ),
    Reference(
        model="GLoT",
        task=_POSE,
        energy_mj=4046.1,
        result="46.5 mm",
        protocol="FLOPs x 4.6 pJ",
        source=SVDF,
        spiking=False,
        gmac=879.6,
    ),
    Reference(model="Meta-SpikeFormer", task=_POSE, energy_mj=387.2, result="54.5 mm", protocol=_TEXT, source=SVDF),
    Reference(model="SpikeVideoFormer", task=_POSE, energy_mj=391.2, result="47.5 mm", protocol=_TEXT, source=SVDF),
    Reference(
        model="SegFormer",
        task=_SEGMENTATION,
        energy_mj=270.2,
        result="74.1 mIoU",
        protocol=_TEXT,
        source=SVDF,
        spiking=False,
        gmac=58.7,
    ),
    Reference(
        model="Meta-SpikeFormer", task=_SEGMENTATION, energy_mj=63.5, result="65.9 mIoU", protocol=_TEXT, source=SVDF
    ),
    Reference(
        model="SpikeVideoFormer", task=_SEGMENTATION, energy_mj=65.3, result="73.1 mIoU", protocol=_TEXT, source=SVDF
    ),
    Reference(
        model="SVFormer",
        task="UCF101",
        energy_mj=21.0,
        result="84.03 %",
        protocol="abstract; energy of one view presumably, accuracy of 5 x 3; no script or log prints it",
        source=SVF,
    ),
    Reference(
        model="SVFormer",
        task="UCF101",
        energy_mj=195.07,
        result="80.73 %",
        protocol="1 view; operations of the log, which over-counts convolutions 8 to 32 times",
        source=LOG,
    ),
)
"""Rows of the papers on SpikeVideoFormer and SVFormer, and the energy that SVFormer's own log adds up to."""
