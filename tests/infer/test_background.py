import threading
import time

import pytest

from talkjax.infer.background import background


def test_items_keep_their_order():
    assert list(background(iter(range(200)), depth=3)) == list(range(200))


def test_no_more_than_depth_items_wait():
    made = []

    def items():
        for number in range(50):
            made.append(number)
            yield number

    ahead = background(items(), depth=4)
    assert next(ahead) == 0
    time.sleep(0.3)
    assert len(made) <= 1 + 4 + 1
    assert list(ahead) == list(range(1, 50))


def test_an_error_arrives_after_the_items_before_it():
    def items():
        yield 1
        raise OSError("broken file")

    ahead = background(items(), depth=4)
    assert next(ahead) == 1
    with pytest.raises(OSError, match="broken file"):
        next(ahead)


def test_a_reader_that_leaves_ends_the_chain_of_threads():
    closed = []

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.append(threading.current_thread().name)

    before = threading.active_count()
    chain = background(background(items(), depth=2), depth=2)
    next(chain)
    chain.close()
    assert len(closed) == 1
    assert threading.active_count() == before
