"""What a page is told, without a page: frames, windows, tiles, events, comparisons, runs, recipes."""

import dataclasses
import json
import re
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from films import film, told, uneven
from small import DATA, small_weights

pytest.importorskip("starlette")

from asgi import CHANGES, OWN, ask

import spikereel
from spikereel.energy import measure
from spikereel.errors import ConfigError, DataError
from spikereel.hub import Metadata
from spikereel.runs.config import DataSpec
from spikereel.studio import runs, tiles
from spikereel.studio.analysis import Analysis
from spikereel.studio.camera import Camera
from spikereel.studio.opened import Library
from spikereel.studio.roots import Roots
from spikereel.studio.server import application
from spikereel.studio.state import Studio
from spikereel.studio.turns import Turns
from spikereel.studio.windows import windows_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Films, weights, and a run of two kinds of videos."""
    root = tmp_path_factory.mktemp("studio")
    film(root / "round.mp4", 40)
    film(root / "uneven.mp4", 40, times=uneven(40))
    small_weights(root / "a.safetensors", dataclasses.replace(DATA, stride=2))
    model = spikereel.load_model(root / "a.safetensors")
    with torch.no_grad():
        model.get_submodule("head").weight.neg_()
    spikereel.save_model(model, root / "b.safetensors", model.metadata)
    return root


@pytest.fixture
def studio(folder):
    made = Studio(roots=Roots.of([f"films={folder}"]))
    yield made
    made.close()


@pytest.fixture
def app(studio):
    return application(studio, host="127.0.0.1")


def opened(app, name):
    return ask(app, "POST", "/api/sources", body={"place": f"films:{name}"}).json


def analysis_of(folder, name="round.mp4", **options) -> Analysis:
    model = spikereel.load_model(folder / "a.safetensors")
    source = Library().open(folder / name, f"films:{name}", name)
    return Analysis(id="x", model=model, weights="a", opened=source, windows=windows_of(model, source, **options))


@pytest.mark.parametrize("name", ["round.mp4", "uneven.mp4"])
def test_frames_are_those_that_were_asked_for(app, name):
    source = opened(app, name)
    assert source["varies"] == (name == "uneven.mp4")
    for number in (0, 39, 7, 6, 22):
        answer = ask(app, "GET", f"/api/sources/{source['id']}/frames/{number}?ahead={number % 3}")
        shape = [int(answer.headers[x]) for x in ("x-height", "x-width")]
        assert told(np.frombuffer(answer.body, np.uint8).reshape(*shape, 3)) == number == int(answer.headers["x-frame"])
    assert ask(app, "GET", f"/api/sources/{source['id']}/frames/40").status == 400
    assert ask(app, "GET", f"/api/sources/{source['id']}/frames/0?side=100000").status == 400


def test_small_pictures_keep_their_shape(app):
    answer = ask(app, "GET", f"/api/sources/{opened(app, 'round.mp4')['id']}/frames/3?side=64")
    assert (answer.headers["x-height"], answer.headers["x-width"], len(answer.body)) == ("48", "64", 48 * 64 * 3)


def test_times_are_those_of_the_file(app):
    source = opened(app, "uneven.mp4")
    times = np.frombuffer(ask(app, "GET", f"/api/sources/{source['id']}/times").body, "<f8")
    np.testing.assert_allclose(times, uneven(40)[:-1], atol=1e-4)
    assert ask(app, "GET", f"/api/sources/{opened(app, 'round.mp4')['id']}/times").status == 400


def test_a_recording_is_seen_where_its_events_lie(app, studio, folder):
    t = np.arange(0, 2_000_000, 10_000)
    np.savez(folder / "moved.npz", t=t, x=t // 20_000, y=t * 0 + 60, p=t // 10_000 % 2, width=128, height=128)
    spec = DataSpec(kind="dvs128_objects", frames=2, size=32)
    _other_task(folder / "events.safetensors", spec, task="classification", in_channels=2, num_classes=3)
    source = opened(app, "moved.npz")
    assert (source["frames"], source["holds"]) == (60, "events")
    shown = np.frombuffer(ask(app, "GET", f"/api/sources/{source['id']}/frames/30").body, np.uint8)
    lit = np.flatnonzero(shown.reshape(128, 128, 3)[60, :, 0] != 90)
    assert 48 <= lit.min() <= lit.max() <= 52
    body = {"source": source["id"], "weights": "films:events.safetensors", "frame": 3}
    found = studio.worker.get(ask(app, "POST", "/api/analyses", body=body).json["id"])
    found.wait(0, 20)
    # these weights see half a second, the middle: from 0.745 s on, and from 0.995 s
    assert found.found[0]["frames"][0] == 22
    assert found.found[0]["frames"][1] in (29, 30)
    refused = ask(app, "POST", "/api/analyses", body={**body, "weights": "films:a.safetensors"})
    assert (refused.status, "moved.npz: is a recording of events" in refused.error) == (400, True)
    body["source"] = opened(app, "round.mp4")["id"]
    film = studio.worker.get(ask(app, "POST", "/api/analyses", body=body).json["id"])
    film.wait(0, 20)
    assert film.fault is not None
    # without the folders of the server
    assert film.fault.startswith("round.mp4: is a video")


def test_windows_cover_every_frame_in_order(folder):
    for name in ("round.mp4", "uneven.mp4"):
        found = analysis_of(folder, name)
        spans = found.spans
        assert spans[0][0] == 0
        assert spans[-1][1] == 40
        assert all(a[1] == b[0] for a, b in pairwise(spans))
        # each window sees frames of its own, where its rate varies at equal steps of time
        for number, (first, stop) in enumerate(spans):
            _, _, frames = found.windows.given(number)
            assert first <= frames[0]
            # a long frame may be the last of one window and the first of the next
            assert frames[-1] < stop + (name == "uneven.mp4")
    assert len(analysis_of(folder, every=0.5).spans) == 3
    with pytest.raises(ConfigError, match="every is 0"):
        analysis_of(folder, every=0.0)


@pytest.fixture(scope="module")
def finished(folder):
    """An analysis that began at frame 17, of which nothing is left."""
    found = analysis_of(folder)
    found.playhead = 17
    while found.step():
        pass
    return found


def test_the_window_that_is_looked_at_comes_first_and_then_the_rest(finished):
    assert finished.order[:5] == [2, 3, 4, 1, 0]
    assert finished.done


def test_figures_of_a_window_are_those_of_the_library(finished):
    found = finished
    clip, _, frames = found.windows.given(1)
    said = found.found[1]
    assert said["frames"] == list(frames) == [8, 10, 12, 15]
    passport = measure(found.model, clip)
    for cost in ("paper", "int8"):
        assert said["energy"][cost] == pytest.approx(passport.energy_per_frame_mj(cost), rel=1e-5)
    with torch.no_grad():
        logits, _ = found.model(clip)
    assert said["probabilities"][-1] == pytest.approx(logits[0].double().softmax(0).tolist(), abs=1e-5)


def test_a_tile_is_what_fired(finished):
    found = finished
    name = found.about["layers"][5]["name"]
    size = found.about["layers"][5]["size"]
    # a column for each frame, a row for each neuron of a range that begins inside a byte
    tile = tiles.raster(found, name, (3, 19), (0, 40), (16, 40))
    for number, row in found.found.items():
        spikes = found.trace(number).spikes(name).reshape(4, -1)[:, 3:19]
        for frame in range(row["first"], row["stop"]):
            step = max(np.searchsorted(row["frames"], frame, side="right") - 1, 0)
            np.testing.assert_array_equal(tile[:, frame], 254 * (spikes[step] > 0))
    # rows of many neurons are their share
    whole = tiles.raster(found, name, (0, size), (0, 8), (4, 8))
    shares = found.trace(0).spikes(name).reshape(4, 4, -1).mean(2)
    np.testing.assert_allclose(whole[:, 0], 254 * shares[0], atol=0.51)
    for wrong in (
        {"neurons": (0, size + 1)},
        {"neurons": (5, 5)},
        {"size": (0, 9)},
        {"size": (9, 9999)},
        {"layer": "x"},
    ):
        given = {"layer": name, "neurons": (0, 4), "frames": (0, 8), "size": (4, 8), **wrong}
        with pytest.raises(DataError):
            tiles.raster(found, **given)


@pytest.fixture(scope="module")
def written(folder):
    """A trace of every frame of a film, in a file: more than one window."""
    options = {"neurons": {"lif": [0, 5]}, "energy": True}
    made = spikereel.trace(folder / "a.safetensors", folder / "round.mp4", frames="all", piece=4, **options)
    made.save(folder / "round.trace")
    return made


def test_a_trace_is_opened_with_all_that_was_found(app, studio, written, monkeypatch):
    monkeypatch.setattr("spikereel.studio.recorded.FRAMES", 8)
    monkeypatch.setattr("spikereel.studio.analysis.MEMORY", 1)
    source = opened(app, "round.trace")
    assert (source["frames"], source["trace"], round(source["fps"])) == (20, True, 15)
    assert "frames 0 to 38 of round.mp4" in source["notes"][0]
    picture = ask(app, "GET", f"/api/sources/{source['id']}/frames/11?side=640")
    shape = [int(picture.headers[x]) for x in ("x-height", "x-width")]
    shown = np.frombuffer(picture.body, np.uint8).reshape(*shape, 3)
    np.testing.assert_array_equal(shown, written.pictures[11].transpose(1, 2, 0))
    about = ask(app, "POST", "/api/analyses", body={"source": source["id"], "frame": 10}).json
    found = studio.worker.get(about["id"])
    while not found.done:
        time.sleep(0.005)
    assert found.order == [1, 2, 0]
    said = found.found[2]
    assert said["frames"] == [*range(16, 20)]
    assert said["energy"]["paper"] == pytest.approx(written.energy()[16:], rel=1e-5)
    # nothing is forgotten, whatever the memory: it lies in the file
    size = written.layers["lif"].size
    tile = tiles.raster(found, "lif", (0, size), (0, 20), (size, 20))
    np.testing.assert_array_equal(tile, 254 * (written.spikes("lif").reshape(20, -1).T > 0))
    path = f"/api/analyses/{about['id']}"
    row = ask(app, "GET", f"{path}/attention?number=1&step=3&y=0&x=0").json
    wanted = written.attention((11, 0, 0))
    here = (wanted.frames >= 8) & (wanted.frames < 16)
    assert row["first"] == wanted.frames[here][0] - 8
    np.testing.assert_allclose(row["values"], wanted.mean()[here], atol=1e-3)
    assert ask(app, "GET", f"{path}/attention?number=1&step=8&y=0&x=0").status == 400
    kept = ask(app, "GET", f"{path}/membranes?number=1&layer=lif&neurons=5").json
    np.testing.assert_allclose(np.ravel(kept["charged"]), written.membranes("lif").charged[8:16, 1], atol=1e-4)
    for wrong, words in (("layer=lif&neurons=3", "neurons 0, 5 alone"), ("layer=head_lif", "no membranes")):
        answer = ask(app, "GET", f"{path}/membranes?number=1&{wrong}")
        assert (answer.status, words in answer.error) == (400, True), answer.error
    assert "is no trace" in ask(app, "POST", "/api/sources", body={"place": "films:a.safetensors"}).error


def test_spikes_that_were_forgotten_are_unknown_and_come_back_where_somebody_looks(finished):
    found = finished
    name = found.about["layers"][0]["name"]
    before = tiles.raster(found, name, (0, 16), (0, 40), (16, 40))
    del found._traces[2]
    assert (tiles.raster(found, name, (0, 16), (16, 24), (16, 8)) == tiles.UNKNOWN).all()
    assert len(found.found) == 5
    found.playhead = 16
    assert not found.done
    found.step()
    np.testing.assert_array_equal(tiles.raster(found, name, (0, 16), (0, 40), (16, 40)), before)
    assert found.order[-1] == 2


def test_membranes_and_attention_of_a_window(app, studio):
    source = opened(app, "round.mp4")
    body = {"source": source["id"], "weights": "films:a.safetensors", "frame": 0}
    about = ask(app, "POST", "/api/analyses", body=body).json
    found = studio.worker.get(about["id"])
    found.wait(0, 20)
    made = found.trace(0)
    layer = next(x for x in made.layers.values() if x.size > 40 and x.threshold)
    path = f"/api/analyses/{about['id']}"
    said = ask(app, "GET", f"{path}/membranes?number=0&layer={layer.name}&neurons=7,3").json
    fired = made.spikes(layer.name).reshape(4, -1)[:, [7, 3]]
    assert said["neurons"] == [7, 3]
    np.testing.assert_array_equal(said["spikes"], fired)
    np.testing.assert_array_equal(np.array(said["charged"]) >= layer.threshold - 1e-4, fired)
    assert len(ask(app, "GET", f"{path}/membranes?number=0&layer={layer.name}").json["neurons"]) == 3
    for wrong in ("layer=none", f"layer={layer.name}&neurons=x", f"layer={layer.name}&neurons=99999999"):
        assert ask(app, "GET", f"{path}/membranes?number=0&{wrong}").status == 400
    row = ask(app, "GET", f"{path}/attention?number=0&step=1&y=0&x=0").json
    np.testing.assert_allclose(row["values"], made.attention((1, 0, 0)).mean(), atol=1e-3)
    assert ask(app, "GET", f"{path}/attention?number=0&step=9&y=0&x=0").status == 400
    assert ask(app, "GET", f"{path}/points?number=0").status == 400


def test_results_come_as_events_and_go_on_where_they_were_left(app, studio, finished):
    studio.worker.look(finished)
    body = ask(app, "GET", "/api/analyses/x/events", gone=20).body.decode()
    events = [dict(line.split(": ", 1) for line in part.splitlines()) for part in body.split("\n\n") if part]
    assert [x["event"] for x in events] == ["about", *["window"] * len(finished.order)]
    assert [json.loads(x["data"])["number"] for x in events[1:]] == finished.order
    assert json.loads(events[0]["data"])["steps"] == 4
    again = ask(app, "GET", "/api/analyses/x/events", {**OWN, "last-event-id": events[3]["id"]}, gone=20).body.decode()
    assert f"id: {int(events[3]['id']) + 1}\n" in again
    assert f"id: {events[3]['id']}\n" not in again


def test_a_camera_is_a_source_that_grows_up_to_a_limit(monkeypatch):
    camera = Camera(48, 64, 10.0)
    frames = [bytes([i]) * camera.frame_bytes for i in range(3)]
    camera.add(frames[0], 1)
    camera.add(frames[1], 3)
    assert len(camera.opened.frames) == 4
    assert [camera.opened.picture(i, 64)[0, 0, 0] for i in range(4)] == [0, 1, 1, 1]
    for wrong, repeats in ((b"x", 1), (frames[2], 0), (frames[2], 10**9)):
        with pytest.raises(DataError):
            camera.add(wrong, repeats)
    monkeypatch.setattr("spikereel.studio.camera.MOST", 2 * camera.frame_bytes)
    with pytest.raises(DataError, match="is stopped"):
        camera.add(frames[2], 1)
    assert not camera.opened.live
    for wrong in ((8, 64, 10.0), (48, 9999, 10.0), (48, 64, 0.0)):
        with pytest.raises(DataError):
            Camera(*wrong)


def test_windows_of_a_camera_come_when_their_frames_are_there(folder):
    model = spikereel.load_model(folder / "a.safetensors")
    camera = Camera(48, 64, 10.0)
    windows = windows_of(model, camera.opened)
    assert windows.spans == []
    camera.add(bytes(camera.frame_bytes), 7)
    assert windows.spans == []
    camera.add(bytes(camera.frame_bytes), 2)
    assert windows.spans == [(0, 8)]
    _, _, frames = windows.given(0)
    assert frames == [0, 2, 4, 7]


def test_a_frame_of_a_camera_is_no_larger_than_it_said(app):
    camera = ask(app, "POST", "/api/cameras", body={"height": 48, "width": 64, "fps": 10}).json
    path = f"/api/cameras/{camera['id']}/frames"
    assert ask(app, "POST", path, body=bytes(48 * 64 * 3)).json == {"frames": 1}
    assert ask(app, "POST", path, CHANGES, [bytes(48 * 64 * 3), b"x"], raw=True).status == 413
    assert ask(app, "POST", "/api/cameras/none/frames", body=b"x").status == 400


def test_two_networks_on_a_clip(app):
    body = {"place": "films:round.mp4", "a": "films:a.safetensors", "b": "films:b.safetensors"}
    answer = ask(app, "POST", "/api/compare", body=body)
    assert answer.status == 200, answer.error
    found = answer.json
    # the heads differ alone
    assert found["first"] is None
    assert found["answers_differ"]
    assert "weights" in found["settings"]
    assert len(found["shares"]) == found["compared"] > 20
    assert found["tensors"] == "1 tensor of the weights differs: head.weight"
    # a file may be named without its folder
    assert ask(app, "POST", "/api/compare", body={**body, "a": "a.safetensors"}).json["first"] is None
    assert ask(app, "POST", "/api/compare", body={**body, "a": "../a.safetensors"}).status == 400
    body["b"] = "spikevideoformer_ti.motion"
    assert ask(app, "POST", "/api/compare", body=body).status == 400
    body["b"] = "films:../b.safetensors"
    assert ask(app, "POST", "/api/compare", body=body).status == 400


def test_runs_are_listed_with_curves_and_the_clips_behind_a_cell(run_of_videos):
    studio = Studio(roots=Roots.of([f"own={run_of_videos}"]), runs=("own:runs",))
    app = application(studio, host="127.0.0.1")
    (listed,) = ask(app, "GET", "/api/runs").json["runs"]
    assert (listed["place"], listed["top1"], listed["resumable"]) == ("own:runs/small", 50.0, True)
    query = "?place=own:runs/small"
    assert ask(app, "GET", f"/api/runs/details{query}").json["settings"]["data.frames"] == 4
    passports = ask(app, "GET", f"/api/runs/details{query}").json["passports"]
    assert list(passports) == ["passport.json", "two.json, a", "two.json, b"]
    assert passports["passport.json"]["energy_mj"]["paper"]["total"] > 0
    curves = ask(app, "GET", f"/api/runs/curves{query}").json["curves"]
    assert "val_top1" in curves
    assert all(len(point) == 2 for points in curves.values() for point in points)
    cells = [ask(app, "GET", f"/api/runs/cell{query}&truth={i}&guess={j}").json for i in range(2) for j in range(2)]
    counts = np.array([len(x["clips"]) for x in cells]).reshape(2, 2)
    assert counts.tolist() == cells[0]["confusion"]
    clips = [clip for x in cells for clip in x["clips"]]
    assert clips
    for clip in clips:
        assert ask(app, "POST", "/api/sources", body={"place": clip["place"]}).status == 200
        strip = ask(app, "GET", f"/api/runs/strip{query}&index={clip['index']}")
        assert len(strip.body) == int(strip.headers["x-height"]) * int(strip.headers["x-width"]) * 3
    assert ask(app, "GET", "/api/runs/details?place=own:clips").status == 400
    studio.close()


def test_long_curves_are_thinned_and_keep_their_ends(tmp_path):
    from torch.utils.tensorboard.writer import SummaryWriter

    with SummaryWriter(str(tmp_path / "log")) as writer:
        for step in range(1000):
            writer.add_scalar("loss", step, step)
    points = runs.curves(tmp_path)["loss"]
    assert len(points) <= runs.MOST_POINTS + 1
    assert (points[0], points[-1]) == ([0.0, 0.0], [999.0, 999.0])
    assert runs.curves(tmp_path / "log") == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("run.out=/tmp", "set by the studio"),
        ("--resume", "write key=value"),
        ("data.root=/etc", "outside the folders"),
        ("data.root=../..", "outside the folders"),
        ("data.root=~/x", "outside the folders"),
        ("data.root=films:../..", "no such file"),
        ("model.start=/etc/passwd", "outside the folders"),
        ("data.cache=/tmp/x", "outside the folders"),
        ("name=../../x", "outside the folders"),
        ("name=.hidden", "outside the folders|that of a folder"),
        ("optim.epoch=3", "did you mean"),
        ("nothing", "write key=value"),
    ],
)
def test_recipes_reach_nothing_outside_the_folders(app, studio, change, words):
    answer = ask(app, "POST", "/api/trainings", body={"recipe": "video_folder", "changes": [change]})
    assert answer.status == 400
    assert re.search(words, answer.error), answer.error
    assert not studio.trainings.all


def test_requests_name_what_they_lack(app):
    for path in ("/api/sources/none", "/api/analyses/none", "/api/runs/curves?place=x", "/api/nothing"):
        assert ask(app, "GET", path, OWN).status in (400, 404)


def _other_task(path, spec, **options):
    torch.manual_seed(0)
    small = {"widths": (8, 16, 16, 24), "depths": (1, 1), "heads": 4, "threshold": 0.2}
    model = spikereel.create_model("spikevideoformer_ti", **small, **options).eval()
    classes = ("background", "moving") if options["task"] == "segmentation" else ()
    metadata = Metadata(name="small", classes=classes, preprocess=dataclasses.asdict(spec))
    spikereel.save_model(model, path, metadata)


def test_joints_and_masks_are_those_of_predict(app, studio, folder):
    pose = DataSpec(kind="figure", size=32, frames=4, stride=2, modality="grey", workers=0)
    masks = DataSpec(kind="masks", size=32, frames=2, workers=0)
    _other_task(folder / "pose.safetensors", pose, task="pose", in_channels=1, joints=20)
    _other_task(folder / "masks.safetensors", masks, task="segmentation", in_channels=3, num_classes=2, width=8)
    source = opened(app, "round.mp4")
    for name, kind in (("pose", "joints"), ("masks", "masks")):
        body = {"source": source["id"], "weights": f"films:{name}.safetensors"}
        about = ask(app, "POST", "/api/analyses", body=body).json
        assert about["drawn"]["kind"] == kind
        found = studio.worker.get(about["id"])
        made = found.trace(0)
        if kind == "joints":
            points = ask(app, "GET", f"/api/analyses/{about['id']}/points?number=0").json["points"]
            assert np.shape(points) == (len(made), 20, 2)
            assert len(about["drawn"]["bones"]) > 10
        else:
            answer = ask(app, "GET", f"/api/analyses/{about['id']}/mask?number=0&step=1")
            np.testing.assert_array_equal(np.frombuffer(answer.body, np.uint8), made.outputs["masks"][1].reshape(-1))
            assert ask(app, "GET", f"/api/analyses/{about['id']}/mask?number=0&step=99").status == 400


def test_requests_go_before_what_can_wait():
    turns, order = Turns(), []

    def background():
        for number in range(3):
            with turns.later():
                order.append(number)
                time.sleep(0.1)

    def request():
        with turns.now():
            order.append("request")

    threads = [threading.Thread(target=background), threading.Thread(target=request)]
    threads[0].start()
    while not order:
        time.sleep(0.005)
    threads[1].start()
    for thread in threads:
        thread.join()
    assert order[:2] == [0, "request"]


def test_who_looks_waits_for_no_network(finished):
    over = threading.Event()

    def network():
        with finished.turns.now():
            over.wait(20)

    running = threading.Thread(target=network)
    running.start()
    name = finished.about["layers"][0]["name"]
    tiles.raster(finished, name, (0, 16), (0, 40), (16, 40))
    finished.trace(0)
    finished.membranes(0, name, [])
    assert running.is_alive()
    over.set()
    running.join()
