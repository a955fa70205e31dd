"""Which processes there are, and whether they have ended (Linux: from /proc)."""

import time
from pathlib import Path


def descendants(pid: int) -> set[int]:
    """Every process under this one now, children's children included."""
    below: dict[int, set[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (found := _state_and_parent(int(entry.name))):
            below.setdefault(found[1], set()).add(int(entry.name))
    found_ids: set[int] = set()
    waiting = [pid]
    while waiting:
        children = below.get(waiting.pop(), set())
        found_ids |= children
        waiting += children
    return found_ids


def left_over(pids: set[int], *, seconds: float) -> set[int]:
    """Those that have not ended within the time; an ended one nobody waited for counts as gone."""
    deadline = time.monotonic() + seconds
    while True:
        running = {pid for pid in pids if (found := _state_and_parent(pid)) and found[0] != "Z"}
        if not running or time.monotonic() >= deadline:
            return running
        time.sleep(0.1)


def _state_and_parent(pid: int) -> tuple[str, int] | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[1])
