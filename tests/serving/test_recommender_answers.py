"""Every recommender answers over HTTP what it answers in Python: one process serves them all, another asks."""

import numpy as np
import pytest

from logq.folders import UnknownIdError
from logq.logs import Interactions
from logq.recommenders import ItemKNN, YoutubeDNN
from logq.serving.batching import Question
from logq.serving.open_models import answers_of, open_answers
from recommender_cases import BASELINES, NEURAL, SKIP_GRAM, make, planted_split

NAMES = [*NEURAL, *SKIP_GRAM, *BASELINES]
HISTORY = [103, 110, 117]


@pytest.fixture(scope="module")
def models():
    """All of them, after a moment of training: what they learned does not matter here."""
    train = planted_split().train
    return {name: make(name, **{} if name in BASELINES else {"epochs": 1}).fit(train, progress=False) for name in NAMES}


@pytest.fixture(scope="module")
def service(models, mount, tmp_path_factory):
    """All of them behind one port."""
    folder = tmp_path_factory.mktemp("models")
    for name, model in models.items():
        model.save(folder / name)
    return mount({name: folder / name for name in NAMES})


def pairs(answer, score="score"):
    return [one["item"] for one in answer["items"]], [one[score] for one in answer["items"]]


def same(answer, expected, score="score"):
    """The same items with the same scores, but for what float32 leaves open in batches of other sizes."""
    items, scores = pairs(answer, score)
    kept = [one is not None for one in expected.items]
    np.testing.assert_allclose(scores, expected.scores[kept], rtol=1e-4, atol=1e-5)
    # Equal scores may change places.
    told = dict(zip(items, scores, strict=True))
    for one, value in zip(expected.items[kept].tolist(), expected.scores[kept].tolist(), strict=True):
        assert told.get(one, scores[-1]) == pytest.approx(value, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_python(service, models, name):
    model = models[name]
    same(service.ask(f"/{name}/recommend", user="u3", k=5), model.recommend("u3", 5))
    same(service.ask(f"/{name}/recommend", history=HISTORY, k=5), model.recommend(histories=HISTORY, k=5))
    found = service.ask(f"/{name}/recommend", user="u3", k=4, exclude=[101, 102], exclude_seen=False)
    same(found, model.recommend("u3", 4, exclude=[101, 102], exclude_seen=False))
    found = service.ask(f"/{name}/recommend", user="u3", k=4, allow=[105, 106, 107], exclude_seen=False)
    same(found, model.recommend("u3", 4, allow=[105, 106, 107], exclude_seen=False))
    same(service.ask(f"/{name}/similar", item=103, k=5), model.similar_items(103, 5), "cosine")
    scores = service.ask(f"/{name}/score", user="u3", items=[101, 103])["scores"]
    np.testing.assert_allclose([one["score"] for one in scores], model.score("u3", [101, 103]), rtol=1e-4, atol=1e-5)
    told = service.client.get(f"/{name}/health").json()
    assert (told["family"], told["model"], told["items"]) == ("recommender", name, 20)


def test_what_more_can_be_asked(service, models):
    model = models["YoutubeDNN"]
    found = service.ask("/YoutubeDNN/recommend", user="u3", k=3, diversity=0.5, explain=True)
    expected = model.recommend("u3", 3, diversity=0.5, explain=True)
    same(found, expected)
    assert [one["because"][0]["item"] for one in found["items"]] == expected.reasons.items[:, 0].tolist()
    alike = service.ask("/ItemKNN/similar", user="u3", k=3)["users"]
    assert [one["user"] for one in alike] == models["ItemKNN"].similar_users("u3", 3).items.tolist()
    found = service.ask("/ItemKNN/recommend", history=[103, 999], k=2, unknown="ignore")
    assert found["status"] == "1 unknown item left out"
    # Ids may come as text, as from a form in a page.
    assert service.ask("/EASE/similar", item="103") == service.ask("/EASE/similar", item=103)


def test_unknown_ids_are_named_with_those_like_them(service):
    told = service.refusal("/EASE/recommend", 404, user="u333")
    assert (told["field"], told["got"]) == ("user", "u333")
    assert told["expected"].startswith("one of the 60 users of the log; like it are u33")
    told = service.refusal("/EASE/recommend", 404, history=[103, 9])
    assert (told["field"], told["got"]) == ("history[1]", "9")
    assert service.refusal("/EASE/score", 404, user="u3", items=[103, 10**12])["field"] == "items[1]"
    assert service.refusal("/EASE/recommend", 404, user="u3", exclude=["?"])["field"] == "exclude[0]"
    told = service.refusal("/SASRec/recommend", 422, history=[])
    assert (told["field"], told["expected"]) == ("history", "at least one item for each user")
    told = service.refusal("/EASE/recommend", 422, user="u3", context={"device": "tv"})
    assert told["field"] == "context"


def test_questions_of_one_batch_are_answered_each_for_itself(models):
    """Whatever is asked at the same time, an answer is that of the question alone."""
    answers = answers_of(models["YoutubeDNN"])
    asked = [
        {"user": f"u{number % 7}", "k": 3 + number % 2, **({"exclude": [100 + number]} if number % 3 else {})}
        for number in range(20)
    ]
    asked += [{"history": [103, 110]}, {"user": "nobody"}, {"history": []}, {"user": "u1", "allow": [104]}]
    questions = [Question("/recommend", one) for one in asked]
    questions += [Question("/score", {"user": "u1", "items": [101, 102][:count]}) for count in (1, 2)]
    together = answers.answer(questions)
    assert next(type(one) for one in together if isinstance(one, Exception)) is UnknownIdError
    assert sum(isinstance(one, Exception) for one in together) == 2
    for question, answer in zip(questions, together, strict=True):
        (alone,) = answers.answer([question])
        if isinstance(alone, Exception):
            assert str(answer) == str(alone)
        elif question.path == "/score":
            for one, two in zip(answer["scores"], alone["scores"], strict=True):
                assert one["score"] == pytest.approx(two["score"], rel=1e-5)
        else:
            assert pairs(answer)[0] == pairs(alone)[0]


def test_context_and_features_of_a_batch():
    rng = np.random.default_rng(0)
    log = Interactions.from_frame(
        {
            "user": [f"u{row % 12}" for row in range(120)],
            "item": rng.integers(0, 15, 120),
            "time": np.arange(120),
            "device": rng.choice(["tv", "phone"], 120),
        },
        columns=["device"],
    )
    model = YoutubeDNN(context=["device"], dim=8, hidden=(8,), epochs=1, num_sampled=5, seed=1, patience=None)
    model.fit(log, progress=False)
    answers = answers_of(model)
    asked = [{"user": f"u{number}", "context": {"device": ["tv", "phone"][number % 2]}} for number in range(4)]
    for one, answer in zip(asked, answers.answer([Question("/recommend", one) for one in asked]), strict=True):
        same(answer, model.recommend(one["user"], context=one["context"]))


def test_indexes_answer(models):
    model = models["TwoTower"]
    answers = answers_of(model, [model.index(), model.index(metric="cosine")])
    (one, two) = answers.answer(
        [Question("/recommend", {"user": "u3", "k": 5, "exclude": [101]}), Question("/similar", {"item": 103, "k": 5})]
    )
    same(one, model.recommend("u3", 5, exclude=[101]))
    same(two, model.similar_items(103, 5), "cosine")
    assert answers.about["indexes"] == ["exact by inner_product", "exact by cosine"]
    with pytest.raises(ValueError, match="index: expected one index by inner product, one by cosine"):
        answers_of(model, [model.index(), model.index()])


def test_the_whole_log_answers_and_not_the_part_that_was_learned():
    """As `logq recommend` does: events that training held out count."""
    from logq.folders.recommender_folders import RecommenderFolder

    split = planted_split()
    model = ItemKNN().fit(split.train)
    answers = answers_of(RecommenderFolder(model, split.log, split, None, {}))
    (answer,) = answers.answer([Question("/recommend", {"user": "u3", "k": 5})])
    same(answer, model.recommend("u3", 5, log=split.log))
    assert pairs(answer)[0] != model.recommend("u3", 5).items.tolist()


def test_a_model_that_was_saved_without_its_users_answers_histories(models, tmp_path):
    models["ItemKNN"].save(tmp_path, users=False)
    answers = open_answers(tmp_path)
    answers.rehearse()
    asked = [{"history": [103, 110], "k": 3}, {"user": "u3"}, {"user": "u3", "unknown": "popular", "k": 2}]
    by_history, refused, popular = answers.answer([Question("/recommend", one) for one in asked])
    same(by_history, models["ItemKNN"].recommend(histories=[103, 110], k=3))
    assert "the model was saved without its users" in str(refused)
    assert popular["status"] == "unknown user; popular items instead"
    same(popular, models["ItemKNN"].recommend("nobody", 2, unknown="popular"))
