"""``efi-shim engine``: which engine is in use, and building the fast one."""

import sys

import typer

app = typer.Typer(help="Say which engine is in use, or build the fast one.", invoke_without_command=True)


@app.callback()
def show(context: typer.Context) -> None:
    """Say which engine is in use, or build the fast one."""
    if context.invoked_subcommand is not None:
        return
    from shim.config.places import cache_folder
    from shim.engine import build, engine_info

    info = engine_info()
    sys.stdout.write(f"Unicorn {info.unicorn}, {'patched' if info.patched else 'as released'}\n")
    if not info.patched:
        built = build.find(cache_folder())
        hint = "not used" if built else "not built: `efi-shim engine build` builds it in some minutes"
        sys.stdout.write(f"The patched engine, which records memory accesses many times as fast, is {hint}.\n")


@app.command("build")
def build_engine() -> None:
    """Build the patched engine into the user's cache, unless it is there."""
    from shim.config.places import cache_folder
    from shim.engine.build import build
    from shim.report.live import Live

    sys.stdout.write(f"{build(cache_folder(), Live().say)}\n")
