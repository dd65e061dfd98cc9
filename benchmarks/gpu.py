"""Every measurement and check on a GPU, each in a process of its own: `python benchmarks/run.py gpu`.

A part that fails or takes too long is reported by name, and the others go on. What is done is written after each part;
the same command again does what is missing. `--dry` runs all of it on the CPU with tiny shapes, to try the script: its
figures say nothing, and its file says that it is dry.
"""

import json
import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SECONDS = 560
"""Of all parts together."""


def place(dry: bool) -> str:
    """Where tensors are."""
    return "cpu" if dry else "cuda"


def timed(work: Callable[[], Any], dry: bool, repeats: int = 10) -> dict[str, float]:
    """Median and least milliseconds of a call, after two that warm up, and the most memory of tensors meanwhile."""
    import torch

    times = []
    if not dry:
        torch.cuda.reset_peak_memory_stats()
    for i in range(2 + (2 if dry else repeats)):
        began = time.perf_counter()
        work()
        if not dry:
            torch.cuda.synchronize()
        if i > 1:
            times.append(1000 * (time.perf_counter() - began))
    peak = 0 if dry else torch.cuda.max_memory_allocated()
    return {"ms": statistics.median(times), "least_ms": min(times), "peak_mib": peak / 2**20}


def machine(dry: bool) -> dict[str, Any]:
    """What this GPU is, what it copies a second, and what it multiplies."""
    import torch

    from spikereel.versions import hardware

    n = 256 if dry else 8192
    x = torch.randn(n, n, device=place(dry), dtype=torch.bfloat16)
    big = torch.empty(n * n * 4, device=place(dry))
    other = torch.empty_like(big)
    copy, multiply = timed(lambda: other.copy_(big), dry), timed(lambda: x @ x, dry)
    found = {"hardware": hardware(), "torch": torch.__version__, "cuda": torch.version.cuda}
    if not dry:
        found["memory_gib"] = torch.cuda.mem_get_info()[1] / 2**30
        found["capability"] = ".".join(map(str, torch.cuda.get_device_capability()))
    found["copy_tb_s"] = 8 * big.numel() / copy["ms"] / 1e9
    found["bf16_tflop_s"] = 2 * n**3 / multiply["ms"] / 1e9
    return found


def triton_tests(dry: bool) -> dict[str, Any]:
    """The tests of the Triton kernels and those marked gpu, on this device."""
    marks = "triton" if dry else "triton or gpu"
    # collecting every test takes a minute
    paths = [
        str(p)
        for p in sorted((ROOT / "tests").rglob("test_*.py"))
        if "mark.gpu" in (text := p.read_text()) or "mark.triton" in text
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marks, *paths]
    if dry:
        command += ["--collect-only"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-12:]
    if done.returncode:
        raise RuntimeError(" / ".join([*last, done.stderr[-500:]]))
    return {"said": last[-1]}


def dispatch(dry: bool) -> dict[str, Any]:
    """Whether the kernels prove themselves, and which work on a tensor."""
    import torch

    from spikereel.kernels import dispatch as chosen

    return {
        "proven": None if dry else chosen.proven(0),
        "by_triton": chosen.by_triton(torch.zeros(1, device=place(dry))),
    }


def neurons(dry: bool) -> list[dict[str, Any]]:
    """LIF, forward and backward: Triton, PyTorch, and the reference under autograd."""
    import torch

    from spikereel.kernels import lif_torch, lif_triton
    from spikereel.ops.lif import constants_of, lif_reference

    c = constants_of(1.0, "hard", 0.0, True, "sigmoid", None, True)
    rows = []
    for shape in [(4, 1, 8, 7, 7)] if dry else [(16, 1, 128, 56, 56), (16, 8, 128, 56, 56), (32, 1, 64, 112, 112)]:
        x = torch.randn(shape, device=place(dry), requires_grad=True)
        v = torch.zeros(shape[1:], device=place(dry))
        ways: dict[str, Any] = {"torch": lif_torch.fused_lif, "reference": lif_reference}
        if not dry:
            ways["triton"] = lif_triton.fused_lif
        found = {}
        for name, work in ways.items():

            def both(work: Any = work, x: Any = x, v: Any = v) -> None:
                s, _ = work(x, v, 0.5, c)
                torch.autograd.grad(s.sum(), x)

            found[name] = timed(both, dry)
        rows.append({"shape": shape, **found})
    return rows


def attention(dry: bool) -> list[dict[str, Any]]:
    """Hamming attention of a clip: Triton against PyTorch, in ms, and that both give the same."""
    import torch

    from spikereel.kernels import hamming_triton
    from spikereel.ops.hamming import attention as ours

    rows = []
    for heads, tokens, d in [(2, 40, 5)] if dry else [(8, 3136, 32), (8, 3136, 64), (64, 784, 45)]:
        q, k, v = (torch.randint(0, 2, (heads, tokens, d), device=place(dry)).float() for _ in range(3))
        given = {"similarity": "hamming", "scale": 2.0 * d * heads}
        row: dict[str, Any] = {"shape": (heads, tokens, d), "chosen": timed(lambda: ours(q, k, v, **given), dry)}  # noqa: B023
        if not dry:
            row["triton"] = timed(lambda: hamming_triton.attention(q, k, v, **given), dry)  # noqa: B023
            eight = v.to(torch.int8)
            row["triton_int8"] = timed(lambda: hamming_triton.attention(q, k, eight, **given), dry)  # noqa: B023
            f = 2 * q.double() - 1
            exact = f @ ((2 * k.double() - 1).mT @ v.double()) / given["scale"]
            one = hamming_triton.attention(q, k, v, **given)
            row["equal"] = bool(torch.allclose(one.double(), exact, rtol=1e-6, atol=0))
        rows.append(row)
    return rows


def _model(dry: bool, name: str = "spikevideoformer_s", **fields: Any) -> Any:
    import torch

    import spikereel

    torch.manual_seed(0)
    if dry:
        name, fields = "spikevideoformer_ti", {"widths": (8, 16, 16, 24), "depths": (1, 1), "heads": 4, **fields}
    return spikereel.create_model(name, num_classes=10, **fields).to(place(dry))


def step(dry: bool) -> list[dict[str, Any]]:
    """A training step of `s`, forward and backward, in every memory mode and precision; channels last and not."""
    import torch

    from spikereel.layers.fused import set_memory

    frames, batch, size = (2, 2, 32) if dry else (16, 8, 224)
    rows = []
    for memory in ("plain", "fast", "lean"):
        for precision in ("32", "bf16"):
            for last in (False, True) if memory == "plain" else (True,):
                row: dict[str, Any] = {"memory": memory, "precision": precision, "channels_last": last}
                try:
                    model = _model(dry).train()
                    if last:
                        model = model.to(memory_format=torch.channels_last)
                    set_memory(model, memory)
                    clip = torch.randn(frames, batch, 3, size, size, device=place(dry))

                    def work(model: Any = model, clip: Any = clip, precision: str = precision) -> None:
                        with torch.autocast(place(dry), dtype=torch.bfloat16, enabled=precision == "bf16"):
                            loss = model(clip)[0].float().square().sum()
                        loss.backward()
                        model.zero_grad()

                    row |= timed(work, dry, repeats=5)
                except Exception as error:  # noqa: BLE001 - a mode that fails is a row that says so
                    row["failed"] = f"{type(error).__name__}: {str(error)[:300]}"
                rows.append(row)
                if not dry:
                    torch.cuda.empty_cache()
    return rows


def authors(dry: bool) -> dict[str, Any]:
    """The authors' structure, the same step; needs spikingjelly 0.0.0.0.12."""
    import torch

    sys.path.insert(0, str(Path(__file__).parent))
    from peers.authors import network  # type: ignore[import-not-found]
    from spikingjelly.clock_driven.functional import reset_net

    frames, batch, size = (2, 2, 32) if dry else (16, 8, 224)
    model = network(_model(dry)).to(place(dry)).train()
    clip = torch.randn(frames, batch, 3, size, size, device=place(dry))

    def work() -> None:
        reset_net(model)
        model(clip).square().sum().backward()
        model.zero_grad()

    return timed(work, dry, repeats=3)


def compiled(dry: bool) -> dict[str, Any]:
    """`torch.compile` of a training step: one graph, and what it brings."""
    import torch

    model = _model(dry, **({} if dry else {"depths": (1, 1)})).train()
    clip = torch.randn(*((2, 2, 3, 32, 32) if dry else (8, 4, 3, 112, 112)), device=place(dry))

    def work(call: Any) -> Callable[[], None]:
        def run() -> None:
            call(clip)[0].square().sum().backward()
            model.zero_grad()

        return run

    began = time.perf_counter()
    whole = torch.compile(model, fullgraph=True, backend="aot_eager" if dry else "inductor")
    work(whole)()
    return {
        "first_s": time.perf_counter() - began,
        "compiled": timed(work(whole), dry),
        "eager": timed(work(model), dry),
    }


def inference(dry: bool) -> list[dict[str, Any]]:
    """A clip of 16 frames, one at a time and eight: eager, and captured as a CUDA graph."""
    import torch

    rows = []
    for batch in (1, 8):
        model = _model(dry).eval()
        clip = torch.randn(*((2, batch, 3, 32, 32) if dry else (16, batch, 3, 224, 224)), device=place(dry))
        with torch.inference_mode():
            row: dict[str, Any] = {"batch": batch, "eager": timed(lambda: model(clip), dry)}  # noqa: B023
            if not dry:
                try:
                    # looking at values waits for the GPU, which a graph cannot
                    model._check_values = lambda _video: None
                    graph = torch.cuda.CUDAGraph()
                    with torch.cuda.graph(graph):
                        model(clip)
                    row["graph"] = timed(graph.replay, dry)
                except Exception as error:  # noqa: BLE001 - as above
                    row["graph"] = f"{type(error).__name__}: {str(error)[:200]}"
        rows.append(row)
    return rows


def equal_to_cpu(dry: bool) -> dict[str, Any]:
    """A model in float64 on both devices: logits and gradients."""
    import torch

    model = _model(True).double().to("cpu").train()
    clip = torch.randn(4, 2, 3, 32, 32, dtype=torch.float64)
    found = []
    for where in ("cpu", place(dry)):
        own = model.to(where)
        own.zero_grad()
        logits, _ = own(clip.to(where))
        logits.square().sum().backward()
        found.append((logits.detach().cpu(), own.head.weight.grad.cpu().clone()))
    (one, first), (two, second) = found
    return {"logits": float((one - two).abs().max()), "gradient": float((first - second).abs().max())}


def planner(dry: bool) -> dict[str, Any]:
    """`spikereel plan` of a recipe, and a short run of it: what was foreseen, and what came."""
    import dataclasses
    import tempfile

    from spikereel.config import override
    from spikereel.runs.recipes import get_recipe
    from spikereel.train.plan import plan
    from spikereel.train.run import train

    length = 160 if dry else 2400
    changes = ["optim.epochs=1", f"data.train_length={length}", "data.test_length=20", "run.progress=false"]
    changes += ["optim.batch=4", "data.frames=2"] if dry else ["data.workers=8"]
    recipe = override(get_recipe("motion"), [*changes, "run.silent_epochs=0"])
    found = plan(recipe, device=place(dry)).to_json()
    with tempfile.TemporaryDirectory() as folder:
        result = train(dataclasses.replace(recipe, run=dataclasses.replace(recipe.run, out=folder)))
    return {"plan": found, "run": result.forecast}


def windows(dry: bool) -> list[dict[str, Any]]:
    """Memory and time of a step on long clips in windows of eight frames."""
    import torch

    from spikereel.runs.classification import ClassificationObjective
    from spikereel.runs.config import OptimSpec
    from spikereel.train.module import TrainingModule

    rows = []
    for frames in (8, 16) if dry else (8, 64, 256):
        module = TrainingModule(_model(dry).train(), ClassificationObjective(OptimSpec(truncate=8), classes=10))
        clip = torch.randn(frames, 1, 3, *((32, 32) if dry else (224, 224)), device=place(dry))
        label = torch.zeros(1, dtype=torch.long, device=place(dry))

        def work(module: Any = module, clip: Any = clip, label: Any = label) -> None:
            module.clip_loss(clip, label)[0].backward()
            module.zero_grad()

        rows.append({"frames": frames, **timed(work, dry, repeats=3)})
    return rows


PARTS: dict[str, Callable[[bool], Any]] = {
    f.__name__: f
    for f in (
        *(machine, dispatch, triton_tests, equal_to_cpu, neurons, attention),
        *(step, windows, inference, planner, compiled, authors),
    )
}
"""In the order of what is wanted first."""


def gpu(options: Any) -> dict[str, Any]:
    """All parts, each tried alone; a file of what is done goes on where it was left."""
    path = Path(options.state)
    done: dict[str, Any] = {}
    if path.is_file() and not options.again:
        done = json.loads(path.read_text())
    began = time.monotonic()
    if done.get("dry", options.dry) != options.dry:
        done = {}
    done["dry"] = options.dry
    parts = done.setdefault("parts", {})
    for name in options.parts or PARTS:
        if parts.get(name, {}).get("ok"):
            print(f"{name}: done before")
            continue
        left = options.seconds - (time.monotonic() - began)
        parts[name] = _alone(name, options.dry, min(left, 240)) if left > 5 else {"ok": False, "failed": "no time left"}
        print(f"{name}: {'ok' if parts[name]['ok'] else parts[name]['failed']} ({parts[name].get('seconds', 0):.0f} s)")
        path.write_text(json.dumps(done, indent=2) + "\n")
    failed = [name for name, part in parts.items() if not part["ok"]]
    print(
        f"{len(parts) - len(failed)} of {len(parts)} parts are done"
        + (f"; failed: {', '.join(failed)}" if failed else "")
    )
    return {**done, "failed": failed}


def _alone(name: str, dry: bool, seconds: float) -> dict[str, Any]:
    began = time.monotonic()
    command = [sys.executable, __file__, name, *(["--dry"] if dry else [])]
    path = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        run = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=os.environ | {"PYTHONPATH": os.environ.get("PYTHONPATH") or path},
        )
    except subprocess.TimeoutExpired:
        return {"ok": False, "failed": f"took more than {seconds:.0f} s", "seconds": time.monotonic() - began}
    took = time.monotonic() - began
    lines = run.stdout.strip().splitlines()
    if run.returncode or not lines:
        said = (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]
        return {"ok": False, "failed": said[:600], "seconds": took}
    return {"ok": True, "found": json.loads(lines[-1]), "seconds": took}


def main() -> None:
    """One part, its result as JSON in the last line."""
    name, dry = sys.argv[1], "--dry" in sys.argv
    try:
        if not dry:
            import torch

            if not torch.cuda.is_available():
                raise RuntimeError("no CUDA device; --dry tries the script without one")
        print(json.dumps(PARTS[name](dry)))
    except Exception as error:  # noqa: BLE001 - whatever it is becomes the report of this part
        traceback.print_exc()
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")


if __name__ == "__main__":
    main()
