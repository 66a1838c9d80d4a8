import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payloads import identify
from payloads.describe import describe
from payloads.pe import authenticode


def described(pe):
    description = describe(identify(pe.build(), "p"))
    assert json.loads(json.dumps(description)) == description
    return description


@pytest.mark.parametrize("which", ["Pe", "bzimage", "arm64_image", "riscv_image", "zboot_image", "zimage", "uki"])
def test_every_kind_is_described_and_always_the_same(build, which):
    make = getattr(build, which)
    first, second = described(make()), described(make())
    assert json.dumps(first) == json.dumps(second)
    assert list(first)[:4] == ["name", "kind", "machine", "version"]
    assert (first["linux"] is None) == (which in {"Pe", "uki"})


def test_application(build):
    pe = build.Pe(image_base=0x4000_0000).with_relocations(build.relocation_block(0x1000, (10, 0), (0, 0)))
    description = described(pe)
    assert description["image"]["entry_point"] == "0x1010"
    assert description["image"]["image_base"] == "0x40000000"
    assert description["image"]["relocations"] == 1
    assert description["image"]["subsystem"] == "EFI application"
    assert [s["permissions"] for s in description["sections"]] == ["r-x", "rw-", "r--"]
    assert description["signatures"] == []
    assert description["sbat"] == []
    assert len(description["digests"]["authenticode_sha384"]) == 96


def test_arm64_entry(build):
    assert described(build.arm64_image())["linux"]["kernel_entry"] == "0x1004"


def test_uki_texts_and_sbat(build):
    description = described(build.uki())
    assert description["uki"] == {"osrel": 'NAME="Test"', "cmdline": "console=ttyS0 quiet", "uname": "6.12.1-uki"}
    assert [row["component"] for row in description["sbat"]] == ["sbat", "linux"]
    assert description["sbat"][0]["url"] == "https://example.org"
    assert description["sbat"][1]["url"] == ""


@pytest.mark.parametrize("text", [b"", b"\xff\xfe\0", b'"open,1\n', b"a,b\rc,d", b"," * 5000, b'"' * 9999])
def test_hostile_sbat(build, text):
    description = described(build.Pe(parts=[build.Part(b".text"), build.Part(b".sbat", text, 0x4000_0040)]))
    assert isinstance(description["sbat"], list)


def test_signature(build):
    image = build.Pe().build()
    data = build.signed(image, authenticode(image))
    assert authenticode(data) == authenticode(image)
    (signature,) = describe(identify(data, "p"))["signatures"]
    assert signature["digest_matches"]
    assert signature["digest_algorithm"] == "sha256"
    assert signature["signers"] == [
        {"subject": "CN=Test Signer", "issuer": "CN=Test Signer", "serial": "1234", "digest_algorithm": "sha256"}
    ]


def test_signature_of_other_bytes(build):
    data = build.signed(build.Pe().build(), bytes(32))
    (signature,) = describe(identify(data, "p"))["signatures"]
    assert not signature["digest_matches"]


def test_garbage_certificate_table(build):
    size = len(build.Pe().build())
    description = described(build.Pe(directories={4: (size, 64)}, overlay=b"\xa5" * 64))
    assert "error" in description["signatures"][0]


def test_certificate_table_outside_the_file(build):
    description = described(build.Pe(directories={4: (0xFFFF_FF00, 0x4000)}))
    assert "error" in description["signatures"][0]


@settings(max_examples=150, deadline=5000, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_hostile_certificates_do_not_raise(build, data):
    image = build.Pe().build()
    file = bytearray(build.signed(image, bytes(32)))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(len(image), len(file) - 1))
        file[at] = data.draw(st.integers(0, 255))
    description = describe(identify(bytes(file), "p"))
    json.dumps(description)
