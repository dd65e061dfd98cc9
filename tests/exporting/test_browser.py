"""The page of docs/browser in Debian's chromium, offline: files chosen, button pressed, answer as the library's.

SPIKEREEL_ORT_WEB names the folder dist/ of the npm package onnxruntime-web.
"""

import json
import os
import queue
import shutil
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import pytest
import torch
from chromium import chromium_at
from small import DATA, small_weights, video_file

import spikereel
from spikereel.inference.exported import classify_exported
from spikereel.inference.look import look

PAGE = Path(__file__).parents[2] / "docs" / "browser"
DIST = Path(os.environ.get("SPIKEREEL_ORT_WEB", "nowhere"))
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
DRIVER = """<!doctype html><iframe id="page" src="index.html"></iframe><script type="module">
import {contractOf, clipIndices, prepared, videoFrames} from "./spikereel.js";
const post = found => fetch("found", {method: "POST", body: JSON.stringify(found)});
for (const kind of ["error", "unhandledrejection"]) addEventListener(kind, event =>
  post({said: `${event.reason ?? event.message}, after: ${at("said").textContent}`}));
const frame = document.getElementById("page"), at = id => frame.contentDocument.getElementById(id);
const pause = () => new Promise(resolve => setTimeout(resolve, 50));
while (!at("go")?.onclick) await pause();
async function choose(id, name) {
  const files = new frame.contentWindow.DataTransfer();
  files.items.add(new File([await (await fetch(name)).blob()], name));
  at(id).files = files.files;
}
await choose("model", "net.onnx");
await choose("film", "clip.mp4");
at("fps").value = "FPS";
at("go").click();
while (!/^(done|error)/.test(at("said").textContent)) await pause();
if (/^error/.test(at("said").textContent)) throw new Error("the page gave none");
const rows = [...at("answer").rows].map(row => [...row.cells].map(cell => cell.textContent));
// the frames that the network saw, once more
const {preprocess} = contractOf(new Uint8Array(await at("model").files[0].arrayBuffer())), frames = [];
for await (const image of videoFrames(at("screen"), clipIndices(TOTAL, preprocess), FPS, preprocess))
  frames.push([...prepared(image, preprocess)]);
await post({said: at("said").textContent, rows, frames});
</script>"""


def _answer_of_the_page(folder: Path) -> dict:
    found: queue.Queue[dict] = queue.Queue()

    class Handler(SimpleHTTPRequestHandler):
        def do_POST(self):
            found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        no_other_host = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        try:
            with chromium_at(f"http://127.0.0.1:{server.server_port}/driver.html", folder / "profile", no_other_host):
                return found.get(timeout=240)
        finally:
            server.shutdown()


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
@pytest.mark.skipif(not (DIST / RUNTIME[0]).is_file(), reason="SPIKEREEL_ORT_WEB names no dist/ of onnxruntime-web")
@pytest.mark.parametrize(
    ("attention", "real"),
    [
        ("spatial", None),
        ("joint", None),
        pytest.param("spatial", "video_zoo/mmaction2_demo_demo.mp4", marks=pytest.mark.realdata),
    ],
)
def test_a_browser_says_what_the_library_says(attention, real, tmp_path):
    pytest.importorskip("onnxruntime")
    for file in (*PAGE.iterdir(), *(DIST / name for name in RUNTIME)):
        shutil.copy(file, tmp_path)
    small_weights(tmp_path / "net.safetensors", replace(DATA, stride=2))
    trained = spikereel.load_model(tmp_path / "net.safetensors")
    model = type(trained)(replace(trained.config, attention=attention)).eval()
    model.load_state_dict(trained.state_dict())
    model.metadata = trained.metadata
    if real is None:
        video_file(tmp_path / "clip.mp4", frames=13)
    else:
        shutil.copy(Path(os.environ["SPIKEREEL_DATA"], real), tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as film:
        total, fps = film.streams.video[0].frames, float(film.streams.video[0].average_rate)
    (tmp_path / "driver.html").write_text(DRIVER.replace("TOTAL", str(total)).replace("FPS", str(fps)))
    spikereel.export(model, tmp_path / "net.onnx", grid=False)
    exported = spikereel.open_export(tmp_path / "net.onnx")
    assert exported.contract.whole == (attention == "joint")
    expected = classify_exported(exported, tmp_path / "clip.mp4")
    found = _answer_of_the_page(tmp_path)
    assert found["said"].startswith(f"done: frames {', '.join(map(str, expected.indices))};"), found
    spec = replace(DATA, stride=2)
    own = look(tmp_path / "clip.mp4", spec, 3, views=1).views[0]
    seen = torch.tensor(found["frames"]).reshape(own.shape)
    # levels of 255: two decoders spread the colours of a block otherwise
    assert float((seen - own).abs().mean()) * 255 * spec.std[0] < 3
    shown = dict(zip(exported.contract.classes, exported(seen)[0][0].softmax(0).tolist(), strict=True))
    assert len(found["rows"]) == 5
    for name, text in found["rows"]:
        assert float(text.removesuffix(" %")) == pytest.approx(100 * shown[name], abs=0.02)
