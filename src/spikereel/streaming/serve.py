"""Answers over HTTP: a WebSocket of JSON lines, and metrics for Prometheus.

GET /ws is a WebSocket, /metrics the metrics, / the state of all sources as JSON. Each viewer has a queue of its own
that drops the oldest when it is full, so that one who does not read holds up nobody.
"""

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from spikereel.errors import ConfigError
from spikereel.extras import need
from spikereel.streaming.answer import Answer
from spikereel.streaming.live import Channel, counts_of

QUEUE = 2
"""Messages that wait for a viewer."""
PATIENCE = 2.0
"""Seconds that a viewer may take for one message before it is cut off."""


def address_of(text: str) -> tuple[str, int]:
    """Host and port of ":8000" (this machine alone), "HOST:8000" or "8000". Raises ConfigError for anything else."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 <= int(port) < 65536:
        raise ConfigError(f"serve is {text!r}: give :PORT, or HOST:PORT for others to see it")
    return host.strip("[]") or "127.0.0.1", int(port)


class Server:
    """A sink that serves, in a thread of its own; `port` is known once it listens. ConfigError where it cannot."""

    def __init__(self, address: str, channels: list[Channel], settings: str):
        need("serve")
        self.host, self.port = address_of(address)
        self.channels, self.settings = channels, settings
        self.dropped = 0
        """Messages that viewers were too slow for."""
        self._viewers: set[asyncio.Queue] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    def start(self) -> "Server":
        """Listen; returns when it does."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise ConfigError(f"cannot serve at {self.host}:{self.port}: {self._error.strerror}; choose another port")
        return self

    def answer(self, answer: Answer) -> None:
        """See `Sink`."""
        self.event(answer.to_json())

    def event(self, event: dict[str, Any]) -> None:
        """See `Sink`."""
        text = json.dumps(event)
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._offer, text)

    def close(self) -> None:
        """See `Sink`."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(PATIENCE + 1)

    def _offer(self, text: str) -> None:
        for queue in self._viewers:
            if queue.full():
                queue.get_nowait()
                self.dropped += 1
            queue.put_nowait(text)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        from aiohttp import web

        self._done = asyncio.Event()
        app = web.Application()
        routes = {"/": self._state, "/metrics": self._metrics, "/ws": self._watch}
        app.add_routes([web.get(path, handler) for path, handler in routes.items()])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=PATIENCE)
        await runner.setup()
        site = web.TCPSite(runner, self.host, self.port)
        try:
            await site.start()
            self.port = runner.addresses[0][1]
        except OSError as error:
            self._error = error
            self._ready.set()
            await runner.cleanup()
            return
        self._ready.set()
        await self._done.wait()
        await runner.cleanup()

    async def _state(self, _request: Any) -> Any:
        from aiohttp import web

        return web.json_response({"settings": self.settings, "sources": {x.name: counts_of(x) for x in self.channels}})

    async def _metrics(self, _request: Any) -> Any:
        from aiohttp import web

        text, kind = await asyncio.to_thread(metrics, self.channels, self.dropped)
        return web.Response(body=text, headers={"Content-Type": kind})

    async def _watch(self, request: Any) -> Any:
        from aiohttp import web

        socket = web.WebSocketResponse(heartbeat=20.0)
        await socket.prepare(request)
        queue: asyncio.Queue[str] = asyncio.Queue(QUEUE)
        self._viewers.add(queue)
        try:
            while not self._done.is_set() and not socket.closed:
                try:
                    text = await asyncio.wait_for(queue.get(), 0.5)
                except TimeoutError:
                    if request.transport is None or request.transport.is_closing():
                        break
                    continue
                await asyncio.wait_for(socket.send_str(text), PATIENCE)
        except (TimeoutError, ConnectionError):
            # who takes nothing any more is let go, and not asked to say goodbye
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._viewers.discard(queue)
        return socket


def metrics(channels: list[Channel], viewers_dropped: int = 0) -> tuple[bytes, str]:
    """All numbers of all sources for Prometheus, and the content type; sources by names without secrets."""
    need("serve")
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

    def collect() -> Any:
        known = [(x.name, counts_of(x)) for x in channels]
        counters: dict[str, Callable[[dict], Any]] = {
            "frames": lambda c: c["frames"],
            "answers": lambda c: c["answers"],
            "errors": lambda c: c["errors"],
            "reconnects": lambda c: c["reconnects"],
            "gaps": lambda c: c["gaps"],
            "holes": lambda c: c["holes"],
        }
        for name, value in counters.items():
            family = CounterMetricFamily(f"spikereel_{name}", f"{name} of a source", labels=["source"])
            for source, counts in known:
                family.add_metric([source], value(counts))
            yield family
        for name, key in (("dropped", "reason"), ("troubles", "kind")):
            family = CounterMetricFamily(f"spikereel_{name}", f"{name} of a source", labels=["source", key])
            for source, counts in known:
                for reason, value in counts[name].items():
                    family.add_metric([source, reason], value)
            yield family
        rates = GaugeMetricFamily("spikereel_frames_per_second", "rates of a source", labels=["source", "of"])
        late = SummaryMetricFamily("spikereel_latency_seconds", "latency of the last answers, by stage")
        for source, counts in known:
            for what, value in counts["frames_per_second"].items():
                rates.add_metric([source, what], value)
            for stage, values in counts["latency_ms"].items():
                for name, ms in values.items():
                    share = f"{int(name[1:]) / 100:g}"
                    late.add_sample(late.name, {"source": source, "stage": stage, "quantile": share}, ms / 1e3)
        yield from (rates, late)
        for name in ("firing_rate", "mj_per_frame", "mj_per_second"):
            gauge = GaugeMetricFamily(f"spikereel_{name}", name.replace("_", " "), labels=["source"])
            for source, counts in known:
                if counts[name] is not None:
                    gauge.add_metric([source], counts[name])
            yield gauge
        yield CounterMetricFamily(
            "spikereel_viewer_dropped", "messages that viewers were too slow for", viewers_dropped
        )

    registry = CollectorRegistry(auto_describe=False)
    registry.register(type("Collector", (), {"collect": staticmethod(collect)})())
    return generate_latest(registry), CONTENT_TYPE_LATEST
