"""The page of the studio in a real browser: opening, running, seeking, what it shows and what it says."""

import json

import numpy as np
import pytest
from conftest import AXE, WEIGHTS
from films import told, uneven

pytest.importorskip("starlette")
pytestmark = pytest.mark.browser

PIXELS = """() => { const c = document.getElementById("picture");
  return [c.width, c.height, [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data]]; }"""


def painted(page, number):
    """Waits until everything shows a frame."""
    page.wait_for_function("n => document.documentElement.dataset.painted === String(n)", arg=number)


def picture(page):
    width, height, values = page.evaluate(PIXELS)
    return np.array(values, np.uint8).reshape(height, width, 4)


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
    # playing goes by the times of the file: the long frames stay
    page.locator("#number").fill("4")
    page.locator("#number").press("Enter")
    painted(page, 4)
    page.locator("#play").click()
    page.wait_for_timeout(250)
    page.locator("#play").click()
    assert page.locator("#number").input_value() == "5"


def test_all_panels_stand_at_one_clock(page, address):
    shown_at(page, address, "films:round.mp4", weights=WEIGHTS, frame=40)
    computed(page)
    painted(page, 40)
    places = page.evaluate("[...document.querySelectorAll('.cursor')].map(x => x.getBoundingClientRect().x)")
    assert len(places) == len(page.locator(".panel").all()) >= 4
    assert max(places) - min(places) < 1
    # a click into any panel moves all of them
    box = page.locator("#panel-energy canvas").bounding_box()
    page.mouse.click(box["x"] + 46 + (box["width"] - 46) * 0.755, box["y"] + 20)
    painted(page, 72)
    assert told(picture(page)) == 72


def test_the_raster_is_what_the_network_did(page, address):
    from spikereel.hub import load_model

    shown_at(page, address, "films:round.mp4", weights=WEIGHTS, layer="head_lif", frame=3)
    computed(page)
    layers = page.locator("#panel-raster select option").all_inner_texts()
    assert len(layers) == sum(name.endswith("lif") or "lif" in name.split(".")[-1] for name, _ in load_model(WEIGHTS).named_modules())
    page.locator("#panel-raster select").select_option(layers[3])
    page.wait_for_function("() => document.querySelector('#panel-raster .said').textContent.length > 0")
    grey = page.evaluate(
        "() => { const c = document.querySelector('#panel-raster canvas'); "
        "return [...c.getContext('2d').getImageData(60, 5, c.width - 70, 100).data]; }"
    )
    assert np.array(grey).reshape(-1, 4)[:, 0].std() > 5


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


def assert_clean(page):
    found = page.evaluate("axe.run()")
    said = [(x["id"], x["nodes"][0]["html"], x["nodes"][0]["failureSummary"]) for x in found["violations"]]
    assert not said, json.dumps(said, indent=1)
