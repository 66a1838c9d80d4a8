"""Canonical Event Logs as CBOR."""

import event_logs
from event_logs import ERRORS

__all__ = ["ERRORS"]


def seeds():
    return event_logs.seeds("cel-cbor")


def target(data):
    event_logs.target(data, "cel-cbor")
