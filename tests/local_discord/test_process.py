"""The local Discord as a child process: it starts, keeps its state, and never stays behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from mahler_pipelines.errors import BadInput, CorruptData
from mahler_pipelines.local_discord.control import DiscordControl, DiscordUnavailable
from mahler_pipelines.local_discord.keys import KEY_FILE, ApplicationKey
from mahler_pipelines.local_discord.people import APPLICATION_ID, CHANNEL_ID
from mahler_pipelines.local_discord.process import DiscordDidNotStart, LocalDiscord
from mahler_pipelines.local_discord.store import STATE_FILE, Store


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie that nobody has waited for counts as ended."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_child_answers_keeps_its_state_and_owns_its_folder(tmp_path: Path) -> None:
    token = "some.made.up"
    with LocalDiscord(tmp_path, token=token, messages_per_window=3) as local:
        told = local.environment
        assert told["DISCORD_API_BASE"] == f"{local.url}/api/v10"
        assert told["DISCORD_APPLICATION_ID"] == APPLICATION_ID
        assert told["DISCORD_PUBLIC_KEY"] == local.control.status()["public_key"]
        headers = {"Authorization": f"Bot {told['DISCORD_BOT_TOKEN']}"}
        path = f"{local.api_base}/channels/{CHANNEL_ID}/messages"
        sent = httpx.post(path, json={"content": "x"}, headers=headers, trust_env=False)
        assert sent.headers["X-RateLimit-Limit"] == "3"
        with pytest.raises(DiscordDidNotStart, match="another local Discord runs on it"):
            LocalDiscord(tmp_path).start()
        assert token not in Path(f"/proc/{local.pid}/cmdline").read_text()
        ready = json.loads((tmp_path / "discord.json").read_text())
        assert (ready["pid"], ready["public_key"]) == (local.pid, told["DISCORD_PUBLIC_KEY"])
        pid = ready["pid"]
    assert gone(pid)
    assert not (tmp_path / "discord.json").exists()
    assert token not in (tmp_path / "discord.log").read_text()
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    with LocalDiscord(tmp_path) as local:
        assert [one["content"] for one in local.control.messages()] == ["x"]
        assert local.public_key == told["DISCORD_PUBLIC_KEY"]


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_killed_parent_leaves_no_process(tmp_path: Path) -> None:
    program = (
        "import time; from pathlib import Path;"
        "from mahler_pipelines.local_discord.process import LocalDiscord;"
        f"d = LocalDiscord(Path({str(tmp_path)!r})).start();"
        "print(d.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
        assert gone(child)


def test_child_that_can_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(DiscordDidNotStart, match="No such file"):
        LocalDiscord(tmp_path, faults=tmp_path / "none.json").start()


def test_spoiled_state_is_loud(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(CorruptData, match="no Ed25519 key"):
        ApplicationKey.open(tmp_path)
    (tmp_path / STATE_FILE).write_bytes(b"this is no database, and long enough to be seen as one")
    with pytest.raises(CorruptData):
        Store(tmp_path)


def test_signatures_are_over_timestamp_and_body(tmp_path: Path) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = ApplicationKey.open(tmp_path)
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.public_hex))
    signature = bytes.fromhex(key.sign("1700000000", b"{}"))
    public.verify(signature, b"1700000000{}")
    with pytest.raises(InvalidSignature):
        public.verify(signature, b"1700000001{}")
    assert ApplicationKey.open(tmp_path).public_hex == key.public_hex


def test_a_control_that_nobody_answers() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(DiscordUnavailable, match="does not answer"):
        DiscordControl(f"http://127.0.0.1:{port}").status()
    with pytest.raises(BadInput, match="has no address"):
        _ = LocalDiscord(Path("nowhere")).url
