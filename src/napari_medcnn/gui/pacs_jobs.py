"""Jobs on a PACS for the worker: find the secret, connect, act."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from napari_medcnn.core.events import Done, Job, JobControl
from napari_medcnn.gui.bridge import JobFactory
from napari_medcnn.io.pacs.connection import PacsConnection, open_connection
from napari_medcnn.io.pacs.credentials import Credential, find_credential, keep_in_keyring
from napari_medcnn.io.pacs.profiles import Profile, WebProfile

Act = Callable[[PacsConnection, JobControl], Job]
"""What to do with a connection."""


@dataclass(frozen=True)
class Typed:
    """A secret that the user typed, and whether the keyring shall have it once it has worked."""

    credential: Credential
    keep: bool


def connected(profile: Profile, typed: Typed | None, act: Act) -> JobFactory:
    """A job that connects and acts; looking into the keyring may take its time, too."""

    def make_job(control: JobControl) -> Job:
        credential = find_credential(profile) if typed is None else typed.credential
        connection = open_connection(profile, credential)
        if typed is not None and typed.keep and isinstance(profile, WebProfile):
            # Only what the server accepts is worth keeping.
            for event in connection.verify(control):
                if not isinstance(event, Done):
                    yield event
            keep_in_keyring(profile, typed.credential.secret)
        yield from act(connection, control)

    return make_job
