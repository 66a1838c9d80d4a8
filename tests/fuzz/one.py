"""One fuzz target in this process: with libFuzzer's options and a folder of inputs, or over single files.

    python tests/fuzz/one.py TARGET [-OPTION=VALUE…] FOLDER
    python tests/fuzz/one.py TARGET FILE…

The second form shows again what an input did.
"""

from __future__ import annotations

import resource
import sys

import atheris
from loading import MAX_LENGTH, ROOT, SECONDS, load, try_one

#: Code whose branches guide the search. The rest, such as Arrow or pydantic, takes long to prepare and guides nothing.
GUIDING = ["shim", "efi_services", "payloads", "pefile"]
#: More than any reader may need, and little enough that a size believed by mistake is seen as MemoryError.
ADDRESS_SPACE = 4 << 30
#: What libFuzzer keeps of its own grows with the inputs it tries: 860 MB after 1.5 million of them.
RESIDENT_MB = 2048


def main() -> None:
    """Fuzz until libFuzzer has had enough; it exits, with a status other than 0 if something was found."""
    sys.path.insert(0, str(ROOT))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    name, *options = sys.argv[1:]
    with atheris.instrument_imports(include=GUIDING):
        module = load(name)
    bounds = [
        f"-max_len={getattr(module, 'MAX_LENGTH', MAX_LENGTH)}",
        f"-timeout={getattr(module, 'SECONDS', SECONDS)}",
        f"-rss_limit_mb={RESIDENT_MB}",
    ]
    atheris.Setup([sys.argv[0], *bounds, *options], lambda data: try_one(module, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
