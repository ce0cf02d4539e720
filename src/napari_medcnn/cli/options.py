"""Options that several commands share, worded once."""

from __future__ import annotations

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="JSON for programs.")]
AcceptFindingsOption = Annotated[
    bool, typer.Option("--accept-findings", help="Go on although a finding forbids measuring.")
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace results of another case or model too.")
]
