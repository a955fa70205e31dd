"""Ctrl-C during a run.

Dagster keeps an interrupt inside the job that it met: the job fails or goes on, and the program
would play the next one. So the signal is also written down where Dagster doesn't look.
"""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

STOPPING = frozenset({signal.SIGINT, signal.SIGTERM})


@contextmanager
def noticed_interrupts() -> Iterator[Callable[[], None]]:
    """Yield a check that raises `KeyboardInterrupt` when SIGINT or SIGTERM has come meanwhile.

    For the main thread; SIGTERM interrupts like Ctrl-C inside the block.
    """
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)

    def check() -> None:
        with suppress(BlockingIOError):
            if STOPPING.intersection(reader.recv(4096)):
                raise KeyboardInterrupt

    woken = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    terminated = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield check
    finally:
        signal.signal(signal.SIGTERM, terminated)
        signal.set_wakeup_fd(woken)
        reader.close()
        writer.close()
