"""Finding the files of a run again."""

import hashlib
import os
from pathlib import Path

import pytest

from payloads import PayloadError, catalogue
from shim.errors import MissingError, UsageError
from shim.trace.folder import RunFolder
from shim.trace.inputs import find_initrd, find_payload


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache and an empty working folder."""
    monkeypatch.setattr("shim.trace.inputs.cache_folder", lambda: tmp_path / "cache")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "cache"


HELLO = catalogue.program("program:hello").read_bytes()
OTHER = catalogue.program("program:exit_events").read_bytes()


@pytest.fixture
def run_of(make_report, tmp_path):
    """A run of hello, with another name or hash."""

    def make(initrd=None, **payload):
        whole = {"name": "program:hello", "sha256": hashlib.sha256(HELLO).hexdigest(), **payload}
        inputs = {} if initrd is None else {"initrd_sha256": hashlib.sha256(initrd).hexdigest()}
        return RunFolder(tmp_path, make_report(payload=whole, inputs=inputs))

    return make


def test_a_program_is_found_by_its_name(cache, run_of):
    found = find_payload(run_of(), None)
    assert (found.name, found.data) == ("program:hello", HELLO)


def test_a_payload_is_found_in_the_cache_by_its_hash(cache, run_of):
    run = run_of(name="debian:trixie/cloud-amd64")
    sha256 = hashlib.sha256(HELLO).hexdigest()
    place = cache / "payloads" / "debian" / "trixie" / "cloud-amd64" / f"{sha256}.efi"
    place.parent.mkdir(parents=True)
    place.write_bytes(OTHER)  # damaged
    with pytest.raises(MissingError):
        find_payload(run, None)
    place.write_bytes(HELLO)
    found = find_payload(run, None)
    assert (found.name, found.data) == ("debian:trixie/cloud-amd64", HELLO)


def test_a_payload_is_found_in_the_working_folder(cache, run_of):
    run = run_of(name="hello.efi")
    Path("hello.efi").write_bytes(HELLO)
    found = find_payload(run, None)
    assert (found.name, found.data) == ("hello.efi", HELLO)


def test_a_payload_that_is_given_bears_the_runs_name(cache, run_of, tmp_path):
    run = run_of()
    (tmp_path / "copy.efi").write_bytes(HELLO)
    assert find_payload(run, tmp_path / "copy.efi").name == "program:hello"


def test_a_payload_that_is_given_has_to_be_the_runs(cache, run_of, tmp_path):
    run = run_of()
    (tmp_path / "other.efi").write_bytes(OTHER)
    with pytest.raises(UsageError, match=rf"other.efi.*{hashlib.sha256(HELLO).hexdigest()}"):
        find_payload(run, tmp_path / "other.efi")
    (tmp_path / "text").write_bytes(b"text")
    for name in ("text", "nowhere"):
        with pytest.raises(PayloadError):
            find_payload(run, tmp_path / name)


@pytest.mark.parametrize("content", [None, OTHER, b"text", b""])
def test_without_the_payload_one_is_told_what_to_give(content, cache, run_of):
    run = run_of(name="hello.efi")
    if content is not None:
        Path("hello.efi").write_bytes(content)
    with pytest.raises(MissingError, match=f"--payload.*{hashlib.sha256(HELLO).hexdigest()}"):
        find_payload(run, None)


@pytest.mark.parametrize(
    "name", ["", ".", "program:nothing", "program:../hello", "x" * 5000, "a\0b", "/dev/zero", "debian:a/b", "fifo"]
)
def test_names_of_payloads_that_lead_nowhere(name, cache, run_of):
    run = run_of(name=name)
    os.mkfifo("fifo")
    with pytest.raises(MissingError, match="--payload"):
        find_payload(run, None)


def test_the_hash_of_a_run_may_be_no_hash(cache, run_of):
    run = run_of(sha256="../*")
    with pytest.raises(MissingError, match="--payload"):
        find_payload(run, None)


def test_the_initrd_has_to_be_the_runs(run_of):
    run = run_of(b"files")
    assert find_initrd(run, b"files") == b"files"
    with pytest.raises(UsageError, match=hashlib.sha256(b"files").hexdigest()):
        find_initrd(run, b"others")
    with pytest.raises(MissingError, match=f"--initrd.*{hashlib.sha256(b'files').hexdigest()}"):
        find_initrd(run, None)


def test_a_run_without_initrd_gets_none(run_of):
    run = run_of()
    assert find_initrd(run, None) is None
    assert find_initrd(run, b"files") is None
