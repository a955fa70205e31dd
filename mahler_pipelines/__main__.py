"""`python -m mahler_pipelines` is `mahler`."""

from mahler_pipelines.cli import main

main()
