"""What a launched kernel measures, by digests that hashlib takes of known bytes."""

import hashlib
import socket
import struct
import subprocess

import pytest

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.log import decode
from efi_services.tcg.piece import piece
from shim.errors import UnreadableError, UsageError
from shim.measure import pieces
from shim.measure.formats import FORMATS
from shim.measure.profiles import PROFILES
from shim.trace.folder import RunFolder

SHA1, SHA256, SHA384, SHA512 = Algorithm
PAGE = bytes(range(256)) * 16
CMDLINE, MAP, INITRD = b"quiet\0" + bytes(2042), b"map" * 20, b"cpio" * 1000
#: Secure Launch's flag in loadflags, which the kernel sets before it measures.
LAUNCHED = PAGE[:0x211] + bytes([PAGE[0x211] | 4]) + PAGE[0x212:]
#: SLR_ENTRY_INTEL_INFO, whose numbers are all zero here.
INTEL = {"current": struct.pack("<II", 4, 560) + bytes(552), "first": struct.pack("<HH", 4, 556) + bytes(552)}
TEXTS = (
    (18, "Measured SLR Table", INTEL["current"]),
    (18, "Measured boot parameters", LAUNCHED),
    (18, "Measured Kernel command line", CMDLINE),
    (18, "Measured EFI memory map", MAP),
    (17, "Measured Kernel initrd", INITRD),
)


@pytest.fixture
def make_run(make_report, tmp_path):
    """A folder with what a kernel was handed; *more* is behind boot_params."""

    def make(*more, page=PAGE):
        (tmp_path / "handoff").mkdir()
        (tmp_path / "handoff/boot_params.bin").write_bytes(page)
        found = [
            piece("boot_params", PAGE, 0x1000),
            *more,
            piece("command line", CMDLINE, 0x3000),
            piece("memory map", MAP, 0x4000),
            piece("initrd", INITRD, 0x5000),
        ]
        pieces.save(tmp_path / pieces.HANDED, found)
        return RunFolder(tmp_path, make_report())

    return make


@pytest.fixture
def launch(make_run):
    """The one set of registers of a launch."""

    def launches(*more, **options):
        (found,) = PROFILES["drtm"].measure(make_run(*more), options).sets
        return found

    return launches


def chain(algorithm, *data):
    value = bytes(hashlib.new(algorithm).digest_size)
    for each in data:
        value = hashlib.new(algorithm, value + hashlib.new(algorithm, each).digest()).digest()
    return value


def texts(measurements):
    return [(each.index, each.data.decode("ascii")) for each in measurements.events]


def test_the_policy_in_its_order(launch):
    made = launch()
    assert made.kind == "tpm"
    assert made.dynamic
    assert made.algorithms == (SHA1, SHA256, SHA384, SHA512)
    assert texts(made) == [(pcr, text) for pcr, text, _ in TEXTS]
    for event, (_, _, data) in zip(made.events, TEXTS, strict=True):
        assert event.type == 0x502
        assert event.digests == {each: hashlib.new(each.label, data).digest() for each in Algorithm}


@pytest.mark.parametrize("layout", ["current", "first"])
def test_the_table_is_measured_in_its_layout(launch, layout):
    table = launch(layout=layout).events[0]
    assert table.digests[SHA256] == hashlib.sha256(INTEL[layout]).digest()


def test_the_kernel_has_said_that_it_was_launched_before_it_measures(launch):
    digest = launch().events[1].digests[SHA256]
    assert digest == hashlib.sha256(LAUNCHED).digest()
    assert digest != hashlib.sha256(PAGE).digest()


def test_skinit_has_no_table_of_intel(launch):
    assert texts(launch(platform="skinit")) == [(pcr, text) for pcr, text, _ in TEXTS[1:]]


def test_what_setup_data_points_to_is_measured_before_it_with_the_same_text(launch):
    made = launch(
        piece("setup_data", b"first", 0x10),
        piece("setup_data target", b"far", 0x20),
        piece("setup_data", b"pointer", 0x30),
    )
    found = [each.digests[SHA384] for each in made.events if each.data == b"Measured Kernel setup_data"]
    assert found == [hashlib.sha384(each).digest() for each in (b"first", b"far", b"pointer")]
    assert [text for _, text in texts(made)][2:5] == ["Measured Kernel setup_data"] * 3


def test_older_kernels_have_other_pcrs(launch):
    moved = {17: 20, 18: 19}
    made = launch(pcrs="20,19")
    assert texts(made) == [(moved[pcr], text) for pcr, text, _ in TEXTS]
    assert made.unknown == {19, 20}


def test_the_values_are_not_known_without_the_launch(launch):
    made = launch()
    assert made.unknown == {17, 18}
    assert made.registers() == {}


def test_markers_bracket_the_events_and_extend_nothing(launch, wrap):
    made = launch(markers="yes", pcrs="20,19", platform="skinit", dce=hashlib.sha256(b"skl").hexdigest())
    first, start, *walked, end = made.events
    assert (first.index, first.type) == (17, 0x502)
    assert [(each.index, each.type, each.data, each.extends) for each in (start, end)] == [
        (17, 0x503, b"", False),
        (17, 0x504, b"", False),
    ]
    assert len(walked) == len(TEXTS) - 1
    assert made.registers()[17] == {SHA256: chain("sha256", b"skl")}
    logged = decode(FORMATS["tcg2"].write(wrap(made)))
    assert logged.events[-1].digests == {SHA256: bytes(32)}


def test_digests_of_the_launch_make_values_known_in_their_bank_only(launch):
    skl, offset, kernel = b"skl", b"\0\1\0\0", b"kernel"
    given = ",".join(hashlib.sha384(each).hexdigest() for each in (skl, offset, kernel))
    made = launch(platform="skinit", dce=f"sha384:{given}")
    assert made.algorithms == (SHA384,)
    assert made.unknown == frozenset()
    assert made.registers() == {
        17: {SHA384: chain("sha384", skl, offset, kernel, INITRD)},
        18: {SHA384: chain("sha384", LAUNCHED, CMDLINE, MAP)},
    }


def test_without_a_name_a_digest_of_the_launch_is_sha256(launch):
    made = launch(platform="skinit", dce=hashlib.sha256(b"skl").hexdigest())
    assert made.registers()[17] == {SHA256: chain("sha256", b"skl", INITRD)}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"layout": "second"}, "layout=second: give current or first"),
        ({"platform": "arm"}, "platform=arm: give txt or skinit"),
        ({"pcrs": "18,17"}, "pcrs=18,17: give 17,18 or 20,19"),
        ({"pcrs": ""}, "pcrs=: give"),
        ({"markers": "true"}, "markers=true: give no or yes"),
        ({"seed": "1"}, "no option 'seed'; it has layout, platform, pcrs, markers, dce"),
        ({"dce": "00" * 32}, "only with platform=skinit"),
        *(
            ({"platform": "skinit", "dce": text}, "dce=.*: give digests")
            for text in ("", "x", "sha256:", "00" * 31, "sha1:" + "00" * 32, "md5:" + "00" * 16, "00" * 32 + ",", ":::")
        ),
    ],
)
def test_options_that_make_no_sense(launch, options, why):
    with pytest.raises(UsageError, match=why):
        launch(**options)


def test_a_run_without_a_hand_off(make_report, tmp_path):
    with pytest.raises(UnreadableError, match=r"handoff/pieces\.json: No such file"):
        PROFILES["drtm"].measure(RunFolder(tmp_path, make_report()), {})


def test_a_kernel_without_boot_params(make_report, tmp_path):
    (tmp_path / "handoff").mkdir()
    pieces.save(tmp_path / pieces.HANDED, [])
    with pytest.raises(UsageError, match="handed no boot_params"):
        PROFILES["drtm"].measure(RunFolder(tmp_path, make_report()), {})


@pytest.mark.parametrize("page", [b"", PAGE[:-1], PAGE + b"x", PAGE[:-1] + b"x"])
def test_boot_params_that_are_not_those_of_the_run(make_run, page):
    run = make_run(page=page)
    with pytest.raises(UnreadableError, match=r"boot_params\.bin: damaged"):
        PROFILES["drtm"].measure(run, {})


def test_boot_params_that_are_gone(make_run):
    run = make_run()
    (run.path / "handoff/boot_params.bin").unlink()
    with pytest.raises(UnreadableError, match=r"boot_params\.bin: No such file"):
        PROFILES["drtm"].measure(run, {})


def test_a_real_tpm_comes_to_the_same_values(launch, swtpm):
    """A launch through swtpm's control channel, and then the kernel's part from locality 2."""
    loader = b"the code of a loader"
    made = launch(platform="skinit", dce=hashlib.sha256(loader).hexdigest(), markers="yes")
    control = ["swtpm_ioctl", "--tcp", f"127.0.0.1:{swtpm.port + 1}"]
    subprocess.run([*control, "-l", "4"], check=True, capture_output=True)
    subprocess.run([*control, "-h", "-"], input=loader, check=True, capture_output=True)
    subprocess.run([*control, "-l", "2"], check=True, capture_output=True)
    with socket.create_connection(("127.0.0.1", swtpm.port), 10) as tpm:

        def ask(tag, code, rest):
            tpm.sendall(struct.pack(">HII", tag, 10 + len(rest), code) + rest)
            head = tpm.recv(10, socket.MSG_WAITALL)
            _, size, status = struct.unpack(">HII", head)
            assert status == 0, f"{status:#x}"
            return tpm.recv(size - 10, socket.MSG_WAITALL)

        # The first event is the launch's own; TPM2_PCR_Extend with an empty password, TPM2_PCR_Read.
        for event in made.events[1:]:
            if event.extends:
                digest = struct.pack(">IH", 1, 0x000B) + event.digests[SHA256]
                session = struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0)
                ask(0x8002, 0x182, struct.pack(">I", event.index) + session + digest)
        for pcr, value in made.registers().items():
            selected = (1 << pcr).to_bytes(3, "little")
            assert ask(0x8001, 0x17E, struct.pack(">IHB", 1, 0x000B, 3) + selected)[-32:] == value[SHA256]
    assert made.registers().keys() == {17, 18}
