"""What a launched kernel measures, by digests that hashlib takes of known bytes."""

import hashlib
import socket
import struct
import subprocess

import pytest

from efi_services.guids import IMAGE_SECURITY_DATABASE
from efi_services.slaunch.generations import GENERATIONS
from efi_services.slaunch.slrt import Measured, read
from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import EventType, variable_data
from efi_services.tcg.log import decode
from efi_services.tcg.piece import piece
from payloads import catalogue
from shim.errors import UnreadableError, UsageError
from shim.measure import pieces, program
from shim.measure.formats import FORMATS
from shim.measure.profiles import PROFILES, drtm
from shim.trace.folder import RunFolder

SHA1, SHA256, SHA384, SHA512 = Algorithm
PAGE = bytes(range(256)) * 16
CMDLINE, MAP, INITRD = b"quiet\0" + bytes(2042), b"map" * 20, b"cpio" * 1000
#: Secure Launch's flag in loadflags, which the kernel sets before it measures.
LAUNCHED = PAGE[:0x211] + bytes([PAGE[0x211] | 4]) + PAGE[0x212:]
TEXTS = (
    (18, "Measured boot parameters", LAUNCHED),
    (18, "Measured Kernel command line", CMDLINE),
    (18, "Measured EFI memory map", MAP),
    (17, "Measured Kernel initrd", INITRD),
)


@pytest.fixture
def make_run(make_report, tmp_path):
    """A folder with what a kernel was handed; *more* is behind boot_params."""

    def make(*more, page=PAGE):
        (tmp_path / "handoff").mkdir(exist_ok=True)
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
        (found,) = PROFILES["drtm"].measure(make_run(*more), {key: str(value) for key, value in options.items()}).sets
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


def test_of_the_table_nothing_is_made_up(launch):
    made = launch()
    assert made.unknown == {17, 18}
    assert made.notes == (
        'PCR 18: "Measured SLR Table" is left out: the machine\'s own values are in it; give the table with slrt=FILE',
    )


@pytest.fixture
def table(tmp_path, build_slrt):
    """A file with a machine's table."""

    def make(year, *policy, **parts):
        entries = (Measured(18, 1, "Measured SLR Table"), *policy)
        data = build_slrt.table(GENERATIONS[year].layout, **{"policy": entries, "config": (), **parts})
        (tmp_path / "slrt.bin").write_bytes(data)
        return tmp_path / "slrt.bin"

    return make


def test_a_machines_table_tells_what_is_measured_and_is_measured_itself(launch, table):
    policy = (
        Measured(18, 0x10, "Measured TXT OS-MLE data"),
        Measured(21, 4, "the words", len(CMDLINE)),
        Measured(18, 0xFFFF, ""),
        Measured(17, 2, "Measured boot parameters", 4096),
    )
    config = (Measured(22, 0, "Measured UEFI memory map", len(MAP)),)
    made = launch(slrt=table("2026", *policy, config=config))
    assert texts(made) == [
        (18, "Measured SLR Table"),
        (21, "the words"),
        (17, "Measured boot parameters"),
        (22, "Measured UEFI memory map"),
    ]
    layout = GENERATIONS["2026"].layout
    measured = read(table("2026", *policy, config=config).read_bytes(), layout).measured
    contents = (measured, CMDLINE, LAUNCHED, MAP)
    for event, data in zip(made.events, contents, strict=True):
        assert event.digests[SHA384] == hashlib.sha384(data).digest()
    assert (made.unknown, made.notes) == ({17, 18}, ())
    assert made.registers()[21] == {each: chain(each.label, CMDLINE) for each in Algorithm}


@pytest.mark.parametrize("year", ["2024", "2023"])
def test_kernels_that_measure_the_tables_beginning(launch, table, year):
    path = table(year)
    start, event, end = launch(kernel=year, slrt=path).events
    size = {"2024": 552, "2023": 540}[year]
    assert event.digests[SHA256] == hashlib.sha256(path.read_bytes()[:size]).digest()
    assert [start.type, end.type] == [0x503, 0x504]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (Measured(18, 4, "words", 9), '"words" is about 9 bytes, and this run has 2048'),
        (Measured(18, 0, "else", 9), '"else" measured, of which this run knows nothing'),
        (Measured(18, 7, "multiboot", 9), '"multiboot" measured, of which this run knows nothing'),
        (Measured(10, 4, "words"), '"words" is for PCR 10, which a dynamic launch does not reset'),
        (Measured(99, 4, "words"), '"words" is for PCR 99'),
    ],
)
def test_a_table_that_asks_for_what_no_run_tells(launch, table, entry, why):
    with pytest.raises(UsageError, match=why):
        launch(slrt=table("2026", entry))


def test_a_table_that_is_none(launch, tmp_path):
    path = tmp_path / "slrt.bin"
    for data, why in ((None, "No such file"), (b"", "cut off"), (bytes(99), "no SLR table"), (bytes(99999), "no SLR")):
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(UnreadableError, match=f"slrt.bin: .*{why}"):
            launch(slrt=path)


def test_a_table_of_another_architecture(launch, table):
    with pytest.raises(UsageError, match="architecture 1, which is not platform=skinit"):
        launch(slrt=table("2026"), platform="skinit")


def test_the_kernel_has_said_that_it_was_launched_before_it_measures(launch):
    digest = launch().events[0].digests[SHA256]
    assert digest == hashlib.sha256(LAUNCHED).digest()
    assert digest != hashlib.sha256(PAGE).digest()


def test_of_a_launch_by_skinit_only_pcr_17_is_the_machines(launch, table, build_slrt):
    assert launch(platform="skinit").unknown == {17, 18}
    body = struct.pack("<QIIQQQHHHH", 1, 2, 3, 4, 5, 6, 7, 0, 0, 0)
    info = build_slrt.entry(5, body, GENERATIONS["2026"].layout)
    path = table("2026", architecture=2, more=info)
    made = launch(platform="skinit", slrt=path)
    assert made.unknown == {17}
    zeroed = struct.pack("<IIQIIQQQHHHH", 5, 56, 0, 2, 3, 4, 0, 0, 7, 0, 0, 0)
    assert made.registers()[18][SHA256] == chain("sha256", zeroed)


def test_what_setup_data_points_to_is_measured_before_it_with_the_same_text(launch):
    made = launch(
        piece("setup_data", b"first", 0x10),
        piece("setup_data target", b"far", 0x20),
        piece("setup_data", b"pointer", 0x30),
    )
    found = [each.digests[SHA384] for each in made.events if each.data == b"Measured Kernel setup_data"]
    assert found == [hashlib.sha384(each).digest() for each in (b"first", b"far", b"pointer")]
    assert [text for _, text in texts(made)][1:4] == ["Measured Kernel setup_data"] * 3


def test_kernels_before_that_measured_the_target_alone(launch):
    made = launch(
        piece("setup_data", b"first", 0x10),
        piece("setup_data target", b"far", 0x20),
        piece("setup_data", b"pointer", 0x30),
        piece("setup_data", b"last", 0x40),
        kernel="2025",
    )
    found = [each.digests[SHA384] for each in made.events if each.data == b"Measured Kernel setup_data"]
    assert found == [hashlib.sha384(each).digest() for each in (b"first", b"far", b"last")]


def test_older_kernels_have_other_pcrs(launch):
    moved = {17: 20, 18: 19}
    made = launch(pcrs="20,19")
    assert texts(made) == [(moved[pcr], text) for pcr, text, _ in TEXTS]
    # The launch itself extends 17 and 18; of the others, 19 lacks what the table has.
    assert made.unknown == {17, 18, 19}
    assert made.registers() == {20: {each: chain(each.label, INITRD) for each in Algorithm}}


def test_the_oldest_have_an_order_of_their_own_and_no_table(launch):
    made = launch(piece("setup_data", b"x", 0x10), kernel="2022", pcrs="20,19")
    assert texts(made) == [
        (17, ""),
        (19, "Measured boot parameters"),
        (19, "Measured Kernel command line"),
        (19, "Measured Kernel setup_data"),
        (19, "Measured EFI memory map"),
        (20, "Measured initramfs"),
        (17, ""),
    ]
    assert [note[:33] for note in made.notes] == ['PCR 19: "Measured TXT OS-MLE data']


@pytest.mark.parametrize(("year", "markers"), [("2026", 0), ("2025", 2), ("2024", 2), ("2022", 2)])
def test_which_kernels_have_markers(launch, year, markers):
    assert sum(not each.extends for each in launch(kernel=year).events) == markers


def test_the_values_are_not_known_without_the_launch(launch):
    made = launch()
    assert made.unknown == {17, 18}
    assert made.registers() == {}


def test_markers_bracket_the_events_and_extend_nothing(launch, wrap):
    made = launch(kernel="2025", pcrs="20,19", platform="skinit", dce=hashlib.sha256(b"skl").hexdigest())
    first, start, *walked, end = made.events
    assert (first.index, first.type) == (17, 0x502)
    assert [(each.index, each.type, each.data, each.extends) for each in (start, end)] == [
        (17, 0x503, b"", False),
        (17, 0x504, b"", False),
    ]
    assert len(walked) == len(TEXTS)
    assert made.registers()[17] == {SHA256: chain("sha256", b"skl")}
    logged = decode(FORMATS["tcg2"].write(wrap(made)))
    assert logged.events[-1].digests == {SHA256: bytes(32)}


def test_digests_of_the_launch_make_values_known_in_their_bank_only(launch):
    skl, offset, kernel = b"skl", b"\0\1\0\0", b"kernel"
    given = ",".join(hashlib.sha384(each).hexdigest() for each in (skl, offset, kernel))
    made = launch(platform="skinit", dce=f"sha384:{given}")
    assert made.algorithms == (SHA384,)
    assert made.unknown == {18}
    assert made.registers() == {17: {SHA384: chain("sha384", skl, offset, kernel, INITRD)}}


def test_without_a_name_a_digest_of_the_launch_is_sha256(launch):
    made = launch(platform="skinit", dce=hashlib.sha256(b"skl").hexdigest())
    assert made.registers()[17] == {SHA256: chain("sha256", b"skl", INITRD)}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"kernel": "6.12"}, "kernel=6.12: give 2026 or 2025"),
        ({"kernel": "2023"}, "kernel=2023: .*give slrt=FILE"),
        ({"kernel": "2022", "slrt": "x"}, "kernels of 2022 know of no such table"),
        ({"kernel": "2022", "platform": "skinit"}, "launched by TXT only"),
        ({"slrt": "x", "pcrs": "17,18"}, "pcrs: the table says"),
        ({"authority": "1"}, "authority=1: give no or yes"),
        ({"sections": "1"}, "sections=1: give no or yes"),
        ({"platform": "arm"}, "platform=arm: give txt or skinit"),
        ({"pcrs": "18,17"}, "pcrs=18,17: give 17,18 or 20,19"),
        ({"pcrs": ""}, "pcrs=: give"),
        ({"seed": "1"}, "no option 'seed'; it has kernel, platform, slrt, pcrs, dce, authority, sections"),
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
    made = launch(platform="skinit", dce=hashlib.sha256(loader).hexdigest(), kernel="2025")
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
    assert made.registers().keys() == {17}


def hello(make_report, tmp_path, program="program:hello"):
    data = catalogue.program(program).read_bytes()
    return RunFolder(tmp_path, make_report(payload={"name": program, "sha256": hashlib.sha256(data).hexdigest()}))


def test_who_signed_the_kernel_can_be_measured_beside_it(make_run, make_report, tmp_path):
    make_run()
    (made,) = PROFILES["drtm"].measure(hello(make_report, tmp_path), {"authority": "yes"}).sets
    event = made.events[-1]
    # Nobody signed it: the entry is empty, as that of a variable that isn't there.
    data = variable_data(IMAGE_SECURITY_DATABASE, "db", b"")
    assert (event.index, event.type, event.data) == (18, EventType.EV_EFI_VARIABLE_AUTHORITY, data)
    assert event.digests[SHA256] == hashlib.sha256(data).digest()
    assert len(made.events) == len(TEXTS) + 1


def test_only_unified_kernel_images_have_sections(make_run, make_report, tmp_path):
    make_run()
    with pytest.raises(UsageError, match="program:hello is no unified kernel image"):
        PROFILES["drtm"].measure(hello(make_report, tmp_path), {"sections": "yes"})


def test_sections_come_by_name_and_contents(make_run, monkeypatch):
    monkeypatch.setattr(program, "sections", lambda _payload: [(".linux", b"kernel"), (".cmdline", b"quiet")])
    monkeypatch.setattr(drtm, "find_payload", lambda _run, _given: None)
    (made,) = PROFILES["drtm"].measure(make_run(), {"sections": "yes"}).sets
    hashed = (b".linux\0", b"kernel", b".cmdline\0", b"quiet")
    assert [(each.index, each.data) for each in made.events[-4:]] == [(17, b".linux")] * 2 + [(17, b".cmdline")] * 2
    assert [each.digests[SHA1] for each in made.events[-4:]] == [hashlib.sha1(each).digest() for each in hashed]
