"""Running the command, and the processor time that it takes."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from typing import Any


def run(command: list[str]) -> tuple[dict[str, Any] | None, str, float]:
    """What run.json says, or None; what was said of errors; and the processor time of the whole command, in seconds."""
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as ill:
        started = subprocess.Popen(command, stdout=said, stderr=ill)
        _, status, used = os.wait4(started.pid, 0)  # unlike wait(), it tells of the processor time
        started.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        ill.seek(0)
        text, errors = said.read(), ill.read().strip()
    return json.loads(text) if text else None, errors, used.ru_utime + used.ru_stime
