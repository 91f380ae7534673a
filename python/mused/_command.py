"""The command `mused`, as the wheel brings it."""

from __future__ import annotations

import os
import signal
import sys

from ._mused import main as _main


def main() -> None:
    # Python would only take a note of Ctrl-C, which nobody reads while the command works; it listens itself where it saves.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    code = _main(["mused", *sys.argv[1:]])
    sys.stdout.flush()
    os._exit(code)
