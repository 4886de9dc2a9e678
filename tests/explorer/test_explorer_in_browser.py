"""Pages as people use them: a browser without a window clicks, types, and looks at what is told."""

import json
import re
import signal
import time

import numpy as np
import pytest

from browser import show, start_browser, until
from logq import EASE, Interactions, ItemKNN, KeyedVectors, evaluation
from logq.explorer import write_explorer
from logq.folders.recommender_folders import save_titles
from serving_process import Service

pytestmark = pytest.mark.slow

FRAME = 100  # milliseconds of processor time that a frame may take, far more than it does


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = start_browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.quit()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two recommenders with titles, in folders."""
    rng = np.random.default_rng(0)
    sessions = [[f"i{(begin + step) % 40}" for step in range(6)] for begin in rng.integers(40, size=200)]
    folder = tmp_path_factory.mktemp("models")
    for name, model in (("knn", ItemKNN()), ("ease", EASE())):
        model.fit(Interactions.from_sessions(sessions)).save(folder / name)
        save_titles(folder / name, [f"Film {one[1:]}" for one in model.item_ids.tolist()])
    return folder


@pytest.fixture(scope="module")
def words():
    rng = np.random.default_rng(1)
    names = ["king", "queen", "man", "woman", *(f"word{one}" for one in range(200))]
    rows = [[3, 0, 3, 1], [0, 3, 3, 1], [3, 0, 0, 1], [0, 3, 0, 1], *rng.normal(size=(200, 4))]
    return KeyedVectors(names, np.array(rows), counts=np.arange(204, 0, -1))


def find(browser, selector):
    return browser.find_element("css selector", selector)


def texts(browser, selector):
    return [one.text for one in browser.find_elements("css selector", selector)]


def quiet(browser):
    """Nothing was said on the console, such as an error or a request that the policy forbids."""
    return [one for one in browser.get_log("browser") if "favicon" not in one["message"]]


def click_point(browser, name):
    """Click on a point of the map, where the page says that it is, once nothing moves any more."""
    from selenium.webdriver import ActionChains

    def place():
        return browser.execute_script("return document.getElementById('map').positionOf(arguments[0])", name)

    before = None
    while (now := place()) != before:
        before = now
        time.sleep(0.2)
    x, y = (round(value) for value in now)
    size = browser.execute_script("return [innerWidth, innerHeight]")
    offset = (x - size[0] // 2, y - size[1] // 2)
    ActionChains(browser).move_to_element_with_offset(find(browser, "#map"), *offset).click().perform()


def press(browser, *keys):
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def test_the_word_is_added_whose_letters_were_typed(browser, tmp_path):
    """A text has King and king, of which King is the more frequent one."""
    rows = np.random.default_rng(0).normal(size=(30, 4))
    words = KeyedVectors(["King", "king", *(f"word{one}" for one in range(28))], rows)
    write_explorer(words, tmp_path / "page.html", layout="pca")
    show(browser)
    browser.get(f"file://{tmp_path}/page.html")
    find(browser, "#added").send_keys("king\n")
    until(lambda: texts(browser, "#asked li"))
    assert texts(browser, "#asked li > :nth-child(2)") == ["king"]
    find(browser, "#added").send_keys("KING\n")
    until(lambda: len(texts(browser, "#asked li")) == 2)
    assert texts(browser, "#asked li > :nth-child(2)") == ["king", "King"]
    assert not quiet(browser)


def test_a_history_is_built_by_clicking_and_two_models_answer(browser, models):
    service = Service(
        ["-m", "logq", "explore", models / "knn", models / "ease", "--port", "0", "--layout", "pca"],
        pattern=r"Open (http://\S+) in",
    )
    try:
        show(browser)
        browser.get(service.url)
        until(lambda: "40 items" in find(browser, "#about").text)
        click_point(browser, "i3")
        until(lambda: texts(browser, ".word b"))
        chosen = texts(browser, ".word b")[0]  # the point, or one beside it whose name covers it
        find(browser, ".acts button").click()
        until(lambda: texts(browser, "#asked li"))
        assert chosen in texts(browser, "#asked li")[0]
        until(lambda: len(texts(browser, "#answers > div")) == 2 and texts(browser, "#answers li"))
        item = "i" + chosen.split()[1]
        for column, path in ((1, "/recommend"), (2, "/beside/recommend")):
            told = service.ask(path, history=[item], k=10, explain=True)["items"]
            rows = f"#answers > div:nth-child({column}) li"
            assert texts(browser, f"{rows} .go") == [one["title"] for one in told]
            assert chosen in texts(browser, f"{rows} .why")[0]
        # One of the recommendations is added, then the first item removed.
        best = texts(browser, "#answers > div:first-child .go")[0]
        find(browser, "#answers > div:first-child li .small").click()
        until(lambda: len(texts(browser, "#asked li")) == 2)
        assert best in texts(browser, "#asked li")[1]
        find(browser, "#asked li:first-child .small").click()
        until(lambda: len(texts(browser, "#asked li")) == 1)
        # An id that the models do not know is told.
        find(browser, "#added").send_keys("gold\n")
        until(lambda: "1 unknown item left out." in " ".join(texts(browser, "#answers .hint")))
        find(browser, "#clear").click()
        until(lambda: not texts(browser, "#asked li"))
        assert not quiet(browser)
        # Where the process is gone, the page says so.
        service.end(signal.SIGKILL)
        find(browser, "#added").send_keys("i1\n")
        until(lambda: "does not answer" in find(browser, "#asking-trouble").text)
    finally:
        service.end(signal.SIGKILL)
        browser.get_log("browser")


def test_a_file_answers_alone_and_says_what_it_cannot(browser, models, tmp_path):
    write_explorer(models / "knn", tmp_path / "page.html", layout="pca")
    show(browser)
    browser.get(f"file://{tmp_path}/page.html")
    model = ItemKNN.load(models / "knn")
    find(browser, "#added").send_keys("film 5\n")
    until(lambda: texts(browser, "#answers .go"))
    best = [f"Film {one[1:]}" for one in model.recommend(histories=[["i5"]], k=10).items[0] if one is not None]
    assert texts(browser, "#answers .go") == best
    assert "What knn itself recommends after this one item" in find(browser, "#asking-how").text
    find(browser, "#added").send_keys("i8\n")
    until(lambda: "Not the ranking of the model" in find(browser, "#asking-how").text)
    assert "Film 5" in find(browser, "#answers .why").text or "Film 8" in find(browser, "#answers .why").text
    find(browser, "#added").send_keys("gold\n")
    assert "“gold” is not among the 40 items" in find(browser, "#asking-trouble").text
    assert not quiet(browser)


def test_words_are_summed_by_keys_alone(browser, words, tmp_path):
    from selenium.webdriver import Keys

    write_explorer(words, tmp_path / "page.html", layout="pca")
    show(browser)
    browser.get(f"file://{tmp_path}/page.html")
    press(browser, "/")
    press(browser, "king", Keys.ENTER)
    until(lambda: texts(browser, ".word b") == ["king"])
    press(browser, "a")
    until(lambda: len(texts(browser, "#asked li")) == 1)
    for word in ("-man", "woman"):
        find(browser, "#added").send_keys(word, Keys.ENTER)
    until(lambda: len(texts(browser, "#asked li")) == 3)
    until(lambda: texts(browser, "#answers .go"))
    expected = words.most_similar(["king", "woman"], ["man"], topn=10)
    assert texts(browser, "#answers .go")[:3] == [word for word, _ in expected[:3]]
    told = [float(one) for one in texts(browser, "#answers .answer > .number:nth-child(4)")]
    assert told == pytest.approx([cosine for _, cosine in expected], abs=0.011)
    assert "rounded to 8 bits" in find(browser, "#asking-how").text
    assert expected[0][0] in find(browser, "#said").get_attribute("textContent")
    press(browser, Keys.ESCAPE)
    assert not quiet(browser)


def test_a_map_is_searched_grouped_and_left_dark(browser, words, tmp_path):
    evaluation.word_map(words, tmp_path / "map.html", layout="pca")
    show(browser, dark=True)
    browser.get(f"file://{tmp_path}/map.html")
    assert browser.execute_script("return document.documentElement.dataset.theme") == "dark"
    find(browser, ".row.group").click()
    assert find(browser, ".row.group").get_attribute("aria-pressed") == "true"
    press(browser, "t")
    assert browser.execute_script("return document.documentElement.dataset.theme") == "light"
    press(browser, "t")
    find(browser, "#query").send_keys("wom")
    until(lambda: texts(browser, "#matches li") == ["woman"])
    find(browser, "#query").send_keys("\n")
    until(lambda: texts(browser, ".word b") == ["woman"])
    assert texts(browser, "#panel .row > :nth-child(2)") == [word for word, _ in words.most_similar("woman", topn=8)]
    assert browser.current_url.endswith("#woman")
    assert not quiet(browser)


def test_on_a_phone_nothing_leaves_the_screen(browser, models, tmp_path):
    write_explorer(models / "knn", tmp_path / "page.html", models / "ease", layout="pca")
    show(browser, width=390, height=844, phone=True, ratio=2)
    browser.get(f"file://{tmp_path}/page.html")
    assert find(browser, "#side").is_displayed()
    assert not find(browser, "#asking").is_displayed()
    find(browser, "#tab-asking").click()
    assert not find(browser, "#side").is_displayed()
    find(browser, "#added").send_keys("film 5\n")
    until(lambda: texts(browser, "#answers .go"))
    width = browser.execute_script("return document.documentElement.scrollWidth")
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('button, input, .card')].filter(one => one.offsetParent)"
        ".map(one => one.getBoundingClientRect()).map(box => [box.left, box.right])"
    )
    assert width == 390
    assert all(left >= -1 and right <= 391 for left, right in boxes)

    def lowest() -> float:
        place = "const at = document.querySelector('#map').positionOf(`i${one}`); return at ? at[1] : 0"
        return max(browser.execute_script(f"const one = arguments[0]; {place}", one) for one in range(30))

    until(lambda: 0 < lowest() < find(browser, "#sheet").rect["y"])  # which has grown, and the map went up


def test_everything_that_can_be_pressed_has_a_name(browser, models, tmp_path):
    write_explorer(models / "knn", tmp_path / "page.html", layout="pca")
    show(browser)
    browser.get(f"file://{tmp_path}/page.html#i4")
    find(browser, "#added").send_keys("film 5\n")
    until(lambda: texts(browser, "#answers .go"))
    for one in browser.find_elements("css selector", "button, input, canvas[role], ul[role]"):
        if one.is_displayed():
            assert one.accessible_name.strip(), one.get_attribute("outerHTML")


def test_a_hundred_thousand_points_stay_smooth(browser, tmp_path):
    """Processor time of a frame, which other programs on the machine do not change much."""
    rng = np.random.default_rng(0)
    count = 100_000
    data = {
        "kind": "word", "layout": "pca", "vocabulary": count, "dimensions": 2, "ids": None, "explore": None,
        "words": [f"word{one}" for one in range(count)], "count": list(range(count, 0, -1)),
        "x": rng.integers(10_000, size=count).tolist(), "y": rng.integers(10_000, size=count).tolist(),
        "group": rng.integers(8, size=count).tolist(), "names": [[one] for one in range(8)],
        "near": [[0]] * count, "similarity": [[500]] * count,
    }  # fmt: skip
    evaluation.word_map(KeyedVectors(["a"], [[1.0]]), tmp_path / "map.html", layout="pca")
    page = (tmp_path / "map.html").read_text(encoding="utf-8")
    page = re.sub(
        '(type="application/json">).*?</script>', lambda found: f"{found[1]}{json.dumps(data)}</script>", page
    )
    (tmp_path / "map.html").write_text(page, encoding="utf-8")
    show(browser)
    browser.get(f"file://{tmp_path}/map.html")
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})

    def seconds():
        told = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return next(one["value"] for one in told if one["name"] == "ScriptDuration")

    script = """
    const [frames, done] = arguments, map = document.getElementById("map");
    let turn = 0;
    requestAnimationFrame(function step() {
      const deltaY = turn % 40 < 20 ? -40 : 40;
      map.dispatchEvent(new WheelEvent("wheel", { deltaY, clientX: 700, clientY: 400, cancelable: true }));
      if (++turn < frames) requestAnimationFrame(step); else done();
    });
    """
    browser.execute_async_script(script, 40)  # names find their places
    before = seconds()
    browser.execute_async_script(script, 40)
    assert 1000 * (seconds() - before) / 40 < FRAME
