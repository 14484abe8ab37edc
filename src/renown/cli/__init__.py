"""The command line: `renown`."""


def main() -> None:
    """Entry point of the program `renown`; leaves with an exit code of sysexits.h."""
    from renown.cli.app import run

    raise SystemExit(run())
