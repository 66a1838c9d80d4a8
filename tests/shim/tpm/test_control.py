"""The control channel of an swtpm; test_swtpm.py has what needs a real one."""

import socket
import threading

import pytest

from shim.errors import MissingError, UnreadableError
from shim.tpm.control import Control, beside


def test_it_is_where_tpm2_tools_expect_it():
    assert beside("127.0.0.1:2321") == "127.0.0.1:2322"
    assert beside("[::1]:2321") == "[::1]:2322"
    assert beside("/run/swtpm/sock") == "/run/swtpm/sock.ctrl"


@pytest.fixture
def controlled(tmp_path):
    """A control channel that gives these answers; gives what it was asked."""

    def make(*answers):
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(tmp_path / "sock.ctrl"))
        server.listen(1)
        asked = []

        def serve():
            client, _ = server.accept()
            with server, client:
                for each in answers:
                    asked.append(client.recv(9999))
                    client.sendall(each)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        return Control(beside(str(tmp_path / "sock")), 2), asked, thread

    return make


def test_a_launch_is_from_locality_4_in_pieces(controlled):
    control, asked, thread = controlled(*[bytes(4)] * 5)
    control.launch(b"loader")
    thread.join(2)
    control.close()
    assert asked == [b"\0\0\0\5\4", b"\0\0\0\6", b"\0\0\0\7\0\0\0\6loader", b"\0\0\0\x08", b"\0\0\0\5\0"]


def test_a_refusal_is_a_line(controlled):
    control, _, _ = controlled(b"\0\0\0\x0a")
    with pytest.raises(UnreadableError, match="the swtpm refuses SET_LOCALITY: 0xa"):
        control.set_locality(9)
    control.close()


def test_one_that_goes_away_in_the_middle(controlled):
    control, _, _ = controlled(b"\0\0")
    with pytest.raises(UnreadableError, match=r"control channel of an swtpm at .* (closed the connection|is gone)"):
        control.set_locality(2)


def test_there_is_none(tmp_path):
    with pytest.raises(MissingError, match="no control channel of an swtpm"):
        Control(beside(str(tmp_path / "sock")), 1)
    with pytest.raises(MissingError, match="no control channel of an swtpm"):
        Control(beside("127.0.0.1:65535"), 1)
