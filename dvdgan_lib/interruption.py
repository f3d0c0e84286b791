"""Signals that end a training after the step under way: SIGTERM (the batch, Slurm, a Cloud TPU taken back), Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


class InterruptedTrainingError(RuntimeError):
    """Training ended by a signal, after a checkpoint."""

    def __init__(self, message: str, signum: int):
        """signum: the signal; the process exits with 128 + signum."""
        super().__init__(message)
        self.signum = signum


@contextlib.contextmanager
def stop_on_signals() -> Iterator[list[int]]:
    """Collects SIGTERM and SIGINT instead of dying of them; a second Ctrl-C dies. Only the main thread can.

    A second SIGTERM doesn't: where a batch is killed, its jobs can get one from two sides.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def remember(signum: int, _frame: Any) -> None:
        received.append(signum)
        if received.count(signal.SIGINT) > 1:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)

    before = {s: signal.signal(s, remember) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
