"""A checkpoint is written beside the training, one at a time, and what goes wrong there is heard of."""

import logging
import threading

import pytest

from pretrain.training.background import BackgroundWriter


def test_the_training_goes_on_while_a_write_lasts_and_the_next_one_waits_for_it():
    writer, may_end, written = BackgroundWriter(), threading.Event(), []

    def write() -> None:
        may_end.wait(60)
        written.append(True)

    writer.start(write)
    assert not written, "start has returned, the write has not"
    assert not writer.failed
    with pytest.raises(AssertionError):
        writer.start(write)
    may_end.set()
    assert writer.wait() is None
    assert written == [True]
    writer.start(write)
    assert writer.wait() is None


def test_a_full_disk_is_seen_without_waiting_and_said_once(caplog):
    writer = BackgroundWriter()

    def write() -> None:
        raise OSError(28, "No space left on device")

    writer.start(write)
    writer.settle()
    assert writer.failed
    assert "No space left on device" in caplog.text
    assert "No space left" in str(writer.wait())
    assert not writer.failed
    assert writer.wait() is None


def test_a_fault_of_the_program_is_raised_not_told(caplog):
    caplog.set_level(logging.WARNING)
    writer = BackgroundWriter()
    writer.start(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        writer.wait()
    assert not caplog.records
