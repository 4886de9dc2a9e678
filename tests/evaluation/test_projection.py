import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from logq.evaluation import map_layout
from logq.evaluation.map_layout import project


def two_bundles(n=20, dim=10):
    rng = np.random.default_rng(0)
    points = np.concatenate(
        [np.eye(dim)[0] + 0.1 * rng.normal(size=(n, dim)), np.eye(dim)[1] + 0.1 * rng.normal(size=(n, dim))]
    )
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.fixture
def without_opentsne(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        map_layout.importlib.util, "find_spec", lambda name, *rest: None if name == "openTSNE" else find(name, *rest)
    )


@pytest.mark.parametrize("layout", ["pca", "tsne"])
def test_bundles_stay_apart_and_fill_the_square(layout):
    places, used = project(two_bundles(), layout)
    assert used == layout
    assert places.shape == (40, 2)
    assert places.min() == pytest.approx(0)
    assert places.max() == pytest.approx(1)
    first, second = places[:20], places[20:]
    within = max(first.std(axis=0).max(), second.std(axis=0).max())
    assert np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) > 3 * within


@pytest.mark.parametrize("layout", ["pca", "tsne"])
def test_the_same_seed_gives_the_same_picture(layout):
    assert np.array_equal(project(two_bundles(), layout, seed=5)[0], project(two_bundles(), layout, seed=5)[0])


def test_pca_keeps_the_distances_of_a_plane_and_its_shape():
    rng = np.random.default_rng(1)
    plane = rng.normal(size=(30, 2)) * [3.0, 1.0]
    turned = plane @ np.linalg.qr(rng.normal(size=(7, 7)))[0][:2]
    places, _ = project(turned, "pca")
    old = np.linalg.norm(plane[:, None] - plane[None], axis=-1)
    new = np.linalg.norm(places[:, None] - places[None], axis=-1)
    ratio = new[old > 0] / old[old > 0]
    assert ratio.min() == pytest.approx(ratio.max())


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_auto_lays_out_few_words_by_pca(n):
    places, used = project(np.eye(3)[:n], "auto")
    assert used == "pca"
    assert places.shape == (n, 2)
    assert np.isfinite(places).all()


@pytest.mark.parametrize("layout", ["pca", "tsne"])
@pytest.mark.parametrize("points", [np.ones((6, 3)), np.zeros((6, 3)), np.arange(6.0)[:, None]])
def test_words_in_one_place_and_in_one_dimension(layout, points):
    places, _ = project(points, layout)
    assert np.isfinite(places).all()
    assert (places >= 0).all()
    assert (places <= 1).all()


def test_auto_takes_tsne_where_it_is_installed():
    assert project(two_bundles(), "auto")[1] == "tsne"


@pytest.mark.usefixtures("without_opentsne")
def test_auto_does_without_opentsne():
    assert project(two_bundles(), "auto")[1] == "pca"


@pytest.mark.usefixtures("without_opentsne")
def test_tsne_without_opentsne_says_what_to_install():
    with pytest.raises(ImportError, match=r"pip install 'logq\[map\]'"):
        project(two_bundles(), "tsne")


def test_opentsne_is_not_loaded_for_pca():
    code = (
        "import numpy, sys; from logq.evaluation.map_layout import project;"
        "project(numpy.eye(5), 'pca'); print('openTSNE' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("layout", "seed", "message"),
    [("umap", 0, "layout: expected one of auto, tsne, pca, got 'umap'"), ("pca", -1, "seed")],
)
def test_bad_arguments_are_named(layout, seed, message):
    with pytest.raises(ValueError, match=message):
        project(two_bundles(), layout, seed=seed)


def test_tsne_of_three_words_is_refused():
    with pytest.raises(ValueError, match="'pca' for fewer than 4 points"):
        project(np.eye(3), "tsne")
