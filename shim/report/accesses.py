"""``show accesses``: the folded accesses of a run, summed in one way or another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.errors import UnreadableError, UsageError
from shim.report.query import show_query

if TYPE_CHECKING:
    from shim.trace.folder import RunFolder

Range = tuple[int | None, int | None]

_REGION = "CASE WHEN r.id IS NULL THEN 'nobody''s memory' ELSE concat_ws(' ', r.kind, nullif(r.name, ''), r.type) END"
#: At the start services write what the payload finds, without any call.
_SERVICE = "coalesce((SELECT any_value(concat_ws('.', protocol, service)) FROM calls WHERE pc = t.pc), 'the start')"
_FUNCTION = "function_at(t.pc, t.first_call)"
_NAME = f"CASE origin WHEN 'cpu' THEN coalesce({_FUNCTION}, 'code elsewhere') ELSE {_SERVICE} END"
_SINCE = "(SELECT concat_ws('.', c.protocol, c.service) FROM calls c WHERE c.seq + 1 = t.first_call)"
#: What rows are summed by, and in which order.
_BY = {
    "region": (f"r.start, {_REGION} AS region, origin", "bytes DESC, region, origin, kind"),
    "function": (f"{_NAME} AS function, origin", "bytes DESC, function, kind"),
    "code": (f"t.pc, {_FUNCTION} AS function, {_REGION} AS region", "bytes DESC, pc, region, kind"),
    "call": (
        f"nullif(t.first_call, 0) - 1 AS call, coalesce({_SINCE}, 'the start') AS since, origin",
        "call, origin, kind",
    ),
}
WAYS = tuple(_BY)


def show_accesses(
    run: RunFolder, limit: int, by: str = "region", code: Range = (None, None), calls: Range = (None, None)
) -> None:
    """Counts and bytes by region, function, instruction or interval; of *code* (addresses) or between *calls* only."""
    if run.report.accesses.level != "exact":
        raise UnreadableError(f"{run.path}: made with --trace calls, so no accesses were recorded; use --trace exact")
    if by not in _BY:
        raise UsageError(f"--by {by}: give {', '.join(WAYS)}")
    what, order = _BY[by]
    low, high = code
    after, last = calls
    conditions = [
        *([f"t.pc >= {low:d}"] if low is not None else []),
        *([f"t.pc < {high:d}"] if high is not None else []),
        *(["t.origin = 'cpu'"] if by == "code" or code != (None, None) else []),
        # Rows of an interval carry the number of calls that have begun.
        *([f"t.first_call > {after:d}"] if after is not None else []),
        *([f"t.first_call <= {last:d}"] if last is not None else []),
    ]
    show_query(
        run,
        # Nothing but our own words, and numbers.
        f"SELECT {what}, if(write, 'write', 'read') AS kind, sum(count)::UBIGINT AS accesses,"  # noqa: S608
        " sum(bytes)::UBIGINT AS bytes, min(first_call)::UBIGINT AS first_call, max(last_call)::UBIGINT AS last_call"
        f" FROM touched t LEFT JOIN regions r ON r.id = t.region WHERE {' AND '.join(conditions) or 'true'}"
        f" GROUP BY ALL ORDER BY {order} {f'LIMIT {limit:d}' if limit else ''}",
        "table",
    )
