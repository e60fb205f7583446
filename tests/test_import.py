"""What importing the package does, and what it does not."""

from __future__ import annotations

import subprocess
import sys

INTERRUPTED = """
import signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "datetime":
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)

sys.modules.pop("datetime", None)
sys.meta_path.insert(0, Interrupt())
try:
    import agentzero
except KeyboardInterrupt:
    print("interrupted")
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def test_ctrl_c_during_the_import_is_not_swallowed() -> None:
    assert run("-c", INTERRUPTED).stdout == "interrupted\n"


def test_the_import_brings_no_event_loop_and_no_plugin() -> None:
    program = "import agentzero, sys; print(*sys.modules)"
    loaded = set(run("-c", program).stdout.split())
    assert not loaded & {"asyncio", "gevent", "msgpack", "cbor2", "importlib.metadata"}
