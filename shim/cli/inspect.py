"""``efi-shim inspect``: what a file is, without running it."""

import json as json_format
import sys
from typing import Annotated

import typer


def inspect(
    payload: Annotated[str, typer.Argument(metavar="PAYLOAD", help="A file, or a catalogue name.")],
    json: Annotated[bool, typer.Option("--json", help="Write the description to stdout as JSON.")] = False,
) -> None:
    """Say what a payload is: kind, sections, entry, versions, signatures, SBAT, digests."""
    from payloads.describe import describe
    from shim.cli.places import find_payload
    from shim.report.live import Live

    found = describe(find_payload(payload, Live().say))
    if json:
        sys.stdout.write(json_format.dumps(found, indent=2) + "\n")
        return
    from shim.report.tree import write_tree

    write_tree(found)
