"""Every claim of both papers, and one row a claim of what was found."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from spikereel.show.claims import find
from spikereel.show.claims.verdicts import Results, together


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One sentence of a paper that can be true or false."""

    name: str
    paper: Literal["SpikeVideoFormer", "SVFormer"]
    says: str
    published: str
    needs: str = ""
    """Data and machine to test it as published, with the recipe."""
    found: Sequence[find.Find] = ()


CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="best_on_kinetics",
        paper="SpikeVideoFormer",
        says="Best of the spiking networks on Kinetics-400",
        published="79.8 % top-1 with 55.9 M parameters; Meta-SpikeFormer 75.5 %",
        needs="Kinetics-400, ImageNet weights and 8 GPUs: recipe `kinetics400`",
    ),
    Claim(
        name="poses",
        paper="SpikeVideoFormer",
        says="Poses nearly as good as the best ANN",
        published="47.5 mm PA-MPJPE on MMHPSD, 32 frames; GLoT 46.5",
        needs="MMHPSD, SMPL and 8 GPUs: recipe `mmhpsd_pose`",
    ),
    Claim(
        name="masks",
        paper="SpikeVideoFormer",
        says="Masks nearly as good as an ANN's",
        published="73.1 % mIoU on CityScapes; SegFormer 74.1. 37.9 on VSPW; CFFM 49.3",
        needs="CityScapes or VSPW and 8 GPUs: recipes `cityscapes_vss`, `vspw_vss`",
    ),
    Claim(
        name="joint",
        paper="SpikeVideoFormer",
        says="Joint space-time attention beats attention inside each frame",
        published="pose 39.8 for 54.2 mm, CityScapes 73.1 for 62.1 % mIoU",
        needs="the data and machine of the first three rows",
        found=find.schemes("joint, Hamming", "spatial, Hamming"),
    ),
    Claim(
        name="hamming",
        paper="SpikeVideoFormer",
        says="Hamming attention beats the dot product",
        published="pose 39.8 for 45.7 mm, CityScapes 73.1 for 65.9 % mIoU",
        needs="the data and machine of the first three rows",
        found=find.schemes("joint, Hamming", "joint, dot"),
    ),
    Claim(
        name="linear",
        paper="SpikeVideoFormer",
        says="Joint attention is linear in the number of frames",
        published="O(T N D^2)",
        found=[find.finding("scaling", find.linear)],
    ),
    Claim(
        name="energy",
        paper="SpikeVideoFormer",
        says="A spiking network takes less energy than an ANN",
        published="16, 10 and 5 times less on the three tasks, against ANNs of other shapes, arithmetic alone",
        needs="the trained networks of the first three rows",
        found=[find.finding("passports", find.energy_ratios)],
    ),
    Claim(
        name="twin",
        paper="SpikeVideoFormer",
        says="A spiking network matches the ANN",
        published="within 1 point, 1 mm and 1 % mIoU of ANNs of other shapes",
        needs="the data and machine of the first three rows",
        found=[find.finding("compare_families", find.twin)],
    ),
    Claim(
        name="frames",
        paper="SpikeVideoFormer",
        says="More frames help",
        published="32 frames for 4.1 times the energy of 8",
        needs="MMHPSD",
        found=[find.finding("compare_segmentation", find.frames)],
    ),
    Claim(
        name="pretraining",
        paper="SpikeVideoFormer",
        says="Pre-training on ImageNet is worth more than either design",
        published="pose 39.8 for 53.8 mm, CityScapes 73.1 for 61.3 % mIoU",
        needs="ImageNet weights of the published size: `model.start`",
    ),
    Claim(
        name="best_on_ucf101",
        paper="SVFormer",
        says="Best of the directly trained deep spiking networks on UCF101",
        published="84.03 % top-1 of 15 views, chosen on the test list; 80.73 of one view",
        needs="UCF101 and 4 GPUs: recipe `ucf101_svformer`",
    ),
    Claim(
        name="ntu_and_gesture",
        paper="SVFormer",
        says="It works on NTU-RGBD60 and DVS128-Gesture too",
        published="figures were not at hand",
        needs="the two data sets: recipes `ntu60_svformer`, `dvs128_gesture_svformer`",
    ),
    Claim(
        name="power",
        paper="SVFormer",
        says="A video costs 21 mJ",
        published="21 mJ, on UCF101",
        found=[find.finding("svformer_stated_rates", find.power)],
    ),
)


def table(results: Results) -> list[dict[str, Any]]:
    """A row a claim: its words, the findings, one verdict; a claim that holds on some data and not on other is open."""
    rows = []
    for claim in CLAIMS:
        findings = [found for look in claim.found if (found := look(results))]
        words = {key: value for key, value in asdict(claim).items() if key != "found"}
        verdict = together([found.verdict for found in findings])
        rows.append(words | {"findings": [asdict(found) for found in findings], "verdict": verdict})
    return rows
