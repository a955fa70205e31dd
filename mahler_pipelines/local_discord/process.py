"""The local Discord as a child process that never outlives its parent."""

import atexit
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from mahler_pipelines.errors import BadInput, MahlerError
from mahler_pipelines.local_discord.control import DiscordControl
from mahler_pipelines.local_discord.people import APPLICATION_ID, LOCAL_TOKEN, TOKEN_VARIABLE
from mahler_pipelines.local_discord.server import HOST, READY_FILE

_PR_SET_PDEATHSIG = 1
_STARTUP_SECONDS = 60.0
_STOP_SECONDS = 8.0
LOG_FILE = "discord.log"


class DiscordDidNotStart(MahlerError):
    """The child process ended, or never answered; carries what it wrote."""


class DiscordEnded(MahlerError):
    """The child process ended by itself; carries what it wrote last."""


def die_with_parent(parent: int) -> None:
    """Ask Linux to end this process when its parent ends, and leave at once if it has.

    Elsewhere the parent's `atexit` alone stops the child.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit(0)


class LocalDiscord:
    """Starts the local Discord, waits until it answers, and stops it for sure.

    Start it from a thread that lives as long as it is needed: on Linux the child ends with the
    thread that started it. Use as a context manager, or call `start` and `stop`. One process owns
    a state folder at a time.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        port: int = 0,
        token: str = LOCAL_TOKEN,
        messages_per_window: int = 5,
        window_seconds: float = 5.0,
        requests_per_second: int = 50,
        faults: Path | None = None,
    ) -> None:
        self._state_dir = state_dir
        self._token = token
        self._arguments = ["--state", str(state_dir), "--port", str(port)]
        self._arguments += ["--messages", str(messages_per_window)]
        self._arguments += ["--window", str(window_seconds)]
        self._arguments += ["--per-second", str(requests_per_second)]
        if faults is not None:
            self._arguments += ["--faults", str(faults)]
        self._child: subprocess.Popen[bytes] | None = None
        self._ready: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where its page is, without a trailing slash."""
        if not self._ready:
            raise BadInput("local_discord", "not started", "has no address")
        return f"http://{HOST}:{self._ready['port']}"

    @property
    def api_base(self) -> str:
        """Where REST is: what stands for https://discord.com/api/v10."""
        return f"{self.url}/api/v10"

    @property
    def gateway(self) -> str:
        """Where the gateway is: what stands for wss://gateway.discord.gg/."""
        return f"{self.url.replace('http', 'ws', 1)}/gateway"

    @property
    def public_key(self) -> str:
        """The application's public key, hexadecimal."""
        _ = self.url
        return self._ready["public_key"]

    @property
    def environment(self) -> dict[str, str]:
        """What a desk has to be told to speak to it, under its usual names."""
        return {
            "DISCORD_API_BASE": self.api_base,
            "DISCORD_PUBLIC_KEY": self.public_key,
            "DISCORD_BOT_TOKEN": self._token,
            "DISCORD_APPLICATION_ID": APPLICATION_ID,
        }

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return None if self._child is None else self._child.pid

    @property
    def control(self) -> DiscordControl:
        """A client of its control routes."""
        return DiscordControl(self.url)

    def start(self) -> Self:
        """Start the child and wait until it answers; raise `DiscordDidNotStart` otherwise."""
        if self._child is not None:
            return self
        self._state_dir.mkdir(parents=True, exist_ok=True)
        log = self._state_dir / LOG_FILE
        command = [sys.executable, "-m", "mahler_pipelines.local_discord", *self._arguments]
        with log.open("wb") as output:
            self._child = subprocess.Popen(  # noqa: S603 our own program
                [*command, "--die-with-parent", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(self._token),
                # Ctrl-C is for the parent alone, which stops its children when runs have ended.
                start_new_session=True,
            )
        atexit.register(self.stop)
        try:
            self._ready = self._wait(log)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the child: ask, wait, and kill if it does not listen. Safe to call twice."""
        child, self._child, self._ready = self._child, None, {}
        atexit.unregister(self.stop)
        if child is None or child.poll() is not None:
            return
        child.terminate()
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def require_running(self) -> None:
        """Raise `DiscordEnded`, with the end of its log, when the child is not there any more."""
        if self._child is None or self._child.poll() is not None:
            log = self._state_dir / LOG_FILE
            code = None if self._child is None else self._child.returncode
            raise DiscordEnded(
                f"the local Discord ended with {code}; {log} ends:\n{log.read_text()[-600:]}"
            )

    def _wait(self, log: Path) -> dict[str, str]:
        deadline = time.monotonic() + _STARTUP_SECONDS
        ready = self._state_dir / READY_FILE
        while time.monotonic() < deadline:
            if self._child is None or self._child.poll() is not None:
                raise DiscordDidNotStart(f"the local Discord ended: {log.read_text().strip()}")
            told = json.loads(ready.read_text()) if ready.exists() else {}
            if told.get("pid") == self._child.pid:
                return dict(told)
            time.sleep(0.02)
        raise DiscordDidNotStart(f"no answer in {_STARTUP_SECONDS:.0f} s: {log.read_text()}")


def _environment(token: str) -> dict[str, str]:
    """Return this environment, with the package that the parent runs, and the bot's token.

    The token is no argument: anybody on the machine can read those.
    """
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, TOKEN_VARIABLE: token}
