import pytest

from efi_services.tcg.algorithms import Algorithm
from shim.errors import UsageError
from shim.measure.formats.tsm import tree
from shim.measure.model import Measured, Measurements

SHA1, SHA256, SHA384, SHA512 = Algorithm


def kernel(log, algorithm, value):
    """What the register holds after a log, by the rules of the RFC; SYNC lines must tell what it held before."""
    for line in log.decode().split("\n"):
        line = line.strip()
        if line.startswith("# .EXTEND "):
            value = algorithm.extend(value, bytes.fromhex(line.removeprefix("# .EXTEND ")))
        elif line and not line.startswith("#"):
            if line.startswith("SYNC "):
                assert line == f"SYNC {algorithm.label}/{value.hex()}"
            value = algorithm.extend(value, algorithm.digest(line.encode()))
    return value


def folders(files):
    return {path.rpartition("/")[0] for path in files}


@pytest.mark.parametrize("sync", [True, False])
def test_each_log_comes_to_its_digest(sync, measured):
    files = tree(measured, sync=sync)
    for folder in folders(files):
        if f"{folder}/digest" not in files:
            continue
        label = files[f"{folder}/hash_algo"].decode().strip()
        algorithm = next(each for each in Algorithm if each.label == label)
        value = kernel(files[f"{folder}/event_log"], algorithm, bytes(algorithm.size))
        assert files[f"{folder}/digest"].decode() == f"{value.hex()}\n"


def test_without_the_line_sync_the_digest_is_what_the_boot_came_to(measured):
    files = tree(measured, sync=False)
    for index, values in measured.set_of("tpm").registers().items():
        for algorithm, value in values.items():
            assert files[f"tpm/pcr{index}:{algorithm.label}/digest"] == f"{value.hex()}\n".encode()
    assert not any(b"SYNC" in each for each in files.values())


def test_the_line_sync_tells_what_the_boot_came_to(measured):
    log = tree(measured)["tdx/rtmr2/event_log"].decode()
    value = measured.set_of("tdx").registers()[3][SHA384]
    assert log.endswith(f"\n\nSYNC sha384/{value.hex()}\n")
    assert "# EV_EVENT_TAG Linux initrd\n" in log


def test_all_registers_of_confidential_computing_have_a_folder(mr_boots, wrap):
    files = tree(wrap(mr_boots("cca")))
    assert folders(files) == {"cca/rim", "cca/rem0", "cca/rem1", "cca/rem2", "cca/rem3"}
    assert {path for path in files if "rem3" in path} == {
        f"cca/rem3/{each}" for each in ("digest", "hash_algo", "event_log", "append_event")
    }
    assert files["cca/rem3/event_log"] == f"SYNC sha384/{'00' * 48}\n".encode()


def test_a_register_that_nothing_extends_has_a_log_and_nothing_to_append_to():
    made = Measurements("tdx", (SHA384,), ())
    files = tree(Measured("x", None, "", "p", (made,)))
    assert "tdx/mrtd/append_event" not in files
    assert files["tdx/mrtd/digest"] == b"00" * 48 + b"\n"
    assert files["tdx/mrtd/event_log"].startswith(b"SYNC sha384/00")


def test_what_is_not_known_has_no_digest(measured):
    files = tree(measured)
    assert "tdx/mrtd/digest" not in files
    assert "tpm/pcr0:sha256/digest" not in files
    assert b"# Not known" in files["tpm/pcr0:sha256/event_log"]
    assert b"SYNC" not in files["tpm/pcr0:sha256/event_log"]


def test_one_bank_needs_no_name(boots, wrap):
    assert "tpm/pcr4/digest" in tree(wrap(boots((SHA256,))))


def test_nothing_to_write():
    with pytest.raises(UsageError):
        tree(Measured("x", None, "", "p", ()))
    with pytest.raises(UsageError, match="nothing was extended"):
        tree(Measured("x", None, "", "p", (Measurements("tpm", (SHA256,), ()),)))
