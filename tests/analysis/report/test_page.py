"""The page in a real browser: Debian's Chromium, headless, through its own driver."""

import base64
import io
import json
import os
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from podium.analysis.report import advice, contents, gallery, pictures, tables
from podium.analysis.report.advice import Advice
from podium.analysis.report.feature_map import ImageFeatures
from podium.analysis.report.page import Near, Page, Threshold, pictured, render, with_heatmaps
from podium.analysis.report.panels.scores import Panels

BINARY = (np.array([0, 0, 1, 1, 1]), np.array([0.1, 0.7, 0.3, 0.8, 0.9]))  # targets and probabilities
HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def results_of_page(make_results):
    """What the page shows."""
    return make_results("multiclass", labels=(HOSTILE, "bee", "cat"))


@pytest.fixture(scope="module")
def page(tmp_path_factory, results_of_page) -> Path:
    """A report of a made-up competition with every kind of tile, and texts that look like markup."""
    results = results_of_page
    images = pd.DataFrame({"image_id": results.ids, "row_id": results.ids, "source": "x", "split": "train"})
    broken = {"image_id": HOSTILE, "row_id": "broken", "source": "broken.png", "reason": "truncated"}
    climb = pd.DataFrame({"step": [1.0, 2.0], "member": ["good", "fair"], "loss": [0.4, 0.3]})
    uploads = pd.DataFrame({"time": ["1", "2"], "cross_fitted": [0.31, 0.3], "public": [0.32, 0.33]})
    panels, plots = Panels(), contents.plots(results, climb, uploads)
    plots |= panels.plots(results)
    texts = zip(panels.labels(results), panels.predictions(results), strict=True)
    texts = dict(zip(results.ids, texts, strict=True))
    tiles = gallery.tiles(results.ids, panels.ranked(results), texts, images, [broken], [list(results.ids[:2])])
    rng = np.random.default_rng(0)
    shown = {
        tile.image_id: pictures.encoded(rng.integers(256, size=(40, 60, 3), dtype=np.uint8)) for tile in tiles[:-1]
    }
    bank = pd.DataFrame({"member": ["good", "fair"], "log_loss": ["0.3", "0.4"], "weight": ["1", ""]})
    scores = contents.Scores(
        ("log_loss",), {"log_loss": 0.3}, {"log_loss": 0.31}, {"log_loss": 0.01}, {"log_loss": 0.3}
    )
    groups, predicted = panels.groups(results), panels.predictions(results)
    vectors = rng.normal(size=(len(results.ids), 5)) + 3 * np.eye(5)[results.y]
    embedded = ImageFeatures("trunk", images.assign(position=range(len(images))), vectors.astype(np.float32))
    past = pd.DataFrame({"commit": ["12345678 2026-01-01", "now"], "score": [0.4, 0.3], "standard_error": [0.01, 0.01]})
    file = tmp_path_factory.mktemp("page") / "report.html"
    content = Page(
        title=f"Insects {HOSTILE}",
        headline=scores.headline(),
        summary="300 rows.",
        members=contents.members(bank.replace("", None)),
        charts=[*panels.charts(results, plots), *contents.drawn(results, plots), *contents.history(past, "log_loss")],
        scores=scores.html_table(),
        tiles=tiles,
        pictures=shown,
        advice=[
            Advice(f"{HOSTILE} is worst.", advice.gallery(reason="mistake", label=HOSTILE), is_alarm=True),
            *panels.advice(results, plots),
        ],
        tables=panels.tables(results, plots),
        threshold=Threshold(*tables.by_threshold(*BINARY), label=HOSTILE),
        feature_map=contents.map_of(embedded, groups, predicted, {tile.image_id for tile in tiles}),
        near={tiles[0].image_id: [Near(f"near{k} {HOSTILE}", shown[tiles[k].image_id]) for k in range(4)]},
    )
    rendered = render(content)
    assert pictured(rendered) == [tile.image_id for tile in tiles[:-1]]
    heat = {tiles[0].image_id: shown[tiles[1].image_id]}
    file.write_text(with_heatmaps(rendered, heat, f"Heatmaps of {HOSTILE}."), encoding="utf-8")
    return file


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["desktop", "phone"])
def opened(request, browser, page):
    """The page at a width and in a colour scheme."""
    width, scheme = request.param
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page.as_uri())
    return browser


def visible(browser):
    return browser.execute_script("return [...document.querySelectorAll('.tile')].filter(t => !t.hidden).length")


def test_nothing_leaves_the_machine_and_nothing_complains(opened, page):
    """One file is loaded, and the console stays empty."""
    assert opened.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    urls = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert {url for url in urls if not url.startswith("data:")} == {page.as_uri()}


def test_every_picture_loads(opened):
    """Also those below the fold, which load late."""
    script = """
        const done = arguments[0], images = [...document.images];
        images.forEach((image) => { image.loading = "eager"; });
        Promise.all(images.map((image) => image.decode().then(() => image.naturalWidth)))
            .then(done, (error) => done(String(error)));
    """
    widths = opened.execute_async_script(script)
    assert len(widths) > 30
    assert set(widths) == {60}


def test_it_fits_the_screen(opened):
    """Nothing is wider than the screen, and charts are not scaled down to unreadable text."""
    width = opened.execute_script("return document.documentElement.clientWidth")
    assert opened.execute_script("return document.documentElement.scrollWidth") == width
    drawn = opened.execute_script(
        "return [...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().width)"
    )
    assert len(drawn) == 9
    assert min(drawn) > 340


def test_the_colours_follow_the_scheme(opened):
    """Text is dark on light or light on dark, in charts too, with the contrast that WCAG asks for (4.5)."""
    script = """
        const light = (element, name) => {
            const channels = getComputedStyle(element)[name].match(/[\\d.]+/g).slice(0, 3).map((value) => value / 255)
                .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
            return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2];
        };
        const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const paper = light(document.body, "backgroundColor");
        return [paper, contrast(paper, light(document.body, "color")),
            contrast(paper, light(document.querySelector("svg text"), "fill")),
            contrast(paper, light(document.querySelector(".score"), "color"))];
    """
    paper, *contrasts = opened.execute_script(script)
    is_phone = opened.execute_script("return document.documentElement.clientWidth") == 390
    assert (paper < 0.1) if is_phone else (paper > 0.9)
    assert min(contrasts) >= 4.5


def test_filters_work(opened, page):
    """By reason, by label and by id; together they narrow down, and the count is told."""
    total = visible(opened)
    assert total == page.read_text().count('class="tile"')
    opened.execute_script("document.querySelector('[value=quarantined]').click()")
    assert visible(opened) == 1
    assert opened.find_element("css selector", "output").text == f"1 of {total} images"
    opened.execute_script("document.querySelector('[value=duplicate]').click()")
    assert visible(opened) == 3
    opened.execute_script(
        "const s = document.querySelector('[name=label]'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('input', {bubbles: true}))",
        HOSTILE,
    )
    shown = opened.execute_script(
        "return [...document.querySelectorAll('.tile')].filter(t => !t.hidden).map(t => t.dataset.label)"
    )
    assert set(shown) <= {HOSTILE}
    opened.execute_script("document.querySelector('.filters').reset()")
    opened.find_element("css selector", "[type=search]").send_keys("r0001")
    assert visible(opened) == 1


def test_a_click_shows_the_whole_image(opened):
    """In a dialog, with its heatmap, closed again by its button."""
    opened.execute_script("document.querySelector('.tile').click()")
    dialog = opened.find_element("css selector", "dialog")
    assert dialog.is_displayed()
    sources = [image.get_attribute("src") for image in dialog.find_elements("css selector", "img")]
    assert len(sources) == 2 + 4  # four are those near a mistake
    assert float(dialog.find_element("css selector", ".heat").value_of_css_property("opacity")) > 0
    dialog.find_element("css selector", "form button").click()
    assert not dialog.is_displayed()


def test_advice_leads_to_its_images(opened, page):
    """A link sets the gallery's filters, which live in the address: they are there again when it is opened."""
    opened.find_element("css selector", ".advice .alarm a").click()
    opened.implicitly_wait(1)
    chosen = opened.execute_script(
        "return [...document.querySelectorAll('.tile')].filter(t => !t.hidden)"
        ".map(t => [t.dataset.label, t.dataset.reasons])"
    )
    assert chosen
    assert all(label == HOSTILE and "mistake" in reasons.split() for label, reasons in chosen)
    opened.execute_script("document.querySelector('[value=uncertain]').click()")
    address = opened.execute_script("return location.href")
    assert "reason=mistake&reason=uncertain" in address
    n_shown = visible(opened)
    opened.get("about:blank")
    opened.get(address)
    assert visible(opened) == n_shown
    opened.get("about:blank")
    opened.get(page.as_uri())


def test_the_chosen_ids_can_be_taken_along(opened):
    """As a CSV of what the filters leave."""
    opened.execute_script("document.querySelector('[value=quarantined]').click()")
    href = opened.find_element("css selector", ".export").get_attribute("href")
    found = pd.read_csv(io.StringIO(unquote(href.partition(",")[2])))
    assert found["image_id"].tolist() == [HOSTILE]


def test_arrows_go_from_image_to_image(opened):
    """In the dialog, forwards and back, and no further than the ends."""
    from selenium.webdriver.common.keys import Keys

    names = opened.execute_script("return [...document.querySelectorAll('.tile')].map(t => t.dataset.id)")
    opened.execute_script("document.querySelector('.tile').click()")
    seen = []
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_LEFT):
        opened.switch_to.active_element.send_keys(key)
        seen.append(opened.find_element("css selector", "dialog .id").text)
    assert seen == [names[1], names[2], names[1], names[0], names[0]]
    opened.switch_to.active_element.send_keys(Keys.ESCAPE)


def test_the_threshold_s_counts(opened):
    """Of 0.75, where two of three are found and none is wrong; of 0.5, where one of the others is called so, too."""
    script = """
        const slider = document.querySelector("#threshold input"); slider.value = arguments[0];
        slider.dispatchEvent(new Event("input", {bubbles: true}));
        return document.querySelector("#threshold p").textContent;
    """
    assert opened.execute_script(script, 75) == "accuracy 80.0 %, precision 100.0 %, recall 66.7 %, F1 80.0 %"
    assert opened.execute_script(script, 50) == "accuracy 60.0 %, precision 66.7 %, recall 66.7 %, F1 66.7 %"
    assert opened.execute_script(script, 100) == "accuracy 40.0 %, precision none, recall 0.0 %, F1 0.0 %"


def canvas(browser):
    return browser.find_element("css selector", "#map canvas")


def zoom(browser):
    return float(canvas(browser).get_attribute("data-zoom"))


def n_drawn(browser):
    return int(canvas(browser).get_attribute("data-drawn"))


def press(browser, *keys):
    canvas(browser).send_keys(*keys)


def wheel(browser, amount):
    """Turn the wheel over the map's middle, and return the zoom afterwards and how far the page moved."""
    script = """
        const canvas = document.querySelector("#map canvas"), box = canvas.getBoundingClientRect();
        const place = {clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, deltaY: arguments[0]};
        const event = new WheelEvent("wheel", {...place, bubbles: true, cancelable: true});
        canvas.dispatchEvent(event);
        return event.defaultPrevented;
    """
    return browser.execute_script(script, amount), zoom(browser)


def test_the_map_zooms_by_wheel_buttons_and_keys(opened):
    """Less is drawn of a part; the whole map comes back, and then the wheel moves the page again."""
    total = n_drawn(opened)
    assert (zoom(opened), total) == (1, 300)
    assert wheel(opened, -100) == (True, 1.25)
    assert wheel(opened, 100) == (True, 1)
    assert wheel(opened, 100) == (False, 1)
    for label, larger in (("zoom in", True), ("zoom in", True), ("zoom out", False)):
        before = zoom(opened)
        opened.execute_script(f"document.querySelector(\"#map [aria-label='{label}']\").click()")
        assert (zoom(opened) > before) == larger
    press(opened, "+", "+", "+")
    assert zoom(opened) == pytest.approx(1.5**4, abs=0.01)
    assert n_drawn(opened) < total
    press(opened, *"+" * 20)
    assert zoom(opened) == 64
    press(opened, "0")
    assert (zoom(opened), n_drawn(opened)) == (1, total)


def test_arrows_move_the_map_and_enter_names_an_image(opened):
    """No further than its edge: there is always something of the map to see."""
    from selenium.webdriver.common.keys import Keys

    named = opened.find_element("css selector", "#map .named")
    press(opened, "+", "+", "+", "+", Keys.ENTER)
    first = named.text
    press(opened, *[Keys.ARROW_LEFT] * 30, *[Keys.ARROW_UP] * 30, Keys.ENTER)
    second = named.text
    assert first.partition(":")[0] != second.partition(":")[0]
    assert all(", predicted " in text for text in (first, second))
    n_seen = n_drawn(opened)
    press(opened, Keys.ARROW_LEFT, Keys.ARROW_UP)
    assert n_drawn(opened) == n_seen
    press(opened, "0")


def test_the_map_s_colours_are_the_labels(opened, results_of_page):
    """A dot has the colour that the legend gives its label, in the scheme of the page; a chosen label stands alone."""
    script = """
        const canvas = document.querySelector("#map canvas"), pen = canvas.getContext("2d");
        const all = pen.getImageData(0, 0, canvas.width, canvas.height).data, seen = new Set();
        for (let at = 0; at < all.length; at += 4) {
            if (all[at + 3] === 255) seen.add([...all.slice(at, at + 3)].join());
        }
        const legend = [...document.querySelectorAll("#map .legend i")]
            .map((i) => getComputedStyle(i).backgroundColor.match(/\\d+/g).join());
        return legend.map((colour) => seen.has(colour));
    """
    choose = """
        const field = document.querySelector("#map [name=group]"); field.value = arguments[0];
        field.dispatchEvent(new Event("input", {bubbles: true}));
    """
    press(opened, "+")  # opaque pixels are those of mistakes, or where many dots meet
    press(opened, "0")
    assert opened.execute_script(script) == [True, True, True]
    opened.execute_script(choose, "bee")
    assert opened.execute_script(script) == [False, True, False]
    assert n_drawn(opened) == (results_of_page.y == 1).sum()
    opened.execute_script("document.querySelector('#map [name=wrong]').click()")
    decided = results_of_page.p.p.argmax(axis=1)
    assert n_drawn(opened) == ((results_of_page.y == 1) & (decided != 1)).sum() > 0
    assert opened.execute_script("return location.hash") == "#map&group=bee&wrong=on"


def test_the_map_s_filters_live_in_the_address(opened, page, results_of_page):
    """Opened with them, it shows the same; a label that is not there is none."""
    opened.get("about:blank")
    opened.get(f"{page.as_uri()}#map&group=cat")
    assert n_drawn(opened) == (results_of_page.y == 2).sum()
    opened.get("about:blank")
    opened.get(f"{page.as_uri()}#map&group=dog")
    assert n_drawn(opened) == 300


def test_a_click_on_a_point_opens_its_image(opened):
    """Of an image of the gallery, with the training images next to it."""
    from selenium.webdriver.common.action_chains import ActionChains

    names = opened.execute_script("return [...document.querySelectorAll('.tile')].map(t => t.dataset.id)")
    script = """
        const points = JSON.parse(arguments[0].dataset.points), n = points.ids.indexOf(arguments[1]);
        arguments[0].scrollIntoView({block: "center"});
        const share = (value) => 0.03 + 0.94 * value / 1000 - 0.5;
        return [arguments[0].clientWidth * share(points.x[n]), arguments[0].clientHeight * share(1000 - points.y[n])];
    """
    right, down = opened.execute_script(script, canvas(opened), names[0])
    ActionChains(opened).move_to_element_with_offset(canvas(opened), round(right), round(down)).click().perform()
    dialog = opened.find_element("css selector", "dialog")
    assert dialog.is_displayed()
    shown = dialog.find_element("css selector", ".id").text
    assert opened.find_element("css selector", "#map .named").get_property("textContent").startswith(f"{shown}: ")
    dialog.find_element("css selector", "form button").click()


def test_a_mistake_shows_the_training_images_next_to_it(opened):
    """Four pictures with their labels, within the screen; in the gallery itself they stay hidden."""
    assert not opened.find_element("css selector", ".tile .near").is_displayed()
    opened.execute_script("document.querySelector('.tile').click()")
    near = opened.find_elements("css selector", "dialog .near > span")
    assert [one.text.split()[0] for one in near] == [f"near{k}" for k in range(4)]
    assert HOSTILE in near[0].text
    boxes = [one.find_element("css selector", "img").rect for one in near]
    width = opened.execute_script("return document.documentElement.clientWidth")
    assert all(box["width"] > 50 and box["x"] + box["width"] <= width for box in boxes)
    script = "return arguments[0].getBoundingClientRect().bottom <= window.innerHeight"
    assert all(opened.execute_script(script, one) for one in near)  # without a scroll, below the picture
    opened.find_element("css selector", "dialog form button").click()


def test_texts_are_texts(opened):
    """A label or id that looks like markup is shown, never run."""
    assert HOSTILE in opened.find_element("css selector", "h1").text
    assert opened.find_element("css selector", ".summary").text == f"300 rows. Heatmaps of {HOSTILE}."
    assert opened.execute_script("return document.scripts.length") == 1
    assert HOSTILE in opened.find_element("css selector", ".advice .alarm").text


def test_screenshots_can_be_looked_at(opened, tmp_path):
    """PODIUM_SCREENSHOTS names a folder to keep them in."""
    width = opened.execute_script("return document.documentElement.clientWidth")
    data = opened.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})["data"]
    file = Path(os.environ.get("PODIUM_SCREENSHOTS", tmp_path)) / f"report-{width}.png"
    file.write_bytes(base64.b64decode(data))
    assert file.stat().st_size > 20_000
