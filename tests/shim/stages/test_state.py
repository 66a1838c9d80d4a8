from shim.stages.state import Changes


def test_neighbours_are_one_span():
    changes = Changes("one", [(0x20, b"ab"), (0x10, b"c" * 4), (0x14, b"d"), (0x11, b"e"), (0x22, b"f")])
    assert changes.spans() == [(0x10, 0x15), (0x20, 0x23)]


def test_nothing_written_is_no_span():
    assert Changes("none").spans() == []
