"""What a file of plain columns does not say: their order, the unit of the times; and where times start."""

import event_writers as write
import numpy as np
import pytest

from spikereel.apps.cli import main
from spikereel.data.events.readers import info, read_events
from spikereel.data.events.source import Told
from spikereel.errors import ConfigError, DataError

SIZE = (40, 40)
FIVE = write.FIVE
MOVED = [(y, x, 7, p, t) for t, x, y, p in FIVE]
OTHER = "y,x,-,p,t"


def told(save, name, content, sensor=SIZE, **said):
    return write.rows_of(read_events(save(name, content), sensor=sensor, told=Told(**said)))


@pytest.mark.parametrize(
    ("head", "mark"),
    [
        ("t,x@40,y@40,on\r\n", ","),
        ("# a note\n% and another\n\nt,x,y,p\n", ","),
        ("timestamp [us], x, y, polarity\n", ","),
        ('"ts";"xs";"ys";"ps"\n', ";"),
        ("\ufeffT X Y Pol\n", " "),
        ("t\tx\ty\tp\n", "\t"),
    ],
)
def test_text_that_names_its_columns(save, head, mark):
    sensor = None if "@" in head else SIZE
    for name in ("a.csv", "a.txt"):
        assert told(save, name, write.text(FIVE, head, mark), sensor) == FIVE


def test_text_whose_columns_are_told(save):
    assert told(save, "a.txt", write.text(MOVED, "", " "), columns=OTHER) == FIVE
    assert told(save, "a.csv", write.text(MOVED, "row,col,b,p,t\n"), columns=OTHER) == FIVE
    # e2vid: the size first, then seconds
    seconds = [(f"{t / 1e6:.9f}", x, y, p) for t, x, y, p in FIVE]
    assert told(save, "a.txt", write.text(seconds, "40 40\n", " "), None, columns="t,x,y,p", time_unit="s") == FIVE
    words = [(t, x, y, bool(p)) for t, x, y, p in FIVE]
    assert told(save, "a.csv", write.text(words, "t,x,y,p\n")) == FIVE


@pytest.mark.parametrize(("unit", "factor"), [("s", 1e-6), ("ms", 1e-3), ("us", 1), ("ns", 1000)])
def test_units(save, unit, factor, tmp_path):
    start = 1_600_000_000_000_000
    rows = [(start + t, x, y, p) for t, x, y, p in FIVE]
    other = [(t * factor if factor < 1 else int(t) * factor, x, y, p) for t, x, y, p in rows]
    np.save(tmp_path / "a.npy", np.array(other))
    assert write.rows_of(read_events(tmp_path / "a.npy", sensor=SIZE, told=Told(time_unit=unit))) == rows
    assert told(save, "a.csv", write.text(other, "t,x,y,p\n"), time_unit=unit) == rows
    assert told(save, "b.csv", write.text(other, f"t [{unit}],x,y,p\n")) == rows


def test_whole_nanoseconds_are_cut(save):
    rows = [(1_600_000_000_000_000_999, 1, 1, 1), (1_600_000_000_000_001_000, 1, 1, 0)]
    times = [t for t, *_ in told(save, "a.csv", write.text(rows, "t,x,y,p\n"), time_unit="ns")]
    assert times == [1_600_000_000_000_000, 1_600_000_000_000_001]


@pytest.mark.parametrize("form", ["npy", "npz", "mat", "h5"])
def test_one_table_whose_columns_are_told(tmp_path, form):
    path, array = tmp_path / f"a.{form}", np.array(MOVED)
    if form == "npy":
        np.save(path, array)
    elif form == "npz":
        np.savez(path, whatever=array)
    elif form == "mat":
        pytest.importorskip("scipy.io").savemat(path, {"whatever": array, "label": 3})
    else:
        with pytest.importorskip("h5py").File(path, "w") as file:
            file["events"] = array
    assert write.rows_of(read_events(path, sensor=SIZE, told=Told(columns=OTHER))) == FIVE


def test_zeros_that_are_no_events(save):
    rows = [(1, 1, 1, 1), (2, 2, 2, 0), (3, 3, 3, -1)]
    with pytest.raises(DataError, match="p is 0, 1 and -1; if 0 is no event, say so: sign"):
        told(save, "a.csv", write.text(rows, ""), columns="t,x,y,p")
    kept = [(1, 1, 1, 1), (3, 3, 3, 0)]
    assert told(save, "a.csv", write.text(rows, ""), columns="t,x,y,sign") == kept
    assert told(save, "a.csv", write.text(rows, "t,x,y,p\n"), columns="t,x,y,sign") == kept


@pytest.mark.parametrize(
    ("content", "said", "reason"),
    [
        (write.text(FIVE, ""), {}, "does not name its columns; name them: columns, --columns"),
        (write.text(FIVE, "t,x,y,p\n"), {"columns": "x,y,t,p"}, "names a column t that is told to be x"),
        (write.text(FIVE, "t,x,y,p\n"), {"columns": "t,x,y,p,-"}, "has 4 columns, not the 5 of t,x,y,p,-"),
        (write.text(FIVE, "a,b,c,d\n"), {}, "has no columns t, x, y, p but a, b, c, d"),
        (write.text(FIVE, "t [min],x,y,p\n"), {}, "its time unit is 'min'"),
        (write.text(FIVE, "t [us],x,y,p\n"), {"time_unit": "ns"}, "says that its times are in us, not ns"),
        (write.text([(0.5, 1, 1, 1)], "t,x,y,p\n"), {}, r"t is 0\.5, no whole number of micros.*time_unit=s"),
        (write.text([*FIVE, (1, 2, 3)], "t,x,y,p\n"), {}, "cannot be read as columns of numbers"),
        (write.text([(1, 2, 3, "nan")], "t,x,y,p\n"), {}, "p is nan"),
        (write.text([("inf", 2, 3, 1)], "t,x,y,p\n"), {"time_unit": "s"}, "t is inf"),
        (write.text([(1, -2, 3, 1)], "t,x,y,p\n"), {}, r"x is -2\.0"),
        (write.text([], "t,x,y,p\n"), {}, "holds no events"),
        (b"\n\n", {}, "holds no events"),
        ("t,x,y,p\n1,2,3,1\n".encode("utf-16"), {}, "is no text of one byte a letter"),
        (write.text([(2, 1, 1, 1), (1, 1, 1, 1)], "t,x,y,p\n"), {}, "time goes backwards at event 1"),
    ],
)
def test_text_that_is_refused(save, content, said, reason):
    with pytest.raises(DataError, match=reason):
        told(save, "a.csv", content, **said)


@pytest.mark.parametrize("said", [{"columns": "x,y,t,p"}, {"time_unit": "us"}])
def test_formats_that_say_all_themselves(save, said):
    for name, content in (("a.raw", write.evt3(FIVE)), ("a.es", write.es(FIVE)), ("a.aedat", write.aedat3(FIVE))):
        with pytest.raises(DataError, match=r"leave (columns|time_unit)=.* out"):
            told(save, name, content, None, **said)
    with pytest.raises(DataError, match="names its columns itself"):
        told(save, "a.npz", write.npz(FIVE), columns="x,y,t,p")


@pytest.mark.parametrize("wrong", ["t,x,y", "t,x,y,p,p", "t,x,y,q", "t,x,y,p,sign", "t;x;y;p"])
def test_columns_that_cannot_be(wrong):
    with pytest.raises(ConfigError, match=r"columns is .*: name each of t, x, y, p once"):
        Told(columns=wrong)
    for said in ({"time_unit": "min"}, {"time_origin": "unix"}):
        with pytest.raises(ConfigError, match="choose"):
            Told(**said)


@pytest.mark.parametrize("form", ["evt2", "evt3", "evt21", "dat"])
def test_the_start_that_faery_takes_off(save, form):
    moved = [(t + 123_456_789, x, y, p) for t, x, y, p in FIVE]
    head = "% t0 123456789\n% geometry 40x40\n% end\n"
    if form == "dat":
        content = write.dat(FIVE, "% Version 2\n% Width 40\n% Height 40\n% T0 123456789\n")
    elif form == "evt21":
        words = b"".join(
            (1 << x % 32).to_bytes(4, "little")
            + (p << 28 | (t & 63) << 22 | x // 32 * 32 << 11 | y).to_bytes(4, "little")
            for t, x, y, p in [(5, x, y, p) for _, x, y, p in FIVE]
        )
        high = bytes(4) + (8 << 28).to_bytes(4, "little")
        content = b"% evt 2.1\n% endianness little\n" + head.encode() + high + words
        moved = [(5 + 123_456_789, x, y, p) for _, x, y, p in FIVE]
    else:
        content = getattr(write, form)(FIVE, f"% evt {form[3]}.0\n{head}")
    path = save("a.dat" if form == "dat" else "a.raw", content)
    assert write.rows_of(read_events(path)) == moved
    first = [(t - moved[0][0], x, y, p) for t, x, y, p in moved]
    assert write.rows_of(read_events(path, told=Told(time_origin="first"))) == first
    assert info(path, told=Told(time_origin="first")).t_first_us == 0


def test_the_command_line(save, tmp_path, capsys):
    rows = [(f"{t / 1e6:.6f}", x, y, p) for t, x, y, p in [*FIVE, (1, 2, 3, 0), (9500, 50, 3, 1)]]
    path = save("a.csv", write.text([(x, y, t, p) for t, x, y, p in rows], ""))
    options = ["--columns", "x,y,t,p", "--time-unit", "s", "--sensor", "40,40"]
    out = tmp_path / "out.npz"
    assert main(["data", "repair", str(path), str(out), *options]) == 0
    assert "6 events; 1 outside the sensor dropped; time went backwards 1 time before" in capsys.readouterr().out
    assert write.rows_of(read_events(out)) == [(1, 2, 3, 0), *FIVE]
    assert main(["data", "inspect", str(out), "--time-origin", "first"]) == 0
    assert main(["data", "inspect", str(path), *options]) == 2
    assert "spikereel data repair" in capsys.readouterr().err
