"""Every event format: bytes written by hand, round trips, clocks that wrap, cut and damaged files, real recordings."""

import struct
import tracemalloc

import event_writers as write
import numpy as np
import pytest
from event_writers import FIVE, rows_of
from hypothesis import given
from hypothesis import strategies as st

from spikereel.data.events import evt3
from spikereel.data.events.readers import info, read_events
from spikereel.errors import ConfigError, DataError

WRITERS = {
    "AEDAT 2.0": ("a.aedat", write.aedat2),
    "AEDAT 3.1": ("a.aedat", write.aedat3),
    "AEDAT 4.0": ("a.aedat4", write.aedat4),
    "N-MNIST": ("a.bin", write.nmnist),
    "DAT": ("a.dat", write.dat),
    "EVT2": ("a.raw", write.evt2),
    "EVT3": ("a.raw", write.evt3),
    "NPZ": ("a.npz", write.npz),
}
# Where a file of FIVE may end and still be a good one: after any number of whole events or packets.
CLEAN_CUTS = {"AEDAT 2.0": 4, "AEDAT 3.1": 2, "N-MNIST": 4, "DAT": 4, "EVT2": 6, "EVT3": 12}


@pytest.fixture(params=WRITERS)
def small(request, save):
    """(format, path of FIVE events)."""
    name, writer = WRITERS[request.param]
    return request.param, save(name, writer(FIVE))


def test_round_trip(small):
    form, path = small
    events = read_events(path)
    assert rows_of(events) == FIVE
    assert events.format == form
    found = info(path)
    assert (found.events, found.on, found.off, found.t_first_us, found.t_last_us) == (5, 3, 2, 10, 9000)


def test_every_cut_is_an_error_or_a_shorter_file(small):
    form, path = small
    whole, clean = path.read_bytes(), 0
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        try:
            events = read_events(path)
        except DataError as error:
            assert str(path) in str(error)  # noqa: PT017
        else:
            assert rows_of(events) == FIVE[: len(events)]
            clean += 1
    assert clean == CLEAN_CUTS.get(form, 0)


@pytest.mark.parametrize(("code", "closed"), [(0, False), (1, True), (1, False), (3, True), (4, False)])
def test_aedat4_compressed_or_left_open(save, code, closed):
    lz4, zstandard = pytest.importorskip("lz4.frame"), pytest.importorskip("zstandard")
    pack = {
        0: bytes,
        1: lz4.compress,
        3: zstandard.compress,
        4: zstandard.ZstdCompressor(write_content_size=False).compress,
    }
    whole = write.aedat4(FIVE, code, pack[code], closed=closed)
    path = save("a.aedat4", whole)
    assert rows_of(read_events(path)) == FIVE
    clean = 0
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        try:
            rows = rows_of(read_events(path))
        except DataError:
            continue
        assert rows == FIVE[: len(rows)]
        clean += 1
    # Six packets, the last of them a frame; a file of none, or of one frame, has no events.
    assert clean == (0 if closed else 5)


@pytest.mark.parametrize(("code", "stated"), [(1, 0), (3, 0), (3, 1 << 28)])
def test_aedat4_packets_that_unpack_without_end(save, code, stated):
    lz4, zstandard = pytest.importorskip("lz4.frame"), pytest.importorskip("zstandard")
    body = {1: lz4.compress, 3: zstandard.compress}[code](struct.pack("<I", stated) + bytes(1 << 28))
    path = save("a.aedat4", write.aedat4([], code, closed=False) + struct.pack("<ii", 0, len(body)) + body)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"a packet of \d+ bytes unpacks to more than"):
        read_events(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 27


# Bytes taken from the formats' descriptions, and what they mean.
BY_HAND = {
    "a.aedat": (b"#!AER-DAT2.0\r\n# AEChip: DVS128\r\n" + bytes([0, 0, 0x05, 0x06, 0, 0, 1, 2]), (258, 3, 5, 1)),
    "b.aedat": (
        b"#!AER-DAT2.0\r\n# AEChip: Davis346red\r\n" + bytes([0x40, 0x55, 0x98, 0, 0, 0, 0, 9]),
        (9, 345, 257, 1),
    ),
    "c.aedat": (
        b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
        + bytes([1, 0, 1, 0, 8, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0])
        + bytes([0x17, 0, 6, 0, 7, 0, 0, 0]),
        (7, 3, 5, 1),
    ),
    "a.bin": (bytes([7, 15, 0xC2, 0x8E, 0x13]), (0x428E13, 7, 15, 1)),
    "a.dat": (
        b"% Version 2\n% Height 16000\n% Width 16000\n" + bytes([0, 8, 2, 1, 0, 0, 3, 0x60, 1, 0x18]),
        (258, 0x2003, 0x2005, 1),
    ),
    "a.raw": (
        b"% evt 2.0\n% geometry 2048x2048\n" + bytes([1, 0, 0, 0x80, 5, 0x1C, 0xA0, 0x10]),
        (66, 0x403, 0x405, 1),
    ),
    "b.raw": (
        b"% format EVT3;height=720;width=1280\n% end\n" + bytes([1, 0x80, 2, 0x60, 5, 0, 3, 0x28]),
        (4098, 3, 5, 1),
    ),
    "c.raw": (b"% evt 3.0\n% geometry 640x480\n" + bytes([1, 0x80, 5, 0, 3, 0x30, 0, 0x40, 2, 0x50]), (4096, 16, 5, 0)),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_bytes_by_hand(save, name):
    content, row = BY_HAND[name]
    assert rows_of(read_events(save(name, content))) == [row]


@pytest.mark.parametrize(
    ("form", "turn"), [("AEDAT 2.0", 32), ("DAT", 32), ("EVT2", 34), ("EVT3", 24), ("AEDAT 3.1", 31)]
)
@pytest.mark.parametrize("turns", [1, 3])
def test_clocks_wrap_around(save, form, turn, turns):
    name, writer = WRITERS[form]
    # Four events a turn: more than half a turn without one cannot be told from a step back.
    rows = [(100 + (i << turn - 2), i % 30, 3, i % 2) for i in range(1, 4 * turns + 2)]
    options = {"packet": 1} if form == "AEDAT 3.1" else {}
    path = save(name, writer(rows, **options))
    assert rows_of(read_events(path)) == rows


def test_nmnist_overflow_rows_move_the_clock(save):
    rows = [(8000, 1, 2, 1), (8191, 0, 240, 0), (5, 3, 4, 0), (0, 0, 240, 1), (6, 5, 6, 1)]
    expected = [(8000, 1, 2, 1), (8192 + 5, 3, 4, 0), (2 * 8192 + 6, 5, 6, 1)]
    assert rows_of(read_events(save("a.bin", write.nmnist(rows)))) == expected


def test_what_is_no_event_is_passed_over(save):
    dvs = write.aedat2(FIVE[:1]) + struct.pack(">II", 0x8000, 11) + write.aedat2([(12, 3, 4, 0)])[-8:]
    assert rows_of(read_events(save("a.aedat", dvs))) == [FIVE[0], (12, 3, 4, 0)]
    davis = write.aedat2(FIVE, chip="Davis240C") + struct.pack(">IIII", 0x8000_0000, 9500, 0x400, 9600)
    assert rows_of(read_events(save("a.aedat", davis))) == FIVE
    three = write.aedat3(FIVE) + write.aedat3_packet(1, [struct.pack("<II", 2, 9500)])  # not valid
    assert rows_of(read_events(save("a.aedat", three))) == FIVE
    trigger = write.evt2(FIVE) + struct.pack("<II", 0xA0000000, 0xE0000000)
    assert rows_of(read_events(save("a.raw", trigger))) == FIVE
    early = b"% evt 2.0\n% geometry 40x40\n% end\n" + struct.pack("<I", 1 << 28) + write.evt2(FIVE)[33:]
    assert rows_of(read_events(save("a.raw", early))) == FIVE


def test_an_event_may_look_like_a_header_line(save):
    # The first byte of the address of row 140 is '#', and 10 in a time is the end of a line.
    rows = [(2570, 0, 140, 0), (2571, 5, 141, 1)]
    path = save("a.aedat", write.aedat2(rows, chip="Davis346", end=""))
    assert path.read_bytes()[-16:-15] == b"#"
    assert rows_of(read_events(path)) == rows


words = st.one_of(
    st.sampled_from(
        [0x0002, 0x0803, 0x2005, 0x2806, 0x3010, 0x3811, 0x4FFF, 0x4A05, 0x5081, 0x50FF, 0x5F00, 0x7000, 0xA001]
    ),
    st.integers(0, 3).map(lambda step: ("later", step)),
)

# Some of time, row and base, in any order, with a vector before the rest is known.
prefixes = st.permutations([0x8FFE, 0x0005, 0x3810, 0x4A05]).flatmap(
    lambda all: st.integers(0, 4).map(lambda n: all[:n])
)


@given(st.lists(words, max_size=60), st.sampled_from([1, 3, 7, 1 << 18]), prefixes)
def test_evt3_equals_a_machine_of_one_word_at_a_time(tmp_path_factory, steps, chunk, prefix):
    stream, high, low = list(prefix), 4094, 0
    for step in steps:
        if isinstance(step, int):
            stream.append(step)
            continue
        low += 1400 * step[1]
        high, low = high + low // 4096, low % 4096
        stream += [0x8000 | high % 4096, 0x6000 | low]
    path = tmp_path_factory.mktemp("words") / "a.raw"
    head = b"% evt 3.0\n% geometry 640x480\n% end\n"
    path.write_bytes(head + struct.pack(f"<{len(stream)}H", *stream))
    expected = write.slow_evt3(stream)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evt3, "_CHUNK", chunk)
        if expected:
            assert rows_of(read_events(path)) == expected
        else:
            with pytest.raises(DataError, match="holds no events"):
                read_events(path)


def test_evt3_low_part_starts_anew(save):
    """A high part that repeats keeps the low one, a new one sets it to 0."""
    body = [0x6040, 0x8001, 0x0002, 0x2003, 0x6050, 0x2003, 0x8001, 0x2004, 0x8002, 0x2005, 0x6001, 0x2006]
    path = save("a.raw", b"% evt 3.0\n% geometry 40x40\n" + struct.pack("<12H", *body))
    assert read_events(path).t.tolist() == [0x1000, 0x1050, 0x1050, 0x2000, 0x2001]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.aedat", b"", r"is empty \(0 bytes\)"),
        ("a.bin", b"", r"is empty \(0 bytes\)"),
        ("a.xyz", b"whatever", "is of no known event format"),
        ("a.aedat", b"#!AER-DAT1.0\r\n", "is AEDAT 1.0"),
        ("a.aedat", write.aedat2([]), "holds no events"),
        ("a.aedat", write.aedat2(FIVE, chip="Celex5"), r"its camera is 'a.b.Celex5'; known are DVS128"),
        ("a.aedat", b"#!AER-DAT2.0\r\n12345678", "header names no camera"),
        ("a.aedat", write.aedat2([(9, 1, 1, 1), (8, 1, 1, 1)]), "backwards at event 1, 8 us after 9 us"),
        ("a.aedat", write.aedat2([(9, 300, 190, 1)], chip="Davis240B"), "event 0 has x 300, outside the sensor of 240"),
        ("a.aedat", write.aedat3(FIVE, form="SerializedTS"), "its format is SerializedTS, only RAW"),
        ("a.aedat", write.aedat3(FIVE) + write.aedat3_packet(1, [b"abc"]), "1 events of 3 bytes"),
        ("a.aedat", write.aedat3(FIVE)[:-3], "3 bytes of its last packet are missing"),
        ("a.aedat4", write.aedat4(FIVE, code=9), "compression has the unknown number 9"),
        ("a.aedat4", write.aedat4(FIVE, code=1), "is cut short or damaged"),
        ("a.aedat4", write.aedat4(FIVE, info="<dv/>"), "has 0 event streams"),
        ("a.aedat4", write.aedat4(FIVE, info="<dv"), "list of its streams cannot be read"),
        ("a.bin", write.nmnist([(1, 34, 2, 1)]), "event 0 has x 34, outside the sensor of 34 x 34"),
        ("a.bin", write.nmnist([(5, 3, 2, 1), (4, 3, 2, 1)]), "backwards at event 1"),
        ("a.dat", write.dat(FIVE)[:-8].replace(b"\x0c\x08", b"\x0e\x08"), "events of type 14 and 8 bytes"),
        ("a.dat", write.dat([(9, 1, 50, 1)]), "event 0 has y 50, outside the sensor of 40 x 40"),
        ("a.raw", b"% evt 4\n" + bytes(8), "its encoding is 4; EVT 2.0, 2.1"),
        ("a.raw", b"% hello\n" + bytes(8), "is of no known event format"),
        ("a.raw", write.evt2(FIVE, header="% evt 2.0\n"), "does not state the size of its sensor; give sensor="),
        ("a.raw", write.evt2(FIVE)[:-1], "ends inside an event, after 3 of 4 bytes"),
        ("a.raw", write.evt3(FIVE)[:-1], "ends inside an event, after 1 of 2 bytes"),
        ("a.raw", write.evt3([(9, 1, 50, 1)]), "event 0 has y 50"),
        ("a.raw", write.evt3(FIVE, header="% evt 3.0\n% geometry 99999999999999999999x480\n"), "is 999999999 x 480"),
        ("a.raw", write.evt2(FIVE, header=f"% evt 2.0\n% geometry {'9' * 5000}x480\n"), "its sensor is 999999999 x"),
        ("a.dat", write.dat(FIVE, header="% Version 2\n% Height 0\n% Width 40\n"), "its sensor is 40 x 0; correct it"),
        ("a.dat", write.dat([(9, 1, 250, 1)], header="% Version 2\n"), "y 250, outside the sensor of 304 x 240 that"),
        ("a.aedat4", write.aedat4(FIVE, info=write.INFO.replace(">40<", ">1000000000<")), "its sensor is 1000000000"),
        ("a.npz", write.npz(FIVE, width=10**9), "its sensor is 1000000000 x 40; correct it"),
        ("a.npz", write.npz(FIVE, width=-40), "its sensor is -40 x 40; correct it"),
        ("a.npz", write.npz(FIVE, width=np.inf), r"the size of its sensor is \[inf, 40\]; make it two whole numbers"),
        ("a.npz", write.npz(FIVE, width=np.nan), "the size of its sensor is"),
        ("a.npz", write.npz(FIVE, width=640.7), r"the size of its sensor is \[640\.7, 40\]"),
        ("a.npz", write.npz(FIVE, width=np.arange(2)), "the size of its sensor is"),
        ("a.npz", write.npz([(1, 2, 3, 2)]), "p is 2; make it 0 or -1"),
        ("a.npz", write.npz([(1, -2, 3, 1)]), "x is -2, no whole number from 0"),
        ("a.npz", write.npz([(1.5, 2, 3, 1)]), "t is 1.5, no whole number"),
        ("a.npz", write.npz(FIVE, t=np.arange(4)), "has 5 x for 4 t"),
        ("a.npz", write.npz(FIVE, x=np.array([object()] * 5)), "cannot be read as arrays"),
    ],
)
def test_bad_files(save, name, content, message):
    path = save(name, content)
    with pytest.raises(DataError, match=message) as error:
        read_events(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    assert "; " in str(error.value)


def test_no_such_file(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_events(tmp_path / "absent.raw")
    with pytest.raises(DataError, match="is a folder"):
        read_events(tmp_path)


def test_size_of_the_sensor(save):
    path = save("a.raw", write.evt2(FIVE, header="% evt 2.0\n"))
    assert read_events(path, sensor=(50, 60)).width == 50
    stated = read_events(save("d.raw", write.evt2(FIVE, header="% evt 2.0\n% geometry 50x60\n")))
    assert (stated.width, stated.height) == (50, 60)
    named = read_events(save("b.raw", write.evt3(FIVE, header="% evt 3.0\n% plugin_name hal_plugin_gen41_evk3\n")))
    assert (named.width, named.height) == (1280, 720)
    with pytest.raises(DataError, match=r"its sensor is 40 x 40, not \(50, 60\)"):
        read_events(save("c.raw", write.evt2(FIVE)), sensor=(50, 60))
    large = save("a.bin", write.nmnist([(1, 200, 100, 1)]))
    assert read_events(large, sensor=(240, 180)).height == 180
    with pytest.raises(DataError, match=r"34 x 34 that is assumed where .*; give sensor=.*, --sensor W,H or data"):
        read_events(large)
    for size in ((0, 180), (240, 20_000)):
        with pytest.raises(DataError, match=rf"a\.bin: its sensor is {size[0]} x {size[1]}; correct it"):
            read_events(large, sensor=size)


def test_headers_without_a_camera(save):
    """The address of a DVS128 needs its size to be told; in AEDAT 3.1 the addresses of all cameras are the same."""
    two = save("two.aedat", write.aedat2(FIVE).replace(b"# AEChip: a.b.DVS128\r\n", b""))
    assert rows_of(read_events(two, sensor=(128, 128))) == FIVE
    for sensor in (None, (346, 260)):
        with pytest.raises(DataError, match=r"names no camera; .*128 x 128 pixels: sensor=.*--sensor W,H"):
            read_events(two, sensor=sensor)
    three = save("three.aedat", write.aedat3(FIVE).replace(b"#Source 1: DVS128\r\n", b""))
    assert rows_of(read_events(three, sensor=(346, 260))) == FIVE
    with pytest.raises(DataError, match="does not state the size of its sensor; give sensor="):
        read_events(three)


@pytest.mark.parametrize("name", ["a.bin", "a.bs2"])
def test_nmnist_may_start_with_the_mark_of_a_header(save, name):
    rows = [(8192 + 10, 37, 32, 0), (9000, 37, 10, 1)]
    content = write.nmnist(rows)
    assert content.startswith(b"% ")
    assert rows_of(read_events(save(name, content), sensor=(240, 180))) == rows


def test_damage_never_escapes_as_another_error(small):
    _, path = small
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_events(path)
        except DataError as error:
            assert str(path) in str(error)  # noqa: PT017


@pytest.mark.parametrize(("name", "code", "module"), [("a.aedat4", 1, "lz4.frame"), ("a.aedat4", 3, "zstandard")])
def test_the_extra_is_named(save, monkeypatch, name, code, module):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ConfigError, match=r"pip install 'spikereel\[events\]'"):
        read_events(save(name, write.aedat4(FIVE, code)))
