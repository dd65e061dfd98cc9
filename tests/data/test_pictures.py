"""Pictures and masks as files of every kind: upright, and with the values that were stored."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from spikereel.data.pictures import picture_size, read_mask, read_picture
from spikereel.errors import DataError

LABELS = np.arange(12, dtype=np.uint8).reshape(3, 4)
MODES = {
    "1": Image.fromarray(LABELS % 2 * 255).convert("1"),
    "L": Image.fromarray(LABELS),
    "P": Image.fromarray(LABELS).convert("P"),
    "LA": Image.merge("LA", (Image.fromarray(LABELS), Image.fromarray(LABELS // 8 * 255))),
    "I;16": Image.fromarray(LABELS.astype(np.uint16)),
}


@pytest.mark.parametrize("mode", MODES)
def test_masks_of_one_channel_keep_their_values(tmp_path, mode):
    MODES[mode].save(tmp_path / "a.png")
    expected = LABELS % 2 if mode == "1" else LABELS
    assert np.array_equal(read_mask(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_masks_in_colours_keep_them_under_any_alpha(tmp_path, mode):
    colours = np.stack([LABELS, 2 * LABELS, 3 * LABELS, 0 * LABELS][: len(mode)], -1)
    Image.fromarray(colours).save(tmp_path / "a.png")
    assert np.array_equal(read_mask(tmp_path / "a.png"), colours[..., :3])


def test_a_mask_of_sixteen_bits_with_alpha_is_refused_by_name(tmp_path):
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + struct.pack(">8H", *[1, 65535] * 4) for _ in range(3))
    head = struct.pack(">IIBBBBB", 4, 3, 16, 4, 0, 0, 0)
    content = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    with pytest.raises(DataError, match=r"a\.png: is a mask of 16-bit grey with alpha"):
        read_mask(tmp_path / "a.png")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_pictures_and_masks_are_upright(tmp_path, orientation, suffix):
    picture = np.zeros((24, 32, 3), np.uint8)
    picture[:12, :16], picture[12:, :16] = (200, 30, 30), (30, 200, 30)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture).save(path, exif=exif)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert np.array_equal(read_picture(path).permute(1, 2, 0).numpy(), shown)
    if suffix == "png":
        assert np.array_equal(read_mask(path), shown)
        exif_last(path)
        assert np.array_equal(read_mask(path), shown)
        assert picture_size(path) == shown.shape[:2]


def exif_last(path):
    """Put the EXIF of a PNG behind its pixels, where PNG allows it too."""
    content = path.read_bytes()
    at = content.index(b"eXIf") - 4
    stop = at + 12 + int.from_bytes(content[at : at + 4], "big")
    rest, chunk = content[:at] + content[stop:], content[at:stop]
    end = rest.index(b"IEND") - 4
    path.write_bytes(rest[:end] + chunk + rest[end:])


def test_sixteen_bits_of_grey_become_the_highest_eight(tmp_path):
    Image.fromarray((LABELS.astype(np.uint16) << 8) + 77).save(tmp_path / "a.png")
    assert torch.equal(read_picture(tmp_path / "a.png")[0], torch.from_numpy(LABELS))
