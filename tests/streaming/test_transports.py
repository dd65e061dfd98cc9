"""Real transports on this machine, and what breaks on them: each named, survived, counted."""

import threading
import time

import numpy as np
import pytest

from spikereel.streaming.feeds import FeedOptions
from spikereel.streaming.places import place_of
from spikereel.streaming.reader import Reader, ReaderOptions
from tests.streaming import servers

QUICK = FeedOptions(patience=0.6)
SECRET = "hunter2"


@pytest.fixture(scope="module")
def thirty():
    return servers.encoded(servers.pictures(30))


@pytest.fixture(scope="module")
def transport():
    return servers.transport_stream(servers.pictures(30))


def _reader(address, **options):
    return Reader(place_of(address), ReaderOptions(**{"backoff": (0.05, 0.2), **options}), QUICK).start()


def _until(reader, done, seconds=8.0, pause=0.0, stop=True):
    """Frames until `done(reader)`, or the reader has no more, or time is up; stop: end the reader then."""
    frames, end = [], time.monotonic() + seconds
    while not done(reader) and not reader.finished and time.monotonic() < end:
        frames += reader.take(4)
        time.sleep(pause or 0.005)
    if stop:
        reader.stop()
    frames += reader.take(100)
    return frames


def _after(frames):
    return lambda reader: reader.counts.frames >= frames and not reader._queue


def _levels(frames):
    return np.array([float(frame.content.float().mean()) for frame in frames])


def test_no_frame_of_rtsp_is_lost_at_a_rate_that_is_held(thirty):
    with servers.listening(servers.rtsp(thirty)) as port:
        reader = _reader(f"rtsp://127.0.0.1:{port}/cam", retries=0)
        frames = _until(reader, lambda r: r.finished)
    assert len(frames) == 30
    assert [frame.number for frame in frames] == list(range(30))
    assert np.all(np.abs(np.diff(_levels(frames)) - 1) < 0.9), "one frame after the other"
    times = np.array([frame.time for frame in frames])
    assert np.all(np.diff(times) > 0)
    assert np.median(np.diff(times)) == pytest.approx(1 / servers.FPS, rel=0.01)
    assert not reader.counts.dropped
    assert reader.counts.troubles == {"ended": 1}


def test_who_is_slow_sees_fresh_frames_and_counts_the_others(thirty):
    with servers.listening(servers.rtsp(thirty * 2)) as port:
        reader = _reader(f"rtsp://127.0.0.1:{port}/cam", drop="freshest", retries=0)
        frames, ages = [], []
        while not reader.finished:
            for frame in reader.take():
                frames.append(frame)
                ages.append(time.monotonic() - frame.arrival)
            time.sleep(2.5 / servers.FPS)
    counts = reader.counts
    assert counts.frames == len(frames) + counts.dropped["fresher one"]
    assert counts.dropped["fresher one"] > 10
    assert max(ages[2:]) < 3 / servers.FPS + 0.25


def test_frames_that_are_too_old_are_not_answered(thirty):
    with servers.listening(servers.rtsp(thirty)) as port:
        reader = _reader(f"rtsp://127.0.0.1:{port}/cam", max_age=0.05, retries=0)
        stop = time.monotonic() + 5
        while reader.counts.frames < 20 and time.monotonic() < stop:
            time.sleep(0.01)
        time.sleep(0.1)
        frames = reader.take(100)
        reader.stop()
    assert reader.counts.dropped["too old"] >= 15
    assert all(time.monotonic() - frame.arrival < 0.2 for frame in frames)


def test_a_server_that_is_killed_and_comes_back(thirty):
    serve = servers.rtsp(thirty[:10], stall=True)
    with servers.listening(serve) as port:
        reader = _reader(f"rtsp://127.0.0.1:{port}/cam")
        frames = []
        while reader.counts.frames < 8:
            frames += reader.take(4)
            time.sleep(0.005)
    time.sleep(0.3)
    with servers.listening(servers.rtsp(thirty[:10], stall=True), port):
        frames += _until(reader, _after(18))
    assert reader.counts.frames >= 18
    assert sum(frame.gap for frame in frames) == 1
    assert reader.counts.connections >= 2
    times = np.array([frame.time for frame in frames])
    assert np.all(np.diff(times) >= 0), "the session has a clock of its own"
    assert np.diff(times).max() > 0.25, "and time went on meanwhile"
    assert set(reader.counts.troubles) <= {"ended", "lost", "unreachable", "stalled"}


def test_a_stalled_camera_is_left_and_tried_again(thirty):
    with servers.listening(servers.rtsp(thirty[:10], stall=True)) as port:
        reader = _reader(f"rtsp://127.0.0.1:{port}/cam")
        _until(reader, lambda r: r.counts.connections >= 2 and r.counts.frames > 10)
    assert reader.counts.troubles["stalled"] >= 1
    assert reader.counts.gaps >= 1
    assert "stalled" in reader.counts.last_trouble


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_refused_login_is_named_without_the_password(scheme, thirty):
    serve = servers.rtsp(thirty, login="user:right") if scheme == "rtsp" else servers.http(b"", status="401 No")
    with servers.listening(serve) as port:
        reader = _reader(f"{scheme}://admin:{SECRET}@127.0.0.1:{port}/cam?token={SECRET}", retries=1)
        _until(reader, lambda r: False)
    assert reader.counts.troubles["refused"] == 2
    assert SECRET not in repr(vars(reader.counts)) + str(reader.error) + reader.place.name
    assert "127.0.0.1" in str(reader.error)


def test_the_right_login_is_let_in(thirty):
    with servers.listening(servers.rtsp(thirty[:5], login=f"admin:{SECRET}")) as port:
        reader = _reader(f"rtsp://admin:{SECRET}@127.0.0.1:{port}/cam", retries=0)
        assert len(_until(reader, lambda r: r.finished)) == 5


def test_a_size_that_changes_on_the_way(thirty):
    wide = servers.encoded(servers.pictures(10, size=(64, 96)))
    with servers.listening(servers.rtsp(thirty[:10] + wide)) as port:
        reader = _reader(f"rtsp://127.0.0.1:{port}/cam", retries=0)
        frames = _until(reader, lambda r: r.finished)
    assert reader.counts.sizes == [(48, 64), (64, 96)]
    assert len(frames) == 20


@pytest.mark.parametrize("torn", ["use", "skip"])
def test_lost_packets_are_seen_by_the_hole_they_leave(thirty, torn):
    with servers.listening(servers.rtsp(thirty, lose=12)) as port:
        reader = _reader(f"rtsp://127.0.0.1:{port}/cam", retries=0, torn=torn)
        frames = _until(reader, lambda r: r.finished)
    assert reader.counts.holes == 1
    assert reader.counts.frames == 29
    # frames 13 and 14 need the lost one; 15 is a key frame
    assert reader.counts.dropped["torn"] == (2 if torn == "skip" else 0)
    assert len(frames) == (27 if torn == "skip" else 29)


@pytest.mark.parametrize("stay", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_garbage_is_named_and_tried_again(stay):
    junk = np.random.default_rng(0).integers(0, 256, 20_000, dtype=np.uint8).tobytes()
    with servers.listening(servers.raw(junk, stay=stay)) as port:
        reader = _reader(f"tcp://127.0.0.1:{port}", retries=1)
        assert _until(reader, lambda r: False) == []
    assert sum(reader.counts.troubles.values()) == 2
    assert set(reader.counts.troubles) <= {"garbage", "stalled", "lost"}
    assert reader.error is not None


def test_http_to_its_end_and_cut_off(transport):
    with servers.listening(servers.http(transport)) as port:
        reader = _reader(f"http://127.0.0.1:{port}/a.ts", retries=0)
        assert len(_until(reader, lambda r: r.finished)) == 30
    with servers.listening(servers.http(transport, cut=0.6)) as port:
        reader = _reader(f"http://127.0.0.1:{port}/a.ts")
        frames = _until(reader, lambda r: r.counts.gaps >= 1)
    assert len(frames) >= 15
    assert sum(frame.gap for frame in frames) >= 1
    assert sum(reader.counts.troubles.values()) >= 1


def test_a_recording_on_a_web_server_comes_whole_and_ends(tmp_path):
    with servers.listening(servers.files(tmp_path)) as port:
        for name in ("index.m3u8", "a.mp4"):
            servers.recording(tmp_path / name, servers.pictures(30))
            reader = _reader(f"http://127.0.0.1:{port}/{name}", queue=4, drop="every_frame")
            frames = _until(reader, lambda r: r.finished, pause=0.01)
            assert [len(frames), reader.error, dict(reader.counts.troubles)] == [30, None, {}], name


def test_a_live_list_that_gets_its_end_mark_is_not_played_again(tmp_path):
    whole = servers.recording(tmp_path / "index.m3u8", servers.pictures(30)).read_text()
    live = whole.replace("#EXT-X-ENDLIST", "").replace("#EXT-X-PLAYLIST-TYPE:VOD", "")
    (tmp_path / "index.m3u8").write_text(live)
    with servers.listening(servers.files(tmp_path)) as port:
        reader = _reader(f"http://127.0.0.1:{port}/index.m3u8", drop="every_frame")
        frames = _until(reader, lambda r: r.counts.frames, seconds=15.0, stop=False)
        (tmp_path / "index.m3u8").write_text(whole)
        frames += _until(reader, lambda r: r.finished, seconds=15.0)
    assert reader.finished
    assert 10 <= len(frames) <= 30
    assert (reader.error, reader.counts.troubles) == (None, {"ended": 1})


def test_what_is_not_there():
    with servers.listening(servers.http(b"", status="404 Not Found")) as port:
        reader = _reader(f"http://127.0.0.1:{port}/a.ts", retries=0)
        _until(reader, lambda r: False)
        assert reader.counts.troubles == {"missing": 1}
    reader = _reader(f"tcp://127.0.0.1:{port}", retries=1)
    _until(reader, lambda r: False)
    assert reader.counts.troubles == {"unreachable": 2}


def test_a_reader_ends_when_it_is_told(thirty):
    with servers.listening(servers.rtsp(thirty[:5], stall=True)) as port:
        reader = _reader(f"rtsp://127.0.0.1:{port}/cam")
        _until(reader, _after(4))
        assert reader.join(6.0)


def test_mpjpeg_has_the_times_of_arrival():
    """ffmpeg gives it 25 frames a second whatever the camera does."""
    import av

    coder = av.CodecContext.create("mjpeg", "w")
    parts = []
    for i, picture in enumerate(servers.pictures(8)):
        if not i:
            coder.height, coder.width, coder.pix_fmt = *picture.shape[:2], "yuvj420p"
            coder.time_base = servers.Fraction(1, 10)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuvj420p")
        frame.pts = i
        parts += [bytes(x) for x in coder.encode(frame)]

    def serve(line):
        line.recv(65536)
        line.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n")
        for part in parts:
            line.sendall(b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(part) + part + b"\r\n")
            time.sleep(0.1)

    with servers.listening(serve) as port:
        reader = _reader(f"http://127.0.0.1:{port}/cam", retries=0)
        frames = _until(reader, lambda r: r.finished)
    assert len(frames) >= 7
    assert np.median(np.diff([frame.time for frame in frames])) == pytest.approx(0.1, rel=0.4)


@pytest.mark.slow
def test_threads_do_not_pile_up(thirty):
    before = threading.active_count()
    for _ in range(3):
        with servers.listening(servers.rtsp(thirty[:3])) as port:
            reader = _reader(f"rtsp://127.0.0.1:{port}/cam", retries=0)
            _until(reader, lambda r: r.finished)
            reader.join(5)
    assert threading.active_count() <= before + 3
