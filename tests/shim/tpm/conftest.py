"""An swtpm beside the tests."""

import socket
import subprocess
import time
from contextlib import contextmanager

import pytest


def free_port():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


@contextmanager
def started(folder, *, unix=False, control=False):
    """The process, and where it is."""
    where = str(folder / "sock") if unix else f"127.0.0.1:{free_port()}"
    server = f"type=unixio,path={where}" if unix else f"type=tcp,port={where.rpartition(':')[2]}"
    beside = ["--ctrl", f"type=unixio,path={where}.ctrl"] if control else []
    words = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}", "--server", server, "--flags", "not-need-init"]
    words += beside
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if unix and (folder / "sock").exists():
                break
            if not unix and f":{int(where.rpartition(':')[2]):04X} " in listening():
                break
            time.sleep(0.02)
        yield process, where
    finally:
        process.terminate()
        process.wait()


def listening():
    """Ports that somebody listens on: a probing connection would be taken for the client."""
    with open("/proc/net/tcp", encoding="ascii") as file:  # noqa: PTH123 - a file that is none
        return "".join(line.split()[1] + " " for line in file if line.split()[3] == "0A")


@pytest.fixture
def swtpm(need, tmp_path_factory):
    """Starts one; skips where swtpm is not installed."""
    need("swtpm")
    with started(tmp_path_factory.mktemp("swtpm")) as made:
        yield made


@pytest.fixture
def swtpm_with_control(need, tmp_path_factory):
    need("swtpm")
    with started(tmp_path_factory.mktemp("swtpm"), unix=True, control=True) as made:
        yield made


@pytest.fixture
def swtpm_on_a_path(need, tmp_path_factory):
    need("swtpm")
    with started(tmp_path_factory.mktemp("swtpm"), unix=True) as made:
        yield made
