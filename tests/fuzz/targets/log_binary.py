"""Binary event logs: crypto-agile ones of a TPM and of confidential computing, and those of the older form."""

import event_logs
from event_logs import ERRORS, MRS, PCRS, write

from shim.measure.formats.logs import ccel
from shim.measure.readers import detect

__all__ = ["ERRORS"]


def seeds():
    return {
        **event_logs.seeds("tcg2", (PCRS,)),
        **event_logs.seeds("ccel", (MRS,)),
        "ovmf": ccel(event_logs.measured(MRS), header_index=1),
        "older": write("tcg12", PCRS),
        "unused": write("tcg2", PCRS) + b"\xff" * 64,
    }


def target(data):
    event_logs.target(data, "tcg12" if detect(data) == "tcg12" else "tcg2")
