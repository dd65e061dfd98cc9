"""Cameras on this machine alone: RTSP, HTTP, plain TCP, each with the faults that real ones have."""

import base64
import io
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer

from spikereel.data.video.write import coded_frame

FPS = 50


def pictures(count: int, *, size: tuple[int, int] = (48, 64), first: int = 0) -> list[np.ndarray]:
    """Noise around a grey that rises frame by frame."""
    random = np.random.default_rng(first)
    height, width = size
    noise = random.integers(-20, 20, (count, height, width, 3))
    return list((60 + (np.arange(first, first + count) % 100)[:, None, None, None] + noise).astype(np.uint8))


def encoded(frames: list[np.ndarray], *, every: int = 5) -> list[bytes]:
    """H.264 in Annex B, one piece a frame, a key frame with its headers every few."""
    coder = av.CodecContext.create("libx264", "w")
    coder.height, coder.width = frames[0].shape[:2]
    coder.pix_fmt, coder.time_base, coder.framerate = "yuv420p", Fraction(1, FPS), Fraction(FPS)
    coder.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(every), "bf": "0", "slices": "1"}
    out = []
    for number, picture in enumerate(frames):
        frame = coded_frame(picture)
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        out += [bytes(packet) for packet in coder.encode(frame)]
    return out + [bytes(packet) for packet in coder.encode(None)]


def transport_stream(frames: list[np.ndarray]) -> bytes:
    """MPEG-TS."""
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        _write(container, frames, "5")
    return file.getvalue()


def recording(path: Path, frames: list[np.ndarray]) -> Path:
    """`.mp4` with its index in front; or `.m3u8`, an HLS list with its end mark, and its segments of ten frames."""
    options = {"hls_time": str(10 / FPS), "hls_list_size": "0"} if path.suffix == ".m3u8" else {"movflags": "faststart"}
    with av.open(str(path), "w", options=options) as container:
        _write(container, frames, "10")
    return path


def _write(container: OutputContainer, frames: list[np.ndarray], every: str) -> None:
    stream = container.add_stream("libx264", rate=FPS, options={"tune": "zerolatency", "bf": "0", "g": every})
    stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
    for number, picture in enumerate(frames):
        frame = coded_frame(picture)
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


@contextmanager
def listening(serve: Callable[[socket.socket], None], port: int = 0) -> Iterator[int]:
    """The port at which each connection is served in a thread of its own; gone, with all connections, afterwards."""
    door = socket.create_server(("127.0.0.1", port))
    lines: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                line, _ = door.accept()
                lines.append(line)
                threading.Thread(target=_quietly, args=(serve, line), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield door.getsockname()[1]
    finally:
        with suppress(OSError):
            door.shutdown(socket.SHUT_RDWR)
        door.close()
        for line in lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()


def _quietly(serve: Callable[[socket.socket], None], line: socket.socket) -> None:
    with suppress(OSError, ValueError):
        serve(line)
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()


def rtsp(
    frames: list[bytes], *, fps: float = FPS, login: str | None = None, stall: bool = False, lose: int | None = None
) -> Callable[[socket.socket], None]:
    """A camera that plays Annex B pieces over TCP, once, then says goodbye.

    login: "user:password" it asks for. stall: say nothing more at the end, and stay. lose: a frame that is left out.
    """
    wanted = None if login is None else "Basic " + base64.b64encode(login.encode()).decode()

    def answer(line: socket.socket, file) -> bool:
        """Requests up to PLAY; False where the viewer has gone."""
        playing = False
        while not playing:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                part = file.readline()
                if not part:
                    return False
                request += part
            words = request.decode(errors="replace")
            method, number = words.split()[0], next(x for x in words.splitlines() if x.startswith("CSeq"))
            if wanted is not None and f"Authorization: {wanted}" not in words:
                line.sendall(
                    f'RTSP/1.0 401 Unauthorized\r\n{number}\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n'.encode()
                )
                continue
            body, more = b"", ""
            if method == "DESCRIBE":
                body = (
                    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
                    b"a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:t\r\n"
                )
                more = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            elif method == "SETUP":
                more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
            elif method == "OPTIONS":
                more = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            else:
                more = "Session: 1\r\n"
            line.sendall(f"RTSP/1.0 200 OK\r\n{number}\r\n{more}\r\n".encode() + body)
            playing = method == "PLAY"
        return True

    def serve(line: socket.socket) -> None:
        with line.makefile("rb") as file:
            if not answer(line, file):
                return
        _play(line, frames, fps, lose)
        if stall:
            time.sleep(30)

    return serve


def _play(line: socket.socket, frames: list[bytes], fps: float, lose: int | None) -> None:
    sequence, start = 0, time.monotonic()
    for number, piece in enumerate(frames):
        time.sleep(max(start + number / fps - time.monotonic(), 0))
        units = [unit for unit in piece.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]
        packets = [part for unit in units for part in _packets(unit)]
        for i, part in enumerate(packets):
            sequence = (sequence + 1) % 65536
            if number == lose:
                continue
            mark = 0x80 if i == len(packets) - 1 else 0
            head = struct.pack(">BBHII", 0x80, mark | 96, sequence, round(number * 90_000 / fps), 7)
            line.sendall(struct.pack(">cBH", b"$", 0, len(head) + len(part)) + head + part)


def _packets(unit: bytes) -> Iterator[bytes]:
    """RTP payloads of a NAL unit (RFC 6184): whole, or in fragments."""
    if len(unit) <= 1400:
        yield unit
        return
    parts = [unit[1:][i : i + 1400] for i in range(0, len(unit) - 1, 1400)]
    for i, part in enumerate(parts):
        ends = (0x80 if i == 0 else 0) | (0x40 if i == len(parts) - 1 else 0)
        yield bytes([unit[0] & 0xE0 | 28, ends | unit[0] & 0x1F]) + part


def http(
    body: bytes, *, status: str = "200 OK", kind: str = "video/mp2t", seconds: float = 0.0, cut: float = 1.0
) -> Callable[[socket.socket], None]:
    """A server that sends a body in chunks over so many seconds; cut: the share after which it hangs up."""

    def serve(line: socket.socket) -> None:
        line.recv(65536)
        more = 'WWW-Authenticate: Basic realm="x"\r\n' if status.startswith("401") else ""
        line.sendall(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}Transfer-Encoding: chunked\r\n\r\n".encode())
        step = max(len(body) // 20, 1)
        for start in range(0, round(len(body) * cut), step):
            part = body[start : start + step]
            line.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            time.sleep(seconds / 20)
        if cut == 1.0:
            line.sendall(b"0\r\n\r\n")

    return serve


def files(root: Path) -> Callable[[socket.socket], None]:
    """A server of what lies in a folder at the time, whole and with its length."""

    def serve(line: socket.socket) -> None:
        asked = line.recv(65536).split()
        if not asked:
            return  # the reader has turned away
        path = root / asked[1].decode().strip("/")
        body = path.read_bytes() if path.is_file() else None
        head = "200 OK" if body is not None else "404 Not Found"
        line.sendall(f"HTTP/1.1 {head}\r\nContent-Length: {len(body or b'')}\r\nConnection: close\r\n\r\n".encode())
        line.sendall(body or b"")

    return serve


def raw(body: bytes, *, stay: bool = False) -> Callable[[socket.socket], None]:
    """Bytes, and then the end, or silence."""

    def serve(line: socket.socket) -> None:
        line.sendall(body)
        if stay:
            time.sleep(30)

    return serve
