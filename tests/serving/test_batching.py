"""What many clients ask at once is answered together, each as if it had asked alone."""

import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from logq.serving import ServingLimits
from logq.serving.batching import Batcher, Busy, Question


class Slow:
    """Answers with what was asked, and notes how many questions came together; waits until it is let go."""

    def __init__(self):
        self.sizes, self.go = [], threading.Event()

    def __call__(self, questions):
        self.go.wait(30)
        self.sizes.append(len(questions))
        return [ValueError("odd") if question.asked["n"] == 13 else question.asked for question in questions]


def test_what_waits_is_answered_together_up_to_the_limit():
    slow = Slow()
    batcher = Batcher(slow, ServingLimits(rows=8))
    futures = [batcher.submit(Question("/x", {"n": 0}))]
    while batcher.waiting:  # the first one is being answered
        time.sleep(0.001)
    futures += [batcher.submit(Question("/x", {"n": number})) for number in range(1, 21)]
    assert batcher.waiting == 20
    slow.go.set()
    answers = [future.exception(30) or future.result() for future in futures]
    batcher.close()
    assert slow.sizes == [1, 8, 8, 4]
    assert [str(answer) if number == 13 else answer["n"] for number, answer in enumerate(answers)] == [
        "odd" if number == 13 else number for number in range(21)
    ]


def test_too_many_are_refused_and_the_cancelled_are_left_out():
    slow = Slow()
    batcher = Batcher(slow, ServingLimits(waiting=3))
    first = batcher.submit(Question("/x", {"n": 0}))
    while batcher.waiting:
        time.sleep(0.001)
    others = [batcher.submit(Question("/x", {"n": number})) for number in (1, 2, 3)]
    with pytest.raises(Busy):
        batcher.submit(Question("/x", {"n": 4}))
    others[1].cancel()
    slow.go.set()
    assert first.result(30) == {"n": 0}
    assert [others[0].result(30), others[2].result(30)] == [{"n": 1}, {"n": 3}]
    with pytest.raises(CancelledError):
        others[1].result(30)
    assert slow.sizes == [1, 2]
    batcher.close()
    with pytest.raises(Busy):
        batcher.submit(Question("/x", {"n": 5}))


def test_closing_answers_what_waits():
    slow = Slow()
    batcher = Batcher(slow, ServingLimits())
    futures = [batcher.submit(Question("/x", {"n": number})) for number in range(5)]
    ends = threading.Thread(target=batcher.close)
    ends.start()
    slow.go.set()
    ends.join(30)
    assert [future.result(0)["n"] for future in futures] == [0, 1, 2, 3, 4]


def test_an_answer_that_fails_wholly_fails_for_each():
    def broken(questions):
        raise RuntimeError("no model")

    batcher = Batcher(broken, ServingLimits())
    with pytest.raises(RuntimeError, match="no model"):
        batcher.submit(Question("/x", {})).result(30)
    batcher.close()


def test_many_threads_each_get_their_own():
    batcher = Batcher(lambda questions: [question.asked for question in questions], ServingLimits(rows=16, wait=0.0))

    def ask(number):
        return [batcher.submit(Question("/x", {"n": (number, step)})).result(30)["n"] for step in range(50)]

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(16))) == [[(number, step) for step in range(50)] for number in range(16)]
    batcher.close()
