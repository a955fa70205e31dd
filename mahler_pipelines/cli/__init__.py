"""The command line: `mahler`."""

import sys


def main() -> None:
    """Run `mahler`; a refusal or failure ends with 1 and its reason on stderr, bad usage with 2."""
    from mahler_pipelines.cli.app import app
    from mahler_pipelines.errors import MahlerError

    try:
        app(prog_name="mahler")
    except MahlerError as error:
        print(f"mahler: {error}", file=sys.stderr)
        raise SystemExit(1) from None
