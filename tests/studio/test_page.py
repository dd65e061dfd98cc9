"""The page of the studio in a real browser: opening, running, seeking, what it shows and what it says."""

import base64
import json
import re
from pathlib import Path

import av
import numpy as np
import pytest
from browsing import AXE, WEIGHTS, studio_in
from films import told, uneven

from spikereel.tracing import trace

pytest.importorskip("starlette")
pytestmark = [pytest.mark.browser, pytest.mark.slow]

WHOLE = """() => { const c = document.getElementById("picture"), parts = [];
  const data = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
  for (let i = 0; i < data.length; i += 8192) parts.push(String.fromCharCode(...data.subarray(i, i + 8192)));
  return [c.width, btoa(parts.join(""))]; }"""
PIXELS = """() => { const c = document.getElementById("picture"); let text = "";
  for (const x of c.getContext("2d").getImageData(0, 0, c.width, 16).data) text += String.fromCharCode(x);
  return [c.width, btoa(text)]; }"""
"""The top of the picture, where a film says its number."""


def painted(page, number):
    """Waits until everything shows a frame."""
    page.wait_for_function("n => document.documentElement.dataset.painted === String(n)", arg=number)


def picture(page):
    width, text = page.evaluate(PIXELS)
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(16, width, 4)


def shown_at(page, address, place, *, weights="", frame=0, **more):
    """Opens a link to a view."""
    values = {"view": "watch", "place": place, "weights": weights, "frame": frame, **more}
    page.goto("about:blank")
    page.goto(address + "#" + "&".join(f"{k}={v}" for k, v in values.items() if v != ""))
    painted(page, frame)


def computed(page):
    page.wait_for_function("() => document.getElementById('progress').textContent.includes('all computed')")


def test_a_video_is_opened_run_and_stepped_through_by_keyboard_alone(page):
    assert page.locator("#empty").is_visible()
    page.locator("#open").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="films/").press("Enter")
    page.get_by_role("button", name="round.mp4").press("Enter")
    painted(page, 0)
    assert page.evaluate("document.activeElement.id") == "weights"
    page.keyboard.type(WEIGHTS)
    page.keyboard.press("Enter")
    computed(page)
    page.locator("#main").focus()
    for key, frame in (("ArrowRight", 1), ("Shift+ArrowRight", 11), ("ArrowLeft", 10), ("End", 95), ("Home", 0)):
        page.keyboard.press(key)
        painted(page, frame)
        assert told(picture(page)) == frame
    assert page.locator("#panel-probabilities canvas").get_attribute("aria-label").startswith("Probabilities:")
    assert "%" in page.locator("#answer").inner_text()
    page.keyboard.press("Space")
    page.wait_for_function("() => Number(document.documentElement.dataset.painted) > 20")
    page.keyboard.press("Space")
    stopped = int(page.locator("#number").input_value())
    painted(page, stopped)
    assert told(picture(page)) == stopped


def test_frames_of_a_variable_rate_are_exact(page, address):
    shown_at(page, address, "films:uneven.mp4")
    times = uneven(70)
    for number in (0, 1, 5, 6, 7, 23, 24, 40, 69):
        page.locator("#number").fill(str(number))
        page.locator("#number").press("Enter")
        painted(page, number)
        assert told(picture(page)) == number
        seconds = float(page.locator("#time").inner_text().removesuffix(" s"))
        assert seconds == pytest.approx(times[number], abs=0.002)
    # playing goes by these times, and by no mean rate
    instants = np.linspace(0, times[-1], 300)
    found = page.evaluate(
        "async instants => { const {frameAt} = await import('/page/clock.js'); return instants.map(frameAt); }",
        instants.tolist(),
    )
    assert found == (np.searchsorted(times[:-1], instants + 2e-5, side="right") - 1).tolist()


def remuxed(source, path):
    """A film with the same packets, shown for times that vary; its pictures, decoded from the start."""
    with av.open(str(source)) as given, av.open(str(path), "w") as out:
        own = given.streams.video[0]
        stream = out.add_stream_from_template(own)
        step = int(own.duration / own.frames)
        for packet in given.demux(own):
            if packet.dts is not None:
                # every seventh frame stays three times as long
                packet.dts, packet.pts = (x + 2 * step * (x // step // 7) for x in (packet.dts, packet.pts))
                packet.stream = stream
                out.mux(packet)
    with av.open(str(path)) as made:
        return [x.to_ndarray(format="rgb24") for x in made.decode(video=0)]


@pytest.mark.realdata
def test_frames_of_a_real_film_of_variable_rate_are_exact(page, real_data, tmp_path):
    pictures = remuxed(real_data / "video_zoo" / "mmaction2_demo_demo.mp4", tmp_path / "real.mp4")
    with studio_in(tmp_path, "--root", f"real={tmp_path}") as other:
        shown_at(page, other, "real:real.mp4")
        assert "varies" in page.locator("#facts").text_content()
        for number in (0, 6, 7, 8, 133, 14, 250, len(pictures) - 1):
            page.locator("#number").fill(str(number))
            page.locator("#number").press("Enter")
            painted(page, number)
            width, text = page.evaluate(WHOLE)
            shown = np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, width, 4)[..., :3]
            np.testing.assert_array_equal(shown, pictures[number])
            seconds = float(page.locator("#time").inner_text().removesuffix(" s"))
            assert seconds == pytest.approx((number + 2 * (number // 7)) / 28, abs=0.01)


def test_all_panels_stand_at_one_clock(page, address):
    shown_at(page, address, "films:round.mp4", weights=WEIGHTS, frame=40)
    computed(page)
    painted(page, 40)
    places = page.evaluate("[...document.querySelectorAll('.cursor')].map(x => x.getBoundingClientRect().x)")
    assert len(places) == len(page.locator("#panels .panel").all()) >= 4
    assert max(places) - min(places) < 1
    # a click into any panel moves all of them
    width = page.locator("#panel-energy canvas").bounding_box()["width"]
    page.locator("#panel-energy canvas").click(position={"x": 46 + (width - 46) * 72.5 / 96, "y": 20})
    painted(page, 72)
    assert told(picture(page)) == 72


def test_the_raster_is_what_the_network_did(page, address):
    from spikereel.hub import load_model

    shown_at(page, address, "films:round.mp4", weights=WEIGHTS, layer="head_lif", frame=3)
    computed(page)
    layers = page.locator("#panel-raster select option").all_inner_texts()
    assert len(layers) == sum(
        name.endswith("lif") or "lif" in name.split(".")[-1] for name, _ in load_model(WEIGHTS).named_modules()
    )
    page.locator("#panel-raster select").select_option(layers[3])
    page.wait_for_function("() => document.querySelector('#panel-raster .said').textContent.length > 0")
    grey = page.evaluate(
        "() => { const c = document.querySelector('#panel-raster canvas'); "
        "return [...c.getContext('2d').getImageData(60, 5, c.width - 70, 100).data]; }"
    )
    assert np.array(grey).reshape(-1, 4)[:, 0].std() > 5


def test_a_trace_opens_with_its_panels_and_is_not_computed(page, address, films):
    made = trace(WEIGHTS, str(films / "round.mp4"))
    made.save(films / "round.trace")
    shown_at(page, address, "films:round.trace", frame=5)
    computed(page)
    assert page.locator("#note").inner_text().endswith("nothing is computed.")
    assert page.locator("#panels h2").all_inner_texts() == [
        "Probabilities",
        "Spikes",
        "Membranes",
        "Firing rates",
        "Energy",
    ]
    assert page.locator("#answer .best").inner_text() == made.label
    width, text = page.evaluate(WHOLE)
    shown = np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, width, 4)[..., :3]
    np.testing.assert_array_equal(shown, made.pictures[5].transpose(1, 2, 0))
    page.wait_for_function(
        "() => document.querySelector('#panel-membranes .said').textContent.includes('no membranes')"
    )


def test_states_say_what_is_missing_and_what_failed(page, address, films):
    page.locator("#analyse").click()
    assert "Open a source first" in page.locator("#note").inner_text()
    page.goto("about:blank")
    page.goto(f"{address}#place=films:nothing.mp4")
    page.wait_for_function("() => document.getElementById('note').classList.contains('failed')")
    assert "no such file" in page.locator("#note").inner_text()
    (films / "torn.mp4").write_bytes((films / "round.mp4").read_bytes()[:4000])
    page.goto("about:blank")
    page.goto(f"{address}#place=films:torn.mp4")
    page.wait_for_function("() => document.getElementById('note').classList.contains('failed')")
    shown_at(page, address, "films:round.mp4", weights="no_such.weights")
    page.wait_for_function("() => document.querySelector('#panels .failed') !== null")
    assert "no weights at no_such.weights" in page.locator("#panels .failed").inner_text()


@pytest.mark.skipif(not AXE.is_file(), reason="SPIKEREEL_AXE names no axe.min.js of npm's axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(page, address, scheme, width):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})
    page.evaluate(AXE.read_text())
    assert_clean(page)
    shown_at(page, address, "films:round.mp4", weights=WEIGHTS, frame=12)
    computed(page)
    page.evaluate(AXE.read_text())
    assert_clean(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#open").click()
    page.get_by_role("button", name="films/").wait_for()
    assert_clean(page)
    page.keyboard.press("Escape")
    page.evaluate(
        "async place => (await import('/page/state.js')).set({view: 'compare', clips: place, other: "
        "'spikevideoformer_ti.motion_spatial'})",
        "films:round.mp4",
    )
    page.locator("#b").fill("spikevideoformer_ti.motion_spatial")
    page.locator("#go").click()
    page.locator("#first-said").wait_for()
    assert_clean(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.skipif(not AXE.is_file(), reason="SPIKEREEL_AXE names no axe.min.js of npm's axe-core")
def test_axe_finds_nothing_in_runs(page, run_of_videos):
    with studio_in(run_of_videos, "runs", "--root", "own=clips") as other:
        for width, scheme in ((1280, "light"), (390, "dark")):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 844})
            page.goto("about:blank")
            page.goto(f"{other}#view=runs&run=runs:small&cell=0,0")
            page.locator("#curves section").first.wait_for()
            page.locator("#new summary").first.click()
            page.wait_for_function("() => document.querySelectorAll('#recipe option').length > 10")
            page.evaluate(AXE.read_text())
            assert_clean(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def assert_clean(page):
    found = page.evaluate("axe.run()")
    said = [(x["id"], x["nodes"][0]["html"], x["nodes"][0]["failureSummary"]) for x in found["violations"]]
    assert not said, json.dumps(said, indent=1)


def test_attention_of_the_token_under_the_mouse(page, address):
    shown_at(page, address, "films:round.mp4", weights=WEIGHTS, frame=20)
    computed(page)
    options = page.locator("#shown option").all_inner_texts()
    assert options[:2] == ["nothing", "class"]
    page.locator("#shown").select_option(options[2])
    box = page.locator(".screen").bounding_box()
    # the token that is there before the mouse is
    page.wait_for_function("() => document.getElementById('overlay').dataset.token")
    tokens = [page.locator("#overlay").get_attribute("data-token")]
    for x, y in ((0.3, 0.2), (0.7, 0.8)):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.wait_for_function("n => document.getElementById('overlay').dataset.token !== n", arg=tokens[-1])
        tokens.append(page.locator("#overlay").get_attribute("data-token"))
        assert page.evaluate(
            "() => { const c = document.getElementById('overlay'); "
            "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(x => x > 0); }"
        )
    # the same by keyboard, and in the link
    page.locator("#token-x").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_function("n => document.getElementById('overlay').dataset.token !== n", arg=tokens[-1])
    page.wait_for_function("() => location.hash.includes('token=0%2C')")
    # a token that a coarser grid lacks is its nearest one
    page.evaluate("async () => (await import('/page/state.js')).set({token: '99,99'})")
    page.locator("#shown").select_option(options[-1])
    page.wait_for_function("() => !document.getElementById('caption').textContent.includes('not there')")


def test_membranes_of_chosen_neurons(page, address):
    shown_at(page, address, "films:round.mp4", weights=WEIGHTS, frame=20)
    computed(page)
    panel = page.locator("#panel-membranes")
    panel.locator("input").fill("5, 70,9")
    panel.locator("input").press("Enter")
    page.wait_for_function("() => document.querySelector('#panel-membranes .legend').textContent.includes('neuron 70')")
    values = [x.split()[-1] for x in panel.locator(".legend li").all_inner_texts()]
    assert len(values) == 3
    panel.locator("input").fill("99999999")
    panel.locator("input").press("Enter")
    page.wait_for_function("() => document.querySelector('#panel-membranes .said').classList.contains('failed')")
    assert "no neuron" in panel.locator(".said").inner_text()


def test_an_upload_and_the_camera(page, films):
    page.locator("#open").click()
    page.locator("#upload").set_input_files(str(films / "uneven.mp4"))
    painted(page, 0)
    assert "uneven.mp4" in page.locator("#caption").inner_text()
    page.locator("#open").click()
    page.locator("#upload").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"x"})
    page.wait_for_function("() => document.getElementById('chooser-fault').textContent.includes('a.txt')")
    page.evaluate("() => { document.getElementById('weights').value = ''; }")
    page.locator("#webcam").click()
    page.locator("#camera-stop").wait_for()
    page.wait_for_function("() => Number(document.getElementById('scrub').max) >= 18")
    page.locator("#weights").fill(WEIGHTS)
    page.locator("#analyse").click()
    page.wait_for_function("() => Number(document.documentElement.dataset.computed) >= 1")
    page.locator("#camera-stop").click()
    page.wait_for_function("() => document.getElementById('note').textContent.includes('is off')")
    page.locator("#main").focus()
    page.keyboard.press("Home")
    painted(page, 0)
    assert picture(page)[..., :3].std() > 5


def test_files_carry_the_view_and_need_nothing_else(page, address, browser, tmp_path):
    shown_at(page, address, "films:round.mp4", weights=WEIGHTS, frame=33)
    computed(page)
    saved = {}
    for name, button in {
        "html": "View as HTML",
        "png": "Picture as PNG",
        "svg": "Spikes as SVG",
        "csv": "Probabilities as CSV",
        "raster": "Spikes as PNG",
    }.items():
        with page.expect_download() as download:
            page.get_by_role("button", name=button, exact=True).click()
        saved[name] = tmp_path / f"{name}-{download.value.suggested_filename}"
        download.value.save_as(saved[name])
    assert saved["png"].read_bytes()[:4] == saved["raster"].read_bytes()[:4] == b"\x89PNG"
    assert saved["svg"].read_text().startswith("<svg xmlns")
    rows = [line.split(",") for line in saved["csv"].read_text().splitlines()]
    assert rows[0][:3] == ["frame", "left", "right"]
    assert len(rows) == 1 + 6 * 8
    assert sum(map(float, rows[-1][1:])) == pytest.approx(1, abs=1e-3)
    context = browser.new_context(offline=True)
    alone, asked = context.new_page(), []
    alone.on("request", lambda request: asked.append(request.url))
    alone.goto(f"file://{saved['html']}")
    assert alone.locator("svg").count() >= 5
    assert "frame 33" in alone.locator("h1").inner_text()
    assert alone.evaluate("() => document.images[0].naturalWidth") > 0
    assert [x for x in asked if not x.startswith(("file:", "data:"))] == []
    context.close()


def test_a_link_carries_the_whole_view(page, address, browser):
    shown_at(page, address, "films:round.mp4", weights=WEIGHTS, frame=12)
    computed(page)
    layer = page.locator("#panel-raster select option").nth(4).inner_text()
    page.locator("#panel-raster select").select_option(layer)
    page.locator("#panel-raster input").nth(1).fill("99")
    page.locator("#panel-raster input").nth(1).press("Enter")
    page.locator("#panel-energy select").select_option("int8")
    page.locator("#main").focus()
    page.keyboard.press("+")
    page.keyboard.press("Shift+ArrowRight")
    painted(page, 22)
    page.wait_for_function("() => location.hash.includes('frame=22')")
    link = page.evaluate("() => location.href")
    other = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    other.goto(link)
    painted(other, 22)
    other.wait_for_selector("#panel-energy select")
    painted(other, 22)
    found = [
        other.locator(x).input_value() for x in ("#panel-raster select", "#panel-energy select", "#number", "#weights")
    ]
    assert found == [layer, "int8", "22", WEIGHTS]
    other.wait_for_function("() => document.querySelectorAll('#panel-raster input')[1].value === '99'")
    ticks = [p.evaluate("() => document.querySelector('#panel-rates canvas').toDataURL()") for p in (page, other)]
    other.context.close()
    assert all(x.startswith("data:image/png") for x in ticks)


def test_two_networks_are_compared_on_clips(page, address, tmp_path):
    page.get_by_role("button", name="Compare", exact=True).first.click()
    page.locator("#a").fill(WEIGHTS)
    page.locator("#b").fill("spikevideoformer_ti.motion_spatial")
    page.locator("#add").click()
    page.get_by_role("button", name="films/").click()
    page.get_by_role("button", name="round.mp4").click()
    page.locator("#go").click()
    page.wait_for_function("() => document.documentElement.dataset.compared === '1'")
    row = page.locator("#clips tbody tr").all_inner_texts()[0]
    assert "round.mp4" in row
    assert "ConvBlock1_1.0.Conv.lif1" in row
    assert page.locator("#first-said").inner_text().startswith("First layer that differs: ConvBlock1_1.0.Conv.lif1")
    settings = page.get_by_role("region", name="Settings that differ").inner_text()
    assert "model.attention" in settings
    assert "joint" in settings
    assert "spatial" in settings
    # what is alike is not there
    assert "widths" not in settings
    for kind, start in (("PNG", b"\x89PNG"), ("SVG", b"<svg xmlns"), ("CSV", b"layer,frame ")):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"round.mp4 as {kind}").click()
        assert download.value.suggested_filename == f"round.mp4-difference.{kind.lower()}"
        assert Path(download.value.path()).read_bytes().startswith(start)
    with page.expect_download() as download:
        page.locator("#compare-html").click()
    download.value.save_as(tmp_path / "compare.html")
    text = (tmp_path / "compare.html").read_text()
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "First layer that differs" in text
    page.locator("#only").check()
    page.wait_for_function("() => location.hash.includes('only=yes')")
    differ = row.split("\t")[3] == "differ"
    assert ("They agree on every clip" in page.locator("#clips").inner_text()) is not differ
    link = page.evaluate("() => location.href")
    page.goto("about:blank")
    page.goto(link)
    page.wait_for_function("() => document.documentElement.dataset.compared === '1'")
    assert page.locator("#only").is_checked()
    page.locator("#see-b").click()
    page.wait_for_function("() => document.getElementById('stage').hidden === false")
    assert page.locator("#weights").input_value() == "spikevideoformer_ti.motion_spatial"
    assert page.locator("#scrub").input_value() != ""


def test_a_recipe_is_started_stopped_and_gone_on_with(page, films):
    page.get_by_role("button", name="Runs", exact=True).click()
    page.locator("#runs-empty").wait_for()
    page.locator("#new summary").first.click()
    page.wait_for_function("() => document.querySelectorAll('#recipe option').length > 10")
    page.locator("#recipe").select_option("motion")
    page.locator("#changes").fill("optim.epoch=3")
    page.locator("#start").click()
    page.wait_for_function("() => document.getElementById('start-fault').textContent.includes('did you mean')")
    small = ["model.widths=[8,16,16,24]", "model.depths=[1,1]", "data.frames=4", "data.train_length=96"]
    small += ["data.test_length=20", "optim.batch=8", "optim.epochs=60", "data.workers=0", "run.silent_epochs=0"]
    page.locator("#changes").fill("\n".join([*small, "name=tried"]))
    page.locator("#start").click()
    # the first checkpoint is written after the first epoch
    page.wait_for_function("() => document.querySelector('[data-state=running]') !== null")
    for _ in range(240):
        if (films / "runs" / "tried" / "last.ckpt").is_file():
            break
        page.wait_for_timeout(500)
    training = page.locator("#trainings section")
    training.get_by_role("button", name="Stop").click()
    page.wait_for_function("() => document.querySelector('[data-state=stopped]') !== null")
    assert "interrupted" in training.locator("pre").inner_text()
    training.get_by_role("button", name="Go on").click()
    page.wait_for_function("() => document.querySelector('[data-state=running]') !== null")
    page.wait_for_timeout(1000)
    training.get_by_role("button", name="Stop").click()
    page.wait_for_function("() => document.querySelector('[data-state=running]') === null")
    training.get_by_role("button", name="Curves").click()
    page.locator("#curves section").first.wait_for()
    assert "val_top1" in page.locator("#curves").inner_text()


def test_a_cell_of_the_confusion_opens_its_clips(page, run_of_videos, browser):
    with studio_in(run_of_videos, "runs", "--root", "own=clips") as other:
        page.goto("about:blank")
        page.goto(f"{other}#view=runs&run=runs:small")
        passport = page.get_by_role("region", name="Passport passport.json")
        assert re.search(r"mJ, paper\s+[\d.e-]+, as an ANN [\d.e-]+", passport.inner_text())
        page.locator(".confusion button").first.click()
        page.locator(".clips button").first.wait_for()
        page.locator(".clips button").first.click()
        painted(page, 0)
        computed(page)
        assert page.locator("#weights").input_value() == "runs:small"
        assert "%" in page.locator("#answer").inner_text()
