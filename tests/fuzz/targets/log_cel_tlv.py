"""Canonical Event Logs of types, lengths and values."""

import event_logs
from event_logs import ERRORS

__all__ = ["ERRORS"]


def seeds():
    return event_logs.seeds("cel-tlv")


def target(data):
    event_logs.target(data, "cel-tlv")
