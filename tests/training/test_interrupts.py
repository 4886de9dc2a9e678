import signal
import threading

import pytest

from logq.training.interrupts import uninterrupted


def interrupt():
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def handler():
    """A test runner in the background may ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_waits_for_the_end_of_the_block(handler):
    steps = []

    def work():
        with uninterrupted():
            interrupt()
            steps.append("the rest")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == ["the rest"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_second_ctrl_c_does_not_wait(handler):
    steps = []

    def work():
        with uninterrupted():
            interrupt()
            interrupt()
            steps.append("the rest")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == []
    assert signal.getsignal(signal.SIGINT) is handler


def test_another_error_goes_on(handler):
    def work():
        with uninterrupted():
            interrupt()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert signal.getsignal(signal.SIGINT) is handler


def test_who_ignores_ctrl_c_goes_on_ignoring_it():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with uninterrupted():
        interrupt()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_are_let_alone():
    done = []

    def work():
        with uninterrupted():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
