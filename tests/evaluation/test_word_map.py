import errno
import html.parser
import json
import os
import re

import numpy as np
import pytest

from logq.evaluation import word_map
from logq.vectors import KeyedVectors


class Page(html.parser.HTMLParser):
    """What a browser makes of the file: its scripts, its texts, and whatever it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.texts: dict[str, str] = {}
        self.loads: list[str] = []
        self._tag = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self._tag = tag
        if tag == "script":
            self.scripts.append("")
        self.loads += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        self._tag = ""

    def handle_data(self, data):
        if self._tag == "script":
            self.scripts[-1] += data
        elif self._tag:
            self.texts[self._tag] = self.texts.get(self._tag, "") + data

    @property
    def data(self):
        return json.loads(self.scripts[0])


def some_vectors(words=60, dim=8, counts=True, names=None):
    rng = np.random.default_rng(0)
    names = names or [f"w{i}" for i in range(words)]
    falling = np.arange(words, 0, -1) * 10
    return KeyedVectors(names, rng.normal(size=(words, dim)).astype(np.float32), counts=falling if counts else None)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "map.html"


def draw(vectors, path, **arguments):
    word_map(vectors, path, **{"layout": "pca"} | arguments)
    return Page(path.read_text(encoding="utf-8"))


def test_neighbors_are_those_of_a_plain_loop(path):
    vectors = some_vectors()
    data = draw(vectors, path, top=40).data
    unit = [v / np.linalg.norm(v) for v in vectors.vectors[:40]]
    for word in range(40):
        cosines = sorted(
            ((float(unit[word] @ unit[other]), other) for other in range(40) if other != word), reverse=True
        )
        assert data["near"][word] == [other for _, other in cosines[:8]]
        assert data["similarity"][word] == pytest.approx([1000 * cosine for cosine, _ in cosines[:8]], abs=0.51)


def test_neighbors_agree_with_most_similar(path):
    vectors = some_vectors(20)
    data = draw(vectors, path).data
    for word, near in zip(data["words"], data["near"], strict=True):
        assert [data["words"][other] for other in near] == [other for other, _ in vectors.most_similar(word, topn=8)]


def test_the_most_frequent_words_are_drawn(path):
    vectors = KeyedVectors(["a", "b", "c", "d"], np.eye(4, dtype=np.float32), counts=np.array([5, 9, 1, 7]))
    data = draw(vectors, path, top=3).data
    assert data["words"] == ["b", "d", "a"]
    assert data["count"] == [9, 7, 5]
    assert data["vocabulary"] == 4


def test_without_counts_the_first_words_are_drawn(path):
    data = draw(some_vectors(counts=False), path, top=3).data
    assert data["words"] == ["w0", "w1", "w2"]
    assert data["count"] is None


def test_everything_has_a_place_a_group_and_the_group_a_name(path):
    data = draw(some_vectors(), path).data
    for axis in "xy":
        assert len(data[axis]) == 60
        assert 0 <= min(data[axis]) <= max(data[axis]) <= 9999
    assert sorted(set(data["group"])) == list(range(len(data["names"])))
    for group, members in enumerate(data["names"]):
        assert members
        assert {data["group"][word] for word in members} == {group}


def test_a_group_is_named_by_its_frequent_and_typical_words(path):
    near_one_way = [[1.0, 0.02], [1.0, 0.0], [1.0, 0.01]]
    rows = [*near_one_way, *([y, x] for x, y in near_one_way)] * 3
    names = [f"w{i}" for i in range(len(rows))]
    counts = np.where(np.arange(len(rows)) == 15, 100_000, 3)  # less typical than others, but so frequent
    data = draw(KeyedVectors(names, np.array(rows), counts=counts), path).data
    assert data["words"][0] == "w15"
    assert data["names"][data["group"][0]][0] == 0


NASTY = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]>",
    "&lt;",
    '"',
    "'",
    "\\",
    "{{title}}",
    "\u2028",
    "日本",
    "😀",
    "",
]


def test_words_can_be_anything(path):
    vectors = some_vectors(len(NASTY), names=NASTY)
    page = draw(vectors, path, title="</title><script>{{data}} & more")
    assert page.data["words"] == NASTY
    assert len(page.scripts) == 2, "the data and the program, and nothing that a word brought along"
    assert page.texts["title"] == page.texts["h1"] == "</title><script>{{data}} & more"
    assert not re.search(r"<(?!/?[a-z!])", page.scripts[0])
    assert "<" not in page.scripts[0]


def test_the_page_needs_no_network(path):
    page = draw(some_vectors(), path)
    assert page.loads == []
    text = path.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]|@import|url\(|fetch\(|XMLHttpRequest", text)
    assert "{{" not in text


def test_five_hundred_words_stay_small(path):
    draw(some_vectors(600), path)
    assert path.stat().st_size < 200_000


def test_the_same_seed_gives_the_same_file(path, tmp_path):
    for layout in ("pca", "tsne"):
        word_map(some_vectors(), path, layout=layout, seed=3)
        word_map(some_vectors(), tmp_path / "again.html", layout=layout, seed=3)
        assert path.read_bytes() == (tmp_path / "again.html").read_bytes()


def test_the_layout_is_told(path):
    assert word_map(some_vectors(), path) == "tsne"
    assert Page(path.read_text(encoding="utf-8")).data["layout"] == "tsne"
    assert word_map(some_vectors(), path, layout="pca") == "pca"


@pytest.mark.parametrize("words", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("dim", [1, 3])
def test_few_words(path, words, dim):
    data = draw(some_vectors(words, dim), path, layout="auto").data
    assert len(data["words"]) == words
    assert {len(row) for row in data["near"]} == {min(8, words - 1)}


def test_a_word_without_direction_is_not_nan(path):
    vectors = KeyedVectors(["nought", "one", "two"], np.array([[0, 0], [1, 0], [1, 1]], dtype=np.float32))
    data = draw(vectors, path).data
    assert data["similarity"] == [[0, 0], [707, 0], [707, 0]]


def test_a_failure_leaves_the_old_map(path):
    path.write_text("old")
    with pytest.raises(ValueError, match="layout"):
        word_map(some_vectors(), path, layout="umap")
    assert path.read_text() == "old"
    assert [file.name for file in path.parent.iterdir()] == ["map.html"]


def test_a_disk_that_fails_leaves_the_old_map(path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    path.write_text("old")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="Input/output"):
        draw(some_vectors(), path)
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [({"top": 0}, ValueError, "top"), ({"top": 2.5}, TypeError, "top"), ({"seed": -1}, ValueError, "seed")],
)
def test_bad_arguments_are_named(path, arguments, error, message):
    with pytest.raises(error, match=message):
        word_map(some_vectors(), path, **arguments)
    assert not path.exists()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        word_map(some_vectors(), tmp_path / "nowhere" / "map.html", layout="pca")


def test_no_words_have_no_map(tmp_path):
    with pytest.raises(ValueError, match="vectors: expected at least one word, got none"):
        word_map(KeyedVectors([], np.zeros((0, 3))), tmp_path / "map.html")


def luminance(color):
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(path, theme):
    """By 4.5 to 1 at least, as WCAG 2.2 asks of text (1.4.3): names of points too, in the colors of their groups."""
    draw(some_vectors(3), path)
    text = path.read_text(encoding="utf-8")
    block = re.search(r":root \{(.*?)\}" if theme == "light" else r'\[data-theme="dark"\] \{(.*?)\}', text, re.S)[1]
    colors = dict(re.findall(r"--(\w+): (#\w{6})", block))
    card = re.search(r"--card: rgb\((\d+) (\d+) (\d+) ", block)
    grounds = [colors["paper"], "#" + "".join(f"{int(part):02x}" for part in card.groups()), colors["hover"]]
    inks = json.loads(re.search(rf"{theme}: (\[.*?\])", text)[1])
    assert len(inks) == 10
    for ground in grounds:
        used = [colors[name] for name in ("ink", "soft", "accent", "alarm")] + (inks if ground != grounds[2] else [])
        for color in used:
            light, dark = sorted((luminance(color), luminance(ground)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (color, ground)
