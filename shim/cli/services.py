"""``efi-shim services``: what the firmware implements, from its declarations."""


def services() -> None:
    """List every service and protocol method, with its section of the UEFI specification."""
    from rich.table import Table

    from shim.report.services import rows
    from shim.report.text import stdout_console

    table = Table("where", "service", "UEFI", "implemented", "arguments", box=None, pad_edge=False)
    for row in rows():
        table.add_row(row.where, row.name, row.spec, "yes" if row.implemented else "no", row.arguments)
    stdout_console().print(table)
