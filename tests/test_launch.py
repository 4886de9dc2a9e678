"""What torchrun says of a process, and what a process does of which there are several."""

import pytest

from logq import Popularity
from logq._launch import World, check_alone, launched
from logq._progress import Progress, say
from logq.language_models import NGram
from logq.recommenders import ALS, EASE, ItemKNN
from recommender_cases import planted_log


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process as the second of three, on a machine of its own."""
    for name, value in {"WORLD_SIZE": "3", "RANK": "1", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("second")
def test_rank_and_size_are_those_of_torchrun() -> None:
    assert launched() == World(1, 3, 0)
    assert not launched().is_first


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "many"}, "WORLD_SIZE: expected an integer, as torchrun sets it, got 'many'"),
        ({"WORLD_SIZE": "2"}, r"RANK: expected an integer in \[0, 2\), as WORLD_SIZE is 2, got None"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, r"RANK: expected an integer in \[0, 2\), as WORLD_SIZE is 2, got '2'"),
    ],
)
def test_wrong_variables(variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        launched()


@pytest.mark.usefixtures("second")
@pytest.mark.parametrize(
    "fit",
    [
        lambda: NGram().fit("no such file"),
        *(lambda kind=kind: kind().fit(planted_log()) for kind in (ALS, EASE, ItemKNN, Popularity)),
    ],
)
def test_what_several_cannot_fit_together_is_refused_before_anything_is_read(fit) -> None:
    with pytest.raises(ValueError, match=r"WORLD_SIZE: expected 1 for \w+, got 3; start it without torchrun"):
        fit()


@pytest.mark.usefixtures("second")
def test_only_the_first_shows_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for rank, shows in (("1", False), ("0", True)):
        monkeypatch.setenv("RANK", rank)
        say("here")
        with Progress(1, "steps", "training", enabled=True) as bar:
            bar.advance(1)
        assert ("here" in capsys.readouterr().err) == shows


@pytest.mark.usefixtures("second")
def test_only_the_first_saves(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    model = Popularity().fit(planted_log())
    monkeypatch.setenv("WORLD_SIZE", "3")
    model.save(tmp_path)
    assert not [*tmp_path.iterdir()]
    monkeypatch.setenv("RANK", "0")
    model.save(tmp_path)
    assert (tmp_path / "model.safetensors").exists()


def test_one_process_may_do_anything() -> None:
    check_alone("Word2Vec")
