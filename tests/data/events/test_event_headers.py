"""Headers by their grammar, and every published version of a format."""

import struct

import event_writers as write
import numpy as np
import pytest

from spikereel.data.events.readers import info, read_events
from spikereel.errors import DataError

ROWS = [(100, 300, 200, 1), (101, 0, 239, 0), (102, 303, 0, 1), (250, 17, 100, 1)]


def dat1(rows, version="% Version 1\n", size="% Width 304\n% Height 240\n"):
    header = f"% Data file containing CD events.\n{version}{size}".encode() + bytes([12, 8])
    # What lies above the polarity is no part of an event.
    return header + b"".join(struct.pack("<II", t, x | y << 9 | p << 17 | 5 << 20) for t, x, y, p in rows)


@pytest.mark.parametrize("version", ["% Version 1\n", "% Version 0\n", "% version 1\r\n", "%Version 1\n"])
@pytest.mark.parametrize("size", ["% Width 304\n% Height 240\n", ""])
def test_dat_of_the_atis(save, version, size):
    assert write.rows_of(read_events(save("a.dat", dat1(ROWS, version, size)))) == ROWS


def test_dat_says_its_version(save):
    assert info(save("a.dat", dat1(ROWS))).format == "DAT version 1"
    two = write.dat(ROWS, header="% Data file\n% Version 2\n% Width 304\n% Height 240\n")
    assert info(save("b.dat", two)).format == "DAT"
    assert write.rows_of(read_events(save("b.dat", two.replace(b"% Version 2\n", b"")))) == ROWS


@pytest.mark.parametrize(
    "line", ["% endianness little", "% end of life 2030", "% ending", "% ENDPOINT usb", "% end_of_header no"]
)
@pytest.mark.parametrize("end", ["% end\n", "% end\r\n", "% END \n", ""])
@pytest.mark.parametrize("form", ["evt2", "evt3"])
def test_a_line_that_begins_like_the_end(save, form, line, end):
    header = f"% date today\n{line}\n% evt {form[3]}.0\n% geometry 40x40\n{end}"
    file = save("a.raw", getattr(write, form)(write.FIVE, header))
    assert write.rows_of(read_events(file)) == write.FIVE


def test_a_dat_header_with_such_a_line(save):
    header = "% Data file\n% endianness little\n% Version 2\n% Height 40\n% Width 40\n"
    assert write.rows_of(read_events(save("a.dat", write.dat(write.FIVE, header)))) == write.FIVE


def test_aedat_headers_with_such_lines(save):
    two = write.aedat2(write.FIVE).replace(b"# AEChip", b"#End Of ASCII Headers to come\r\n# AEChip")
    three = write.aedat3(write.FIVE).replace(b"#Source", b"#!END-HEADERS: none\r\n#Source")
    assert write.rows_of(read_events(save("two.aedat", two))) == write.FIVE
    assert write.rows_of(read_events(save("three.aedat", three))) == write.FIVE


def structured(rows, fields):
    array = np.zeros(len(rows), np.dtype(fields))
    for name, column in zip(array.dtype.names, zip(*rows, strict=True), strict=True):
        array[name] = column
    return array


TIME, X, Y = ("t", "<u8"), ("x", "<u2"), ("y", "<u2")


@pytest.mark.parametrize(
    "fields",
    [
        [TIME, X, Y, (("p", "on"), "?")],
        [TIME, X, Y, (("polarity", "bright"), "?")],
        [(("ts", "when"), "<i8"), (("x", "column"), "<u2"), (("y", "row"), "<u2"), (("p", "on"), "i1")],
        [TIME, X, Y, ("on", "?")],
    ],
)
@pytest.mark.parametrize("form", ["npy", "npz"])
def test_titles_of_fields_are_names(tmp_path, fields, form):
    array, path = structured(write.FIVE, fields), tmp_path / f"a.{form}"
    if form == "npy":
        np.save(path, array)
    else:
        np.savez(path, events=array, other=np.zeros(3))
    assert write.rows_of(read_events(path, sensor=(40, 40))) == write.FIVE


def test_titles_that_name_no_column(tmp_path):
    np.save(tmp_path / "a.npy", structured(write.FIVE, [TIME, X, Y, (("q", "bright"), "?")]))
    with pytest.raises(DataError, match="has no columns t, x, y, p but bright, q, t, x, y"):
        read_events(tmp_path / "a.npy", sensor=(40, 40))


@pytest.mark.parametrize(
    ("order", "kinds"),
    [
        ("pyxt", ("?", ">u2", ">u2", ">u8")),
        ("xytp", ("<u2", "<u2", "<u4", "i1")),
        ("tpxy", ("<f8", "<f4", "<i4", "<i8")),
        ("ytxp", ("<u1", ">i8", "<u1", "<f2")),
    ],
)
@pytest.mark.parametrize("signed", [False, True])
def test_fields_in_any_order_of_any_type(tmp_path, order, kinds, signed):
    array = np.zeros(5, list(zip(order, kinds, strict=True)))
    for name, column in zip("txyp", zip(*write.FIVE, strict=True), strict=True):
        array[name] = column
    if signed and array.dtype["p"].kind in "if":
        array["p"] = array["p"] * 2 - 1
    np.save(tmp_path / "a.npy", array)
    assert write.rows_of(read_events(tmp_path / "a.npy", sensor=(40, 40))) == write.FIVE
    # Padding, and a byte order that is not the machine's.
    aligned = array.astype(np.dtype(array.dtype.descr, align=True))
    np.savez(tmp_path / "b.npz", recording=aligned[::-1][::-1], label=3, note="walk")
    assert write.rows_of(read_events(tmp_path / "b.npz", sensor=(40, 40))) == write.FIVE


def test_a_table_beside_other_things(tmp_path):
    table = np.asfortranarray(np.array(write.FIVE, ">i4"))
    np.savez(tmp_path / "a.npz", data=table, label=np.arange(3), width=40, height=40)
    assert write.rows_of(read_events(tmp_path / "a.npz")) == write.FIVE
    np.savez(tmp_path / "a.npz", data=table, more=table, width=40, height=40)
    with pytest.raises(DataError, match="has no columns t, x, y, p but data, more"):
        read_events(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "lines",
    [
        "% Date 2014-05-01 12:00:00\r\n% Version 1\r\n% Width 304\r\n% Height 240\r\n",
        "%\n% Data file containing CD events.\n% Version   1\n% Height 240\n% Width 304\n%\n",
        "% VERSION: 1\n% Width\t304 \n% note caf\u00e9\n",
        "% Version 1\n" + "% a long story\n" * 300,
    ],
)
def test_dat_headers_of_odd_lines(save, lines):
    content = lines.encode("latin-1") + dat1(ROWS, "", "")[len(b"% Data file containing CD events.\n") :]
    assert write.rows_of(read_events(save("a.dat", content))) == ROWS
