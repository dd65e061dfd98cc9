"""The page of docs/browser in Debian's chromium, offline: files chosen, button pressed, answer as the library's.

SPIKEREEL_ORT_WEB names the folder dist/ of the npm package onnxruntime-web.
"""

import json
import os
import queue
import shutil
import subprocess
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from small import DATA, small_weights, video_file

import spikereel
from spikereel.inference.exported import classify_exported

PAGE = Path(__file__).parents[2] / "docs" / "browser"
DIST = Path(os.environ.get("SPIKEREEL_ORT_WEB", "nowhere"))
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
DRIVER = """<!doctype html><iframe id="page" src="index.html"></iframe><script type="module">
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
at("fps").value = "10";
at("go").click();
while (!/^(done|error)/.test(at("said").textContent)) await pause();
const rows = [...at("answer").rows].map(row => [...row.cells].map(cell => cell.textContent));
await fetch("found", {method: "POST", body: JSON.stringify({said: at("said").textContent, rows})});
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
        program = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        # no other host is reached
        program += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={folder / 'profile'}"]
        program.append(f"http://127.0.0.1:{server.server_port}/driver.html")
        with subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
            try:
                return found.get(timeout=240)
            finally:
                browser.terminate()
                server.shutdown()


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
@pytest.mark.skipif(not (DIST / RUNTIME[0]).is_file(), reason="SPIKEREEL_ORT_WEB names no dist/ of onnxruntime-web")
@pytest.mark.parametrize("attention", ["spatial", "joint"])
def test_a_browser_says_what_the_library_says(attention, tmp_path):
    pytest.importorskip("onnxruntime")
    for file in (*PAGE.iterdir(), *(DIST / name for name in RUNTIME)):
        shutil.copy(file, tmp_path)
    (tmp_path / "driver.html").write_text(DRIVER)
    small_weights(tmp_path / "net.safetensors", replace(DATA, stride=2))
    trained = spikereel.load_model(tmp_path / "net.safetensors")
    model = type(trained)(replace(trained.config, attention=attention)).eval()
    model.load_state_dict(trained.state_dict())
    model.metadata = trained.metadata
    video_file(tmp_path / "clip.mp4", frames=13)
    spikereel.export(model, tmp_path / "net.onnx", grid=False)
    exported = spikereel.open_export(tmp_path / "net.onnx")
    assert exported.contract.whole == (attention == "joint")
    expected = classify_exported(exported, tmp_path / "clip.mp4")
    found = _answer_of_the_page(tmp_path)
    assert found["said"].startswith(f"done: frames {', '.join(map(str, expected.indices))};"), found
    assert [name for name, _ in found["rows"]] == [name for name, _ in expected.top5]
    for (_, text), (_, p) in zip(found["rows"], expected.top5, strict=True):
        # two decoders round colours otherwise
        assert float(text.removesuffix(" %")) == pytest.approx(100 * p, abs=0.5)
