"""What a run is: model, data, optimisation. Saved whole inside every checkpoint."""

from dataclasses import dataclass, field
from typing import Literal

from spikereel.errors import ConfigError
from spikereel.layers.fused import Memory
from spikereel.models.base import Task
from spikereel.runs.data import DataSpec, data_spec_of
from spikereel.runs.model import ModelSpec
from spikereel.tasks.pose import PoseWeights

__all__ = ["DataSpec", "ModelSpec", "OptimSpec", "PoseSpec", "Recipe", "RunSpec", "SegmentationSpec", "data_spec_of"]


@dataclass(frozen=True, kw_only=True)
class OptimSpec:
    """AdamW, linear warm-up, cosine or linear decay."""

    lr: float = 2e-3
    min_lr: float = 1e-6
    """Where the warm-up begins and the schedule ends."""
    schedule: Literal["cosine", "linear"] = "cosine"
    """How the learning rate falls after the warm-up; linear is "poly" of power 1."""
    head_lr: float = 1.0
    """Factor on the learning rate of the head."""
    weight_decay: float = 0.05
    """On matrices and kernels; never on biases and norms."""
    decay_time_constants: bool = False
    """Weight decay on the time constants of PLIF too, which pulls tau to 2: a fault of the published SVFormer."""
    betas: tuple[float, float] = (0.9, 0.999)
    epochs: float = 10
    """May be less than one."""
    warmup: float = 0.05
    """Share of all steps."""
    batch: int = 32
    """Clips of a batch, shared out among all devices: a step sees the same clips whatever their number."""
    accumulate: int = 1
    """Batches whose gradients are averaged before a step, each weighed by its clips: the mean over clips, also where
    batches are of unequal size and in the last step of an epoch, over what is left."""
    clip_norm: float = 1.0
    """Largest gradient norm; 0 turns clipping off."""
    smoothing: float = 0.1
    mixup: float = 0.0
    cutmix: float = 0.0
    """Beta parameters; 0 turns either off. Of masks there is cutmix, of poses neither."""
    start_norms: int = 0
    """Training clips that give all batch norms their first statistics, before the first step, so that layers fire in
    evaluation from then on. 0 begins with mean 0 and variance 1."""
    precise_norms: int = 0
    """Training clips that give all batch norms new statistics before every validation, and so in the weights that are
    kept (Wu and Johnson 2021). 0 keeps the running means of training, which small batches make noisy."""
    truncate: int = 0
    """Frames that gradients reach back over: a longer clip is learnt from in windows of so many, each of which begins
    at the state that the one before left, as a constant. Memory is that of one window. 0 looks at whole clips."""
    energy_weight: float = 0.0
    """Weight of the share of synaptic operations that spikes cause (0 silent, 1 every neuron always fires) in the loss:
    training for energy. 0.1 to 3 is the range to try; 0 turns it off."""

    def __post_init__(self) -> None:
        for name in ("lr", "head_lr", "epochs", "batch", "accumulate"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"optim.{name} must be positive, got {getattr(self, name)}")
        for name in ("start_norms", "precise_norms", "energy_weight", "truncate"):
            if getattr(self, name) < 0:
                raise ConfigError(f"optim.{name} must not be negative, got {getattr(self, name)}")
        if self.epochs > 1 and self.epochs % 1:
            raise ConfigError(f"optim.epochs above 1 must be whole, got {self.epochs}")


@dataclass(frozen=True, kw_only=True)
class DistillSpec:
    """Answers of a trained network to learn from beside the labels, such as those of the ANN twin."""

    weights: str = ""
    """Its weights, a file or a listed name, of the same classes and kind of clips; empty learns from labels alone."""
    weight: float = 0.5
    """Share of the loss that its answers have: 0 is labels alone, 1 answers alone."""
    temperature: float = 2.0
    """What logits are divided by on both sides: the higher, the more the unlikely classes tell."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.weight <= 1.0:
            raise ConfigError(f"distill.weight must lie in [0, 1], got {self.weight}")
        if not self.temperature > 0.0:
            raise ConfigError(f"distill.temperature must be above 0, got {self.temperature}")


@dataclass(frozen=True, kw_only=True)
class PoseSpec:
    """task=pose: what is trained for, and what the best weights are chosen by."""

    weights: PoseWeights = field(default_factory=PoseWeights)
    best: Literal["mpjpe", "root_mpjpe", "pel_mpjpe", "pa_mpjpe"] = "root_mpjpe"
    """The lowest of these errors on the held-out clips."""


@dataclass(frozen=True, kw_only=True)
class SegmentationSpec:
    """task=segmentation: what is trained for, and what the best weights are chosen by."""

    all_frames: float = 0.5
    """Weight of the loss over all labelled frames of a clip beside that of its last one."""
    balance: float = 0.0
    """Weights of the classes: 0 none, 1 median frequency over frequency, between them that to this power."""
    best: Literal["miou", "pixel_accuracy"] = "miou"
    """The highest of these figures on the held-out clips."""

    def __post_init__(self) -> None:
        for name in ("all_frames", "balance"):
            if getattr(self, name) < 0:
                raise ConfigError(f"segmentation.{name} must not be negative, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """Where and how a run happens."""

    out: str = "runs"
    """Folder that gets a sub-folder named after the run."""
    seed: int = 0
    precision: Literal["auto", "32", "bf16", "16", "64"] = "auto"
    """auto is bf16 autocast on a GPU and float32 elsewhere."""
    devices: int = 1
    """Devices of each node; under torchrun and srun, which start the processes, it may be left out."""
    nodes: int = 1
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """ddp: every device has the whole network; fsdp: each has a part of it (docs/scale.md). auto is ddp for several."""
    sync_norms: bool = False
    """Batch norms take their statistics of the clips of all devices, so that a run with several is that with one; else
    each device normalises by its own share of a batch, and the first one's running means are kept."""
    threads: int = 0
    """CPU threads; 0 leaves PyTorch's choice."""
    checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, more time, the same gradients."""
    memory: Memory = "plain"
    """What a step keeps for the backward pass, with the same gradients. plain: what PyTorch does. fast: inputs of norms
    and spikes as bits, a fifth of the memory. lean: bits and inputs of blocks, a twelfth, for a second forward pass."""
    validate_every: int = 1
    """Epochs between validations; the last epoch has one in any case."""
    keep: Literal["best", "last"] = "best"
    """Whose weights `best.safetensors` has: the validation with the best figure, or the last one. Few held-out clips
    choose by luck, and then say more of the network than they know."""
    refit: bool = False
    """Train a second time on all clips, also those that were held out, and keep these weights; the figures stay those
    of the first training. For folders, lists and shards whose held-out part is their own."""
    silent_epochs: int = 2
    """A run stops when a layer has not fired once in this many validations on end; 0 turns the guard off."""
    resume: bool | Literal["auto"] = False
    """Go on from the last checkpoint of the run of the same name; auto does so where there is one, and else begins."""
    save_every: int = 1000
    """Steps from one checkpoint to the next inside an epoch, for runs that may be killed; 0 saves at its end alone."""
    log_clips: bool = False
    """Write the numbers of the clips of every batch to clips-<rank>.jsonl."""
    progress: bool = True


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One run."""

    name: str
    task: Task = "classification"
    model: ModelSpec = field(default_factory=ModelSpec)
    data: DataSpec = field(default_factory=DataSpec)
    optim: OptimSpec = field(default_factory=OptimSpec)
    distill: DistillSpec = field(default_factory=DistillSpec)
    pose: PoseSpec = field(default_factory=PoseSpec)
    segmentation: SegmentationSpec = field(default_factory=SegmentationSpec)
    run: RunSpec = field(default_factory=RunSpec)

    def __post_init__(self) -> None:
        run = self.run
        if self.optim.energy_weight and (run.checkpointing or run.memory != "plain"):
            raise ConfigError(
                "optim.energy_weight needs all activations of a step; give run.checkpointing=false and run.memory=plain"
            )
        if run.memory != "plain" and run.checkpointing:
            raise ConfigError(f"run.memory={run.memory} computes again what checkpointing would; give one of them")
        if run.memory != "plain" and run.sync_norms:
            raise ConfigError(f"run.memory={run.memory} has norms of one device; give run.memory=plain")
        if self.distill.weights and self.task != "classification":
            raise ConfigError(f"distill.weights teaches classes, and task={self.task} has other answers; leave it out")
        if self.truncated:
            self._check_windows()

    @property
    def truncated(self) -> bool:
        """Whether clips are learnt from in windows."""
        return 0 < self.optim.truncate < self.data.frames

    def _check_windows(self) -> None:
        given = f"optim.truncate={self.optim.truncate}"
        if self.run.precision == "16":
            raise ConfigError(f"{given} has a backward pass for each window, which run.precision=16 cannot scale: bf16")
        if self.distill.weights:
            raise ConfigError(f"{given} learns of parts of clips, and distill.weights answers to whole ones")
        if self.run.strategy == "fsdp":
            raise ConfigError(f"{given} has a backward pass for each window, and run.strategy=fsdp one for a step: ddp")
        if self.task == "segmentation" and not self.segmentation.all_frames:
            raise ConfigError(
                f"{given} learns of every window; segmentation.all_frames=0 looks at the last frame alone"
            )
