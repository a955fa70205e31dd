"""The command line: `mahler`."""

import os
import sys

for _library in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    # Matrices here are small; a second thread only waits for the first, on a core that the
    # exchange needs. Set before numpy is first imported; what the environment says counts more.
    os.environ.setdefault(_library, "1")


def main() -> None:
    """Run `mahler`; a refusal or failure ends with 1 and its reason on stderr, bad usage with 2."""
    from mahler_pipelines.cli.app import app
    from mahler_pipelines.errors import MahlerError

    try:
        app(prog_name="mahler")
    except MahlerError as error:
        sys.stderr.write(f"mahler: {error}\n")
        raise SystemExit(1) from None
