"""Logs whose form has to be told by their first bytes."""

import event_logs
from event_logs import ERRORS, MRS, PCRS, write

from shim.measure.readers import read

__all__ = ["ERRORS"]
FORMS = ("tcg2", "tcg12", "cel-json", "cel-cbor", "cel-tlv", "systemd")


def seeds():
    made = {form: write(form, PCRS) for form in FORMS}
    return made | {"ccel": write("ccel", MRS)}


def target(data):
    log = read(data)
    assert log.form in FORMS
    event_logs.target(data, log.form)
