"""Many clips: a row for every path, whoever did the work, however often, and whatever was in the way."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small import DATA, cut_short, small_weights, video_file

import spikereel
from spikereel.apps.cli import main
from spikereel.bulk import clock
from spikereel.bulk.job import Job
from spikereel.bulk.manifest import Manifest, read_manifest, shard_of
from spikereel.bulk.pool import DEATHS, Pool, Task, _device
from spikereel.bulk.run import predict_many
from spikereel.bulk.score import score_of
from spikereel.energy.many import Estimates
from spikereel.energy.rates import estimate
from spikereel.errors import ConfigError, DataError
from spikereel.hub import create_model
from spikereel.layers.neuron import Neuron
from spikereel.layers.observe import firing_rates, rates_by_clip

table = pytest.importorskip("spikereel.bulk.table")
pq = pytest.importorskip("pyarrow.parquet")

FAKE = """
import json, os, signal, sys
out = json.loads(sys.stdin.readline())["out"]
say = lambda **x: print(json.dumps(x), flush=True)
say(ready=True)
for line in sys.stdin:
    task = json.loads(line)
    for path in [task["row"]] if "row" in task else task["paths"]:
        if path.startswith("poison"):
            os.kill(os.getpid(), signal.SIGKILL)
        if path.startswith("once") and not os.path.exists(os.path.join(out, path)):
            open(os.path.join(out, path), "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        if "row" not in task:
            say(seen=1)
    row = {"path": task["row"], "id": "", "weights": "w", "settings": "s", "error": None} if "row" in task else None
    if row is not None:
        say(row=row)
    else:
        say(part=task["part"], rows=len(task["paths"]), errors=0, clock={"idle": 1.0})
"""
"""A worker without a network: dies of files called poison every time, of those called once the first time."""


class FakePool(Pool):
    command = (sys.executable, "-c", FAKE)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Ten clips, of which one is cut short, and the list of them with one that is not there."""
    root = tmp_path_factory.mktemp("clips")
    for i in range(10):
        video_file(root / f"{i}.mp4", seed=i, level=60 + 13 * i)
    cut_short(root / "3.mp4")
    small_weights(root / "small.safetensors", replace(DATA, stride=1))
    names = [*(f"{i}.mp4" for i in range(10)), "missing.mp4", "2.mp4"]
    (root / "clips.csv").write_text("path,label\n" + "".join(f"{x},up\n" for x in names))
    return root


@pytest.fixture(scope="module")
def quiet(clips, tmp_path_factory):
    """What one call without trouble gives: its summary, its folder and its rows."""
    out = tmp_path_factory.mktemp("quiet")
    return predict(clips, out), out, table.read_results(out)


def predict(clips: Path, out: Path, **options):
    return predict_many(clips / "clips.csv", out, model=clips / "small.safetensors", **({"workers": 0} | options))


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("part-*")}


def test_every_path_has_its_row_and_bad_ones_say_why(clips, quiet):
    summary, _out, rows = quiet
    assert (summary.clips, summary.done, summary.errors, summary.lost, summary.repeated) == (11, 11, 2, 0, 1)
    assert sorted(row["path"] for row in rows) == sorted([*(f"{i}.mp4" for i in range(10)), "missing.mp4"])
    errors = {row["path"]: row for row in rows if row["error"] is not None}
    assert errors.keys() == {"3.mp4", "missing.mp4"}
    assert "No such file" in errors["missing.mp4"]["error"]
    assert errors["missing.mp4"]["content"] is None
    assert len(errors["3.mp4"]["content"]) == 64
    assert len({row["id"] for row in rows}) == 11


def test_rows_say_what_predict_says(clips, quiet):
    row = next(row for row in quiet[2] if row["path"] == "5.mp4")
    alone = spikereel.predict(clips / "small.safetensors", clips / "5.mp4", engine=native_or_not(), views=1)
    assert row["class"] == alone.label
    assert row["probabilities"] == pytest.approx(alone.probabilities, abs=1e-6)
    assert row["frames"] == list(alone.indices)
    assert row["firing"] == pytest.approx(alone.firing, abs=1e-9)
    assert row["weights"] == alone.weights
    if row["engine"] == "native":
        assert row["energy_mj"] == pytest.approx(alone.passport.energy_mj(), rel=1e-9)
    assert 0 < row["energy_mj"] < 1


def native_or_not() -> str:
    from spikereel.engine.loaded import available

    return "native" if available() else "reference"


def test_a_folder_reads_as_one_table_of_any_reader(quiet):
    found = pq.read_table(str(quiet[1]))
    assert found.num_rows == 11
    assert json.loads(found.schema.metadata[b"spikereel"])["classes"]


def test_a_second_call_does_nothing_and_changes_nothing(clips, quiet):
    before = contents(quiet[1])
    summary = predict(clips, quiet[1])
    assert (summary.done, summary.before, summary.errors) == (0, 11, 2)
    assert contents(quiet[1]) == before


def test_shards_repeated_and_one_after_the_other_write_the_same_files(clips, quiet, tmp_path):
    for shard in ("1/2", "0/2", "1/2", "2/2"):
        assert predict(clips, tmp_path, shard=shard).lost == 0
    assert contents(tmp_path) == contents(quiet[1])


def test_what_was_lost_or_changed_is_done_again_and_nothing_else(clips, quiet, tmp_path):
    for name, content in contents(quiet[1]).items():
        (tmp_path / name).write_bytes(content)
    gone = sorted(tmp_path.glob("part-*"))[1]
    gone.unlink()
    assert predict(clips, tmp_path).done == 4
    assert contents(tmp_path) == contents(quiet[1])
    os.utime(clips / "9.mp4", ns=(1, 1))
    summary = predict(clips, tmp_path)
    assert (summary.done, summary.before) == (1, 10)
    assert len(table.read_results(tmp_path)) == 11


def test_embeddings_views_and_other_engines_are_other_rows(clips, tmp_path):
    listed = Manifest(root=clips, entries=read_manifest(clips / "clips.csv").entries[:2])
    model = clips / "small.safetensors"
    predict_many(listed, tmp_path, model=model, workers=0)
    predict_many(listed, tmp_path, model=model, workers=0, embedding=True, options={"views": 2}, engine="reference")
    rows = table.read_results(tmp_path, columns=["id", "embedding", "frames", "error"])
    assert [row["error"] for row in rows] == [None] * 4
    assert len({row["id"] for row in rows}) == 4
    assert {len(row["embedding"] or ()) for row in rows} == {0, 24}
    assert {len(row["frames"]) for row in rows} == {4, 8}


def test_the_command_prints_rate_and_shares_and_evaluates(clips, tmp_path, capsys):
    line = ["--manifest", str(clips / "clips.csv"), "--out", str(tmp_path / "out"), "--workers", "0"]
    told = tmp_path / "told.json"
    assert main(["predict", "--model", str(clips / "small.safetensors"), *line, "--json", str(told)]) == 0
    assert (json.loads(told.read_text())["done"], json.loads(told.read_text())["errors"]) == (11, 2)
    said = capsys.readouterr().out
    assert "11 clips in" in said
    assert "clips/s" in said
    assert "idle" in said
    assert "2 of 11 clips could not be predicted" in said
    report = tmp_path / "report.json"
    assert main(["evaluate", str(clips / "small.safetensors"), *line, "--json", str(report)]) == 0
    assert "11 were there already" in capsys.readouterr().out
    assert json.loads(report.read_text())["clips"] == 9
    assert main(["predict", "x.mp4", *line]) == 2
    assert main(["predict", "x.mp4", "--shard", "0/2"]) == 2
    assert main(["predict", *line, "--runtime", "onnx"]) == 2
    assert main(["predict", "--model", str(clips / "small.safetensors"), *line, "--task", "pose"]) == 2


def pool_of(tmp_path: Path, tasks: list[Task], workers: int = 2) -> tuple[list[dict], FakePool]:
    said: list[dict] = []
    job = Job(model="m", out=str(tmp_path), root=str(tmp_path), weights="w", settings="s")
    pool = FakePool(job, workers, said.append, {"model": "m"})
    pool.run(tasks)
    return said, pool


def test_parts_of_a_worker_that_dies_are_done_by_another(tmp_path):
    tasks = [Task(number=i, paths=[f"{i}a", "once" if i == 3 else f"{i}b"]) for i in range(8)]
    said, pool = pool_of(tmp_path, tasks)
    assert sorted(x["part"] for x in said if "part" in x) == list(range(8))
    assert sum("died" in x for x in said) == 1
    assert sum(x.get("seen", 0) for x in said) == 16
    assert pool.hands == [] or all(hand.process.poll() is not None for hand in pool.hands)


def test_a_file_that_kills_its_workers_is_a_row_with_an_error(tmp_path):
    (tmp_path / "poison").write_bytes(b"x")
    said, _ = pool_of(tmp_path, [Task(number=0, paths=["a", "poison", "b"]), Task(number=1, paths=["c"])])
    assert sum("died" in x for x in said) == 2 * DEATHS
    rows = {row["path"]: row for row in table.read_parts(tmp_path)}
    assert rows.keys() == {"a", "poison", "b"}
    assert rows["poison"]["error"] == f"{DEATHS} workers died of this file (signal 9)"
    assert rows["poison"]["bytes"] == 1
    assert rows["a"]["error"] is None
    assert {x["part"] for x in said if "part" in x} == {0, 1}


def test_workers_that_cannot_begin_end_the_call(tmp_path, monkeypatch):
    monkeypatch.setattr(FakePool, "command", (sys.executable, "-c", "raise SystemExit(7)"))
    with pytest.raises(ConfigError, match="3 workers in a row ended before they began"):
        pool_of(tmp_path, [Task(number=0, paths=["a"])])


def test_each_worker_of_gpus_has_one_of_those_that_are_visible(monkeypatch):
    job = Job(model="m", out="o", root="r", device="cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert [_device(job, slot)["CUDA_VISIBLE_DEVICES"] for slot in range(3)] == ["3", "5", "3"]
    assert _device(replace(job, device="cpu"), 0) == {}


@pytest.mark.parametrize(
    ("text", "found"), [(None, (0, 1)), ("0/3", (0, 3)), ("2/3", (2, 3)), ("3/3", (0, 3)), ("1/1", (0, 1))]
)
def test_shards_count_from_nought_or_one(text, found):
    assert shard_of(text) == found


@pytest.mark.parametrize("text", ["3", "4/3", "-1/3", "a/b", "0/0", "1/2/3"])
def test_other_shards_are_refused(text):
    with pytest.raises(ConfigError, match="write i/n"):
        shard_of(text)


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("a.csv", "x,y\n1,2\n", "no column path but x, y"),
        ("a.csv", "", "is empty"),
        ("a.csv", "path\n\n", "names no files"),
        ("a.csv", "path\na,b\n", "a.csv:2: has 2 fields for 1 columns"),
        ("a.parquet", "path\n", "cannot be read as Parquet"),
        ("a.json", "[]", "is no .csv or .parquet"),
    ],
)
def test_manifests_that_name_nothing_are_refused(tmp_path, name, text, error):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=error):
        read_manifest(tmp_path / name)


def test_manifests_of_one_column_and_of_parquet(tmp_path):
    (tmp_path / "a.csv").write_text("x.mp4\ny z.mp4\n")
    assert [x.path for x in read_manifest(tmp_path / "a.csv").entries] == ["x.mp4", "y z.mp4"]
    pa = pytest.importorskip("pyarrow")
    pq.write_table(pa.table({"path": ["x.mp4"], "label": [3]}), tmp_path / "a.parquet")
    (entry,) = read_manifest(tmp_path / "a.parquet").entries
    assert (entry.path, entry.label) == ("x.mp4", "3")


def test_the_clock_adds_up_to_the_time_that_went_by():
    now = [0.0]
    own = clock.Clock(lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    wait(1)
    with own.busy("decode"):
        wait(2)
        with own.busy("network"), own.busy("decode"):
            wait(3)
    with own.busy("network"):
        wait(4)
    seconds = own.taken()
    assert seconds == {"idle": 1, "decode": 2, "network": 4, "both": 3}
    assert clock.said(seconds) == "decode 50 %, network 70 % (both at once 30 %), idle 10 %"
    assert own.taken() == dict.fromkeys(clock.STATES, 0.0)


def test_of_several_rows_of_a_path_the_newest_content_counts():
    row = {"path": "a", "weights": "w", "settings": "s", "content": "1", "mtime_ns": 1, "error": None}
    newer, broken, gone = {**row, "mtime_ns": 2}, {**row, "mtime_ns": 2, "error": "x"}, {**row, "content": None}
    for rows in ([row, newer, broken, gone], [gone, broken, newer, row]):
        assert table.merged(rows) == [newer]
    assert len(table.merged([row, {**row, "weights": "v"}])) == 2


def test_scores_of_rows():
    listed = Manifest(root=Path(), entries=read_entries(("a", "up"), ("b", "down"), ("c", "up")))
    rows = [
        {"path": "a", "error": None, "probabilities": [0.9, 0.1]},
        {"path": "b", "error": None, "probabilities": [0.8, 0.2]},
        {"path": "c", "error": "bad", "probabilities": None},
    ]
    score, without = score_of(listed, rows, ("up", "down"))
    assert (score.top1, score.clips, without) == (50.0, 2, 1)
    with pytest.raises(DataError, match="'up' of the manifest is none of the classes left"):
        score_of(listed, rows, ("left", "down"))


def read_entries(*pairs):
    from spikereel.bulk.manifest import Entry

    return tuple(Entry(path=path, label=label) for path, label in pairs)


@pytest.mark.parametrize("name", ["spikevideoformer_ti", "meta_spikeformer_s"])
def test_energy_of_many_is_that_of_each(name):
    model = create_model(name, widths=(8, 16, 16, 24), depths=(1, 1), heads=2).eval()
    names = [key for key, m in model.named_modules() if isinstance(m, Neuron)]
    many = Estimates(model)
    for seed in (5, 6):
        values = torch.rand(len(names), 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        rates = dict(zip(names, values.tolist(), strict=True))
        one = estimate(model, rates, clip=(4, 3, 32, 32))
        own = many.passport(rates, (4, 3, 32, 32))
        assert own.energy_mj() == pytest.approx(one.energy_mj(), rel=1e-9)
        assert many.energy_mj(rates, (4, 3, 32, 32)) == pytest.approx(one.energy_mj(), rel=1e-9)
        assert own.firing == one.firing
        for a, b in zip(own.layers, one.layers, strict=True):
            assert a.rate == pytest.approx(b.rate, abs=1e-9)
    assert name != "spikevideoformer_ti" or many.learn((4, 3, 32, 32)) is not None


def test_rates_of_each_clip_of_a_batch(clips):
    model = spikereel.load_model(clips / "small.safetensors")
    video = torch.rand(4, 3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), rates_by_clip(model) as own:
        model(video)
    for i in range(3):
        with torch.no_grad(), firing_rates(model) as rates:
            model(video[:, i : i + 1])
        for name, x in rates.items():
            torch.testing.assert_close(own[name][:, i], x, atol=2e-3, rtol=0)
