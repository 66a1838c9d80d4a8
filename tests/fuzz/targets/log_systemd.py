"""The log of systemd's userspace: JSON texts in a sequence."""

import event_logs
from event_logs import ERRORS, PCRS

__all__ = ["ERRORS"]
PHASE = (
    b'\x1e{"pcr":11,"digests":[{"hashAlg":"sha256","digest":"' + b"ab" * 32 + b'"}],"content_type":"systemd",'
    b'"content":{"string":"enter-initrd","bootId":"' + b"0" * 32 + b'","timestamp":1,"eventType":"phase"}}\n'
)


def seeds():
    return {**event_logs.seeds("systemd", (PCRS,)), "phase": PHASE}


def target(data):
    event_logs.target(data, "systemd")
