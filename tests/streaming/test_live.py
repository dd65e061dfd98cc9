"""Sources, one network, sinks: eight at once with one that misbehaves, secrets, files that survive, what is seen."""

import dataclasses
import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time

import av
import numpy as np
import pytest
import torch
from small import SMALL, small_weights, video_file

import spikereel
from spikereel.data.events.recording import Events
from spikereel.data.video.write import write_video
from spikereel.errors import ConfigError, DataError
from spikereel.hub import Metadata
from spikereel.inference.look import look
from spikereel.runs.config import DataSpec
from spikereel.streaming.feeds import FeedOptions, Lost, Shot, _known, _times, feed
from spikereel.streaming.film import Film
from spikereel.streaming.live import Live
from spikereel.streaming.places import Place, options_of, place_of
from spikereel.streaming.reader import Frame, Reader, ReaderOptions
from spikereel.streaming.seen import seer_of
from spikereel.streaming.sinks import Callback, JsonLines
from spikereel.streaming.wire import MAGIC, send_events
from tests.streaming import servers

SECRET = "hunter2"
COLOUR = DataSpec(kind="folder", frames=4, size=32, stride=1, workers=0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    small_weights(path, COLOUR, ("dark", "light"))
    return path


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    """A model with random weights whose answers differ from frame to frame."""
    torch.manual_seed(0)
    model = spikereel.create_model(
        "spikevideoformer_ti", widths=(8, 16, 16, 24), depths=(1, 1), heads=4, attention="causal", num_classes=2
    )
    torch.nn.init.normal_(model.head.weight)
    model.metadata = Metadata(name="small", classes=("dark", "light"), preprocess=dataclasses.asdict(COLOUR))
    return model.eval()


def _fake(shots, *, pause=0.0, error=None):
    """In place of `feed`: pictures of a place, by its name."""

    def open_(place, _options):
        for i in range(shots):
            time.sleep(pause)
            if error and place.name == error and i == 3:
                raise Lost("garbage", f"{place.name}: broken")
            yield Shot(content=_picture(place.name, i), time=i / 25)

    return open_


def _picture(name, i):
    seed = sum(map(ord, name)) * 100 + i
    return torch.randint(0, 256, (36, 36, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def _answers(model, names, **options):
    """{source: [probability of the best class]}."""
    open_ = options.pop("open_")
    broken = options.pop("broken", None)
    places = [Place(text=name, name=name, what="network" if name == broken else "file") for name in names]
    # a broken source comes back a hundred times a second, however long a busy machine takes for an answer
    reading = ReaderOptions(retries=1, backoff=(0.01, 0.02), queue=10_000)
    live = Live(
        session=spikereel.stream(model),
        places=places,
        reading=reading,
        open_=open_,
        rate=None,
        meter=False,
        most=12,
        **options,
    )
    found = {name: [] for name in names}
    live.run([Callback(call=lambda a: found[a.source].append((a.frame, a.top)))])
    return found, live


@pytest.mark.parametrize("together", [False, True])
def test_eight_sources_with_one_that_misbehaves(causal, together):
    names = [f"cam{i}" for i in range(8)]
    alone = {name: _answers(causal, [name], open_=_fake(20))[0][name] for name in names}
    assert {len(answers) for answers in alone.values()} == {12}
    found, live = _answers(causal, names, open_=_fake(20, error="cam3"), together=together, broken="cam3")
    for name in names:
        if name != "cam3":
            assert found[name] == alone[name]
    broken = next(x for x in live.channels if x.name == "cam3")
    assert broken.reader.counts.troubles["garbage"] >= 2
    assert found["cam3"][:3] == alone["cam3"][:3]


def test_readers_have_ended_when_a_stream_ends(causal):
    def open_(place, _options):
        for i in range(100):
            # as a decoder that waits for a camera, which hears of no end
            time.sleep(0.3)
            yield Shot(content=_picture(place.name, i), time=i / 25)

    places = [Place(text=name, name=name, what="file") for name in ("a", "b")]
    live = Live(session=spikereel.stream(causal), places=places, open_=open_, rate=None, meter=False, most=2)
    live.run([Callback(call=lambda _answer: None)])
    assert [x.name for x in threading.enumerate() if x.name.startswith("reader of")] == []


def test_frames_of_another_kind_are_the_fault_of_one_source(causal):
    def open_(place, options):
        for i, shot in enumerate(_fake(6)(place, options)):
            odd = place.name == "b" and i == 2
            column = np.array([1])
            events = Events(
                t=column.astype(np.int64),
                x=column.astype(np.uint16),
                y=column.astype(np.uint16),
                p=column > 0,
                width=9,
                height=9,
            )
            yield Shot(content=events if odd else shot.content, time=shot.time)

    found, live = _answers(causal, ["a", "b"], open_=open_)
    assert [frame for frame, _ in found["b"]][:5] == [0, 1, 3, 4, 5]
    assert [frame for frame, _ in found["a"]][:6] == list(range(6))
    assert "send" in live.channels[1].vital.last_error


@pytest.mark.parametrize("after_gap", ["reset", "bridge"])
def test_a_gap_resets_or_is_bridged_as_was_said(causal, after_gap):
    def open_(place, _options):
        for i in range(6):
            yield Shot(content=_picture("x", i), time=i / 25 + (5.0 if i > 2 else 0.0))

    place = Place(text="x", name="x", what="file")
    live = Live(session=spikereel.stream(causal), places=[place], open_=open_, after_gap=after_gap, meter=False)
    found, lines = [], io.StringIO()
    live.run([Callback(call=found.append), JsonLines(file=lines)])
    seer, _ = seer_of(causal)
    views = torch.stack(
        [seer(Frame(number=i, time=i, arrival=0, content=_picture("x", i), gap=False))[0] for i in range(6)]
    )
    if after_gap == "reset":
        wanted = [*spikereel.stream(causal).push(views[:3]).output, *spikereel.stream(causal).push(views[3:]).output]
    else:
        wanted = spikereel.stream(causal).push(views).output
    assert all(torch.equal(a.output, b) for a, b in zip(found, wanted, strict=True))
    events = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [x["then"] for x in events if x.get("event") == "gap"] == [after_gap]
    assert events[-1]["gaps"] == 1


def test_a_sink_that_fails_is_left_out_and_named(causal):
    class Full:
        def answer(self, _):
            raise OSError(28, "No space left on device")

        def event(self, _): ...

        def close(self): ...

    place, lines, found = Place(text="x", name="x", what="file"), io.StringIO(), []
    live = Live(session=spikereel.stream(causal), places=[place], open_=_fake(5), meter=False)
    live.run([Full(), Callback(call=found.append), JsonLines(file=lines)])
    assert len(found) == 5
    assert "No space left" in lines.getvalue()


@pytest.mark.parametrize("options", [{}, {"trails": 0.2}, {"whole": True}, {"antialias": False}], ids=str)
def test_a_stream_sees_a_file_as_training_does(options, tmp_path, causal):
    """The frames of a whole clip at once, against one after the other."""
    path = video_file(tmp_path / "a.mp4", frames=8)
    spec = DataSpec(kind="folder", frames=8, size=32, stride=1, workers=0, **options)
    wanted = look(path, spec, 3).views[0][:, 0]
    frames = [
        Frame(number=i, time=shot.time, arrival=0.0, content=shot.content, gap=False)
        for i, shot in enumerate(feed(place_of(str(path)), FeedOptions()))
    ]
    causal.metadata = dataclasses.replace(causal.metadata, preprocess=dataclasses.asdict(spec))
    seer, _ = seer_of(causal)
    seen = torch.stack([view for frame in frames for view in seer(frame)])
    causal.metadata = dataclasses.replace(causal.metadata, preprocess=dataclasses.asdict(COLOUR))
    # trails: the past of a mean that weighs 8-bit frames differs in the last bits
    torch.testing.assert_close(seen, wanted, rtol=0, atol=1e-5 if "trails" in options else 0)


@pytest.mark.parametrize("modality", ["events", "surface"])
def test_procedural_events_are_those_of_a_clip(modality, tmp_path):
    path = video_file(tmp_path / "a.mp4", frames=8)
    spec = DataSpec(kind="motion", modality=modality, frames=8, size=32, stride=1, workers=0)
    wanted = look(path, spec, 2).views[0][:, 0]
    model = spikereel.create_model("spikevideoformer_ti", in_channels=2, attention="spatial", **SMALL)
    model.metadata = Metadata(preprocess=dataclasses.asdict(spec))
    seer, _ = seer_of(model)
    seen = [
        view
        for i, shot in enumerate(feed(place_of(str(path)), FeedOptions()))
        for view in seer(Frame(number=i, time=shot.time, arrival=0.0, content=shot.content, gap=False))
    ]
    torch.testing.assert_close(torch.stack(seen), wanted, rtol=0, atol=0)


def test_a_varying_rate_is_seen_at_equal_steps(causal):
    seer, _ = seer_of(causal, rate=10.0)
    times = [0.0, 0.05, 0.1, 0.12, 0.31, 0.4]
    seen = [
        len(seer(Frame(number=i, time=t, arrival=0.0, content=_picture("x", i), gap=False)))
        for i, t in enumerate(times)
    ]
    # 0.0; nothing; 0.1; nothing; 0.2 and 0.3; 0.4
    assert seen == [1, 0, 1, 0, 2, 1]


def _events(count=2000, seconds=0.3):
    random = np.random.default_rng(0)
    t = np.sort(random.integers(0, int(seconds * 1e6), count))
    return Events(
        t=t.astype(np.int64),
        x=random.integers(0, 30, count).astype(np.uint16),
        y=random.integers(0, 20, count).astype(np.uint16),
        p=random.random(count) < 0.5,
        width=30,
        height=20,
    )


def _columns(shots):
    return {name: np.concatenate([getattr(shot.content, name) for shot in shots]) for name in "txyp"}


def test_events_over_a_socket_are_those_that_were_sent():
    events, options = _events(), FeedOptions(slice_us=20_000, patience=2.0)
    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=send_events, args=(door, events), kwargs={"speed": None})
        thread.start()
        port = door.getsockname()[1]
        shots = list(feed(place_of(f"events://127.0.0.1:{port}"), options))
        thread.join()
    found = _columns(shots)
    total = len(found["t"])
    assert total > 0.9 * len(events), "the last slice is not over"
    for name in "txyp":
        assert np.array_equal(found[name], getattr(events, name)[:total])
    assert [shot.time for shot in shots] == [round(0.02 * i, 6) for i in range(len(shots))]
    assert all(shot.content.t.max() - (events.t[0] + 20_000 * i) < 20_000 for i, shot in enumerate(shots))


def test_garbage_on_an_event_socket_is_named():
    for body in (b"GET / HTTP/1.1\r\n\r\n", MAGIC + bytes([1, 0, 1, 0]) + bytes(8) + b"\xff" * 12):
        with servers.listening(servers.raw(body)) as port, pytest.raises(Lost) as told:
            list(feed(place_of(f"events://127.0.0.1:{port}"), FeedOptions()))
        assert told.value.trouble == "garbage"
    with servers.listening(servers.raw(MAGIC)) as port, pytest.raises(Lost) as told:
        list(feed(place_of(f"events://127.0.0.1:{port}"), FeedOptions()))
    assert told.value.trouble == "lost"


def test_a_recording_is_cut_in_slices_of_time(tmp_path):
    events = _events()
    np.savez(tmp_path / "e.npz", **{name: getattr(events, name) for name in "txyp"}, width=30, height=20)
    shots = list(feed(place_of(str(tmp_path / "e.npz")), FeedOptions(slice_us=50_000, sensor=(30, 20))))
    found = _columns(shots)
    assert all(np.array_equal(found[name], getattr(events, name)) for name in "txyp")
    assert len(shots) == 6


def test_videos_of_a_folder_are_one_stream(tmp_path):
    for i in range(3):
        video_file(tmp_path / f"{i}.mp4", frames=5, seed=i)
    reader = Reader(place_of(str(tmp_path))).start()
    frames = []
    while not reader.finished:
        frames += reader.take(4)
    assert len(frames) == 15
    assert not any(frame.gap for frame in frames)
    np.testing.assert_allclose(np.diff([frame.time for frame in frames]), 0.1, atol=1e-6)


def _all(reader):
    reader.start()
    frames = []
    while not reader.finished:
        frames += reader.take(4)
    return frames


def test_times_of_an_avi_are_those_of_its_index(tmp_path):
    # what its frames say themselves are the places of packets: mixed behind B-frames
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
        for i in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), 9 * i, np.uint8), "rgb24")))
        container.mux(stream.encode(None))
    for place, known in ((place_of(str(path)), 5), (Place(text="http://x/a.avi", name="x", what="stream"), 0)):
        with av.open(str(path)) as container:
            times = _times(container, container.streams.video[0], place)
            assert len(_known(place)) == known
            np.testing.assert_allclose([times(None) for _ in range(8)], np.arange(8) / 10)
    with av.open(str(video_file(tmp_path / "a.mp4", frames=5))) as container:
        stream = container.streams.video[0]
        times = _times(container, stream, place_of(str(path)))
        assert [times(frame) for frame in container.decode(stream)] == [0, 0.1, 0.2, 0.3, 0.4]


@pytest.mark.realdata
def test_a_real_avi_with_mixed_stamps_has_no_gaps(real_data):
    path = real_data / "ut_interaction_set1" / "0_1_4.avi"
    with av.open(str(path)) as container:
        stamps = [frame.pts for frame in container.decode(video=0)]
    assert stamps != sorted(stamps)
    frames = _all(Reader(place_of(str(path))))
    assert len(frames) == len(stamps) == 108
    assert not any(frame.gap for frame in frames)
    np.testing.assert_allclose(np.diff([frame.time for frame in frames]), 1 / 30, atol=1e-6)


@pytest.mark.parametrize(
    ("times", "gaps", "wanted"),
    [
        ([0, 0.1, 0.4, 0.3, 0.2, 0.5, 0.6], 0, [0, 0.1, 0.4, 0.4, 0.4, 0.5, 0.6]),
        ([0, 0.1, 0.2, 0.3, 3.0, 3.1], 1, [0, 0.1, 0.2, 0.3, 3.0, 3.1]),
        ([5, 5.1, 5.2, 0, 0.1, 0.2], 1, [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
    ],
    ids=["out of order", "a hole", "a clock that begins anew"],
)
def test_a_gap_is_lost_time_and_not_a_stamp_out_of_order(times, gaps, wanted):
    def open_(_place, _options):
        yield from (Shot(content=_picture("x", i), time=t) for i, t in enumerate(times))

    frames = _all(Reader(Place(text="x", name="x", what="file"), open_=open_))
    assert sum(frame.gap for frame in frames) == gaps
    found = [frame.time for frame in frames]
    assert all(np.diff(found) > 0)
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_a_file_waits_and_loses_nothing(tmp_path):
    path = video_file(tmp_path / "a.mp4", frames=20)
    reader, frames = Reader(place_of(str(path)), ReaderOptions(queue=2)).start(), []
    while not reader.finished:
        frames += reader.take()
        time.sleep(0.002)
    assert [frame.number for frame in frames] == list(range(20))


def test_a_missing_file_is_one_error(tmp_path):
    reader = Reader(place_of(str(tmp_path / "none.mp4"))).start()
    reader.join(5)
    assert isinstance(reader.error, DataError)
    assert "no such file" in str(reader.error)


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("-", "pipe", "pipe"),
        ("/dev/video0", "camera", "/dev/video0"),
        (f"rtsp://admin:{SECRET}@host:554/a?p={SECRET}", "network", "rtsp://host:554/a"),
        (f"https://{SECRET}@host/live.m3u8", "network", "https://host/live.m3u8"),
        ("events://127.0.0.1:7000", "sensor", "events://127.0.0.1:7000"),
        ("a.aedat4", "events", "a.aedat4"),
        ("film.mkv", "file", "film.mkv"),
    ],
)
def test_places(text, kind, name):
    place = place_of(text)
    assert (place.what, place.name) == (kind, name)
    said = place.clean(f"cannot open {text}: {SECRET if SECRET in text else ''} was wrong")
    assert SECRET not in said


def test_each_protocol_has_its_own_time_out():
    rtmp = options_of(place_of("rtmp://host/live"), 2.0)
    assert "timeout" not in rtmp, "it makes a listening server of the reader"
    assert options_of(place_of("rtsp://host/live"), 2.0)["timeout"] == "2000000"
    assert options_of(place_of("http://host/live.m3u8"), 2.0)["live_start_index"] == "-1"
    assert options_of(place_of("a.mp4"), 2.0) == {}
    with pytest.raises(ConfigError, match="srt:// cannot be opened"):
        place_of("srt://host:9000")


WRITES = """
import sys, time, torch
from spikereel.streaming.film import Film
film = Film(sys.argv[1])
for i in range(1000):
    film.add(torch.full((48, 64, 3), i % 200, dtype=torch.uint8), i / 10)
    print(i, flush=True)
    if i >= 60: time.sleep(0.05)
"""


@pytest.mark.parametrize("suffix", [".mp4", pytest.param(".mkv", marks=pytest.mark.slow)])
def test_a_film_survives_a_kill(suffix, tmp_path):
    path = tmp_path / f"film{suffix}"
    with subprocess.Popen([sys.executable, "-c", WRITES, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 65:
                break
        process.kill()
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert len(times) >= 50, "of 65 at least all but the last second and a bit"
    assert np.allclose(np.diff(times), 0.1, atol=0.002)


def test_a_film_that_is_closed_is_an_ordinary_one(tmp_path):
    film = Film(tmp_path / "a.mp4")
    for i in range(25):
        # odd sides, and a size that changes
        film.add(torch.full((47 + i // 20, 63, 3), 100, dtype=torch.uint8), 5.0 + i / 25)
    film.close()
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].frames == 25
        assert [round(frame.time, 3) for frame in container.decode(video=0)][:2] == [0.0, 0.04]
    with pytest.raises(ConfigError, match=r"\.mp4 or a \.mkv"):
        Film(tmp_path / "a.avi")


def _command(*arguments):
    return [sys.executable, "-m", "spikereel.apps.cli", "stream", *map(str, arguments)]


def test_the_command_answers_a_pipe(weights, tmp_path):
    body = servers.transport_stream(servers.pictures(12))
    process = subprocess.run(
        _command("-", "--model", weights, "--json", "-", "--mode", "chunk", "--window", "4"),
        input=body,
        capture_output=True,
        check=True,
    )
    lines = [json.loads(line) for line in process.stdout.splitlines()]
    assert [line["frame"] for line in lines if "class" in line] == [3, 7, 11]
    assert lines[-1]["event"] == "end"
    assert b"mode chunk, window 4" in process.stderr.splitlines()[0]
    assert b"engine" in process.stderr.splitlines()[0]


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_the_command_ends_cleanly_when_it_is_told(number, weights, tmp_path):
    frames = servers.encoded(servers.pictures(60))
    with (
        servers.listening(servers.rtsp(frames, stall=True)) as port,
        subprocess.Popen(
            _command(
                *(f"rtsp://admin:{SECRET}@127.0.0.1:{port}/cam", "--model", weights, "--mode", "window"),
                *("--overlay", tmp_path / "o.mp4", "--json", tmp_path / "o.jsonl", "--patience", "0.5"),
            ),
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if (tmp_path / "o.jsonl").exists() and (tmp_path / "o.jsonl").read_text().count("age_ms") > 8:
                break
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    text = (tmp_path / "o.jsonl").read_text()
    assert json.loads(text.splitlines()[-1])["event"] == "end"
    assert SECRET not in said + text
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 5


@pytest.mark.slow
def test_the_command_says_what_is_missing(weights, tmp_path):
    process = subprocess.run(
        _command(tmp_path / "none.mp4", "--model", weights, "--json", "-"), capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert "no such file" in process.stderr
    assert "no such file" in process.stdout


def test_a_server_tells_viewers_and_metrics(causal, tmp_path):
    pytest.importorskip("aiohttp")
    pytest.importorskip("prometheus_client")
    import asyncio

    import aiohttp

    from spikereel.streaming.serve import Server

    place = Place(text=f"rtsp://u:{SECRET}@host/cam", name="rtsp://host/cam", what="file")
    live = Live(session=spikereel.stream(causal), places=[place], open_=_fake(40, pause=0.02), meter=False)
    server = Server(":0", live.channels, "settings").start()
    found: dict = {}

    async def view():
        url = f"http://127.0.0.1:{server.port}"
        async with aiohttp.ClientSession() as session, session.ws_connect(url + "/ws") as socket:
            found["message"] = json.loads((await socket.receive()).data)
            async with session.get(url + "/metrics") as reply:
                found["metrics"] = await reply.text()
            async with session.get(url + "/") as reply:
                found["state"] = await reply.json()

    viewer = threading.Thread(target=lambda: asyncio.run(view()))
    viewer.start()
    time.sleep(0.3)
    live.run([server])
    viewer.join(10)
    assert found["message"]["source"] == "rtsp://host/cam"
    assert 'spikereel_frames_total{source="rtsp://host/cam"}' in found["metrics"]
    assert "# TYPE spikereel_latency_seconds summary" in found["metrics"]
    late = 'spikereel_latency_seconds{quantile="0.95",source="rtsp://host/cam",stage="age"} '
    assert 0 < float(found["metrics"].partition(late)[2].split()[0]) < 1, "seconds"
    assert found["state"]["settings"] == "settings"
    assert SECRET not in found["metrics"] + str(found)
    with pytest.raises(ConfigError, match="PORT"):
        Server("nowhere", [], "")


def test_a_viewer_who_does_not_read_holds_up_nobody(causal):
    pytest.importorskip("aiohttp")
    from spikereel.streaming.serve import Server

    server = Server(":0", [], "x" * 10).start()
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        line.recv(1000)
        time.sleep(0.2)
        started = time.monotonic()
        for _ in range(300):
            server.event({"text": "y" * 100_000})
        assert time.monotonic() - started < 3
        time.sleep(0.3)
        assert server.dropped > 200
    server.close()


def test_the_panel_says_it_all(causal):
    from rich.console import Console

    from spikereel.show.live import panel

    for names in (["a"], ["a", "b", "c"]):
        _, live = _answers(causal, names, open_=_fake(4))
        console = Console(file=io.StringIO(), width=120, record=True)
        console.print(panel("engine native", live.channels))
        text = console.export_text()
        assert "engine native" in text
        for word in ("answer", "energy", "dropped"):
            assert word in text
    now = time.monotonic()
    for rate, step in ((channels := live.channels[0]).vital.arrived, 0.05), (channels.vital.answered, 0.1):
        rate._times.clear()
        rate._times.extend(now - step * i for i in range(4, -1, -1))
    channels.vital.declared = 25.0
    console.print(panel("", live.channels[:1]))
    assert "10.0 answered, 20.0 arrived, 25.0 declared" in console.export_text()
    channel = dataclasses.replace(live.channels[0], seer=dataclasses.replace(live.channels[0].seer, stride=2))
    console = Console(file=io.StringIO(), width=120, record=True)
    console.print(panel("", [channel]))
    assert "of 4 frames, one in 2 is seen" in console.export_text()


def test_answers_are_drawn(causal, tmp_path):
    pytest.importorskip("PIL")
    from spikereel.show.live import painter

    found, place = [], Place(text="x", name="x", what="file")
    live = Live(session=spikereel.stream(causal), places=[place], open_=_fake(2), meter=True)
    live.run([Callback(call=found.append)])
    picture = painter(causal)(found[-1])
    assert picture.dtype == torch.uint8
    assert picture.shape[0] > picture.shape[1], "a bar above the frame"
    write_video(tmp_path / "a.mp4", picture[None], 1)


def test_energy_is_metered_by_the_way(causal):
    place = Place(text="x", name="x", what="file")
    live = Live(session=spikereel.stream(causal), places=[place], open_=_fake(12))
    live.run()
    vital = live.channels[0].vital
    assert 0 < vital.rate < 1
    assert vital.mj_per_frame > 0
