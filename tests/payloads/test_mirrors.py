import pytest

from payloads import MissingPart
from payloads.mirrors import debian_sources


@pytest.fixture
def etc(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "debian.gpg").touch()
    return tmp_path


def uris(etc):
    return [source.uri for source in debian_sources(etc, (etc / "missing.gpg", etc / "debian.gpg"))]


def test_one_line_format(etc):
    (etc / "sources.list").write_text(
        "# deb http://commented.example/debian bookworm main\n"
        "deb-src http://source.example/debian bookworm main\n"
        "deb http://a.example/debian bookworm main contrib # trailing\n"
        "deb http://a.example/debian bookworm-updates main\n"
        "deb http://security.example/debian-security bookworm-security main\n"
        "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] https://b.org/x/debian/ sid main\n"
        "deb cdrom:[Debian]/debian bookworm main\n"
        "deb http://vendor.example/linux/debian bookworm stable\n"
        "deb http://flat.example/debian ./\n"
        "nonsense\n"
    )
    assert uris(etc) == ["http://a.example/debian", "https://b.org/x/debian/"]


def test_deb822_format(etc):
    (etc / "sources.list.d" / "debian.sources").write_text(
        "# a comment\n"
        "Types: deb deb-src\n"
        "# another\n"
        "URIs: http://a.example/debian\n"
        "  http://b.example/debian\n"
        "Suites: bookworm\n"
        " bookworm-updates\n"
        "Components: main\n"
        "Signed-By:\n"
        " -----BEGIN PGP PUBLIC KEY BLOCK-----\n"
        " .\n"
        " mQINBF\n"
        "\n"
        "Types: deb\n"
        "URIs: mirror+file:///etc/apt/mirrors/debian.list\n"
        "Suites: trixie\n"
        "Components: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        "\n"
        "Enabled: no\n"
        "Types: deb\n"
        "URIs: http://off.example/debian\n"
        "Suites: trixie\n"
        "Components: main\n"
        "\n"
        "types: deb\n"
        "uris: http://snapshot.example/archive/debian/20250520T000000Z/\n"
        "suites: trixie\n"
        "components: main\n"
    )
    # those that are surely Debian's own come first
    assert uris(etc) == [
        "mirror+file:///etc/apt/mirrors/debian.list",
        "http://snapshot.example/archive/debian/20250520T000000Z/",
        "http://a.example/debian",
        "http://b.example/debian",
    ]


def test_other_files_are_not_looked_at(etc):
    (etc / "sources.list.d" / "old.list.disabled").write_text("deb http://a.example/debian bookworm main\n")
    with pytest.raises(MissingPart, match="no Debian mirror"):
        uris(etc)


def test_another_distribution(etc):
    (etc / "sources.list").write_text("deb http://archive.example/ubuntu noble main\n")
    with pytest.raises(MissingPart, match="no Debian mirror"):
        uris(etc)


def test_no_keyring(etc):
    (etc / "sources.list").write_text("deb http://a.example/debian bookworm main\n")
    with pytest.raises(MissingPart, match="debian-archive-keyring"):
        debian_sources(etc, (etc / "missing.gpg",))


@pytest.mark.parametrize("junk", [b"\xff\xfe\0", b"Types: deb\nURIs: http://[::1\nSuites: x\nComponents: main\n"])
def test_junk(etc, junk):
    (etc / "sources.list").write_bytes(junk)
    (etc / "sources.list.d" / "x.sources").write_bytes(junk)
    with pytest.raises(MissingPart):
        uris(etc)
