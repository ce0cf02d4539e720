"""The ``medcnn`` command: one module a command group."""

from __future__ import annotations


def main() -> None:
    """Run the command line; the exit code is 0, 1 for a failure, 2 for bad usage."""
    from napari_medcnn.cli.app import run

    run()
