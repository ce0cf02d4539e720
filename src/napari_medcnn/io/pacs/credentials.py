"""Passwords and tokens: from the system's keyring, the environment, or the user; never from a file.

A secret lives in a :class:`Credential`, whose representation hides it, and goes nowhere but into
the request to the server it belongs to.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.io.pacs.profiles import Profile, WebProfile

KEYRING_SERVICE = "napari-medcnn PACS"

Ask = Callable[[WebProfile], str | None]
"""Asks the user for a connection's secret; None when the user doesn't give it."""


class NoCredential(MedcnnError):
    """A connection needs a password or token, and nobody gave one."""


@dataclass(frozen=True)
class Credential:
    """What logs in: a user with a password, or a token. The secret doesn't show."""

    user: str
    secret: str = field(repr=False)


def environment_stem(name: str) -> str:
    """The part of an environment variable's name that stands for a connection."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def environment_variable(profile: WebProfile) -> str:
    """The variable that may hold the secret, e.g. ``MEDCNN_PACS_CLINIC_PASSWORD``."""
    kind = "TOKEN" if profile.login == "token" else "PASSWORD"
    return f"MEDCNN_PACS_{environment_stem(profile.name)}_{kind}"


def find_credential(profile: Profile, ask: Ask | None = None) -> Credential | None:
    """The secret of a connection: from the keyring, else the environment, else by asking.

    Parameters
    ----------
    profile : Profile
        The connection.
    ask : callable, optional
        Asks the user; without it nobody is asked.

    Returns
    -------
    Credential or None
        None when the connection needs none.

    Raises
    ------
    NoCredential
        When one is needed and there is none.
    """
    if not isinstance(profile, WebProfile) or profile.login == "none":
        return None
    secret = _from_keyring(profile) or os.environ.get(environment_variable(profile))
    if not secret and ask is not None:
        secret = ask(profile)
    if not secret:
        raise NoCredential(
            f"the {profile.login} is missing",
            source=f"connection {profile.name}",
            hint=f"keep it in the keyring, or set {environment_variable(profile)}",
        )
    if not secret.isprintable():
        raise NoCredential(
            f"the {profile.login} has a line break or another impossible character",
            source=f"connection {profile.name}",
        )
    return Credential(profile.user, secret)


def keyring_works() -> bool:
    """Whether the system keeps secrets for us: `keyring` is installed and has a place for them."""
    try:
        import keyring
        from keyring.backends import fail
    except ImportError:
        return False
    return not isinstance(keyring.get_keyring(), fail.Keyring)


def keep_in_keyring(profile: WebProfile, secret: str) -> None:
    """Give a secret to the system's keyring.

    Raises
    ------
    MedcnnError
        When there is no keyring, or it refuses.
    """
    if not keyring_works():
        raise MedcnnError(
            "there is no keyring to keep the secret in",
            hint=f"pip install keyring, or set {environment_variable(profile)}",
        )
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(KEYRING_SERVICE, _keyring_entry(profile), secret)
    except KeyringError as error:
        raise MedcnnError("the keyring did not take the secret") from error


def forget_in_keyring(profile: Profile) -> None:
    """Take a connection's secret out of the keyring, if it is there."""
    if not isinstance(profile, WebProfile) or not keyring_works():
        return
    import keyring
    from keyring.errors import KeyringError, PasswordDeleteError

    try:
        keyring.delete_password(KEYRING_SERVICE, _keyring_entry(profile))
    except PasswordDeleteError:
        return  # it was not there
    except KeyringError as error:
        raise MedcnnError("the keyring did not give up the secret") from error


def _from_keyring(profile: WebProfile) -> str | None:
    if not keyring_works():
        return None
    import keyring
    from keyring.errors import KeyringError

    try:
        return keyring.get_password(KEYRING_SERVICE, _keyring_entry(profile))
    except KeyringError:
        return None  # locked, or the user said no: the other ways remain


def _keyring_entry(profile: WebProfile) -> str:
    # Named by the server too: who redirects a connection to another server gets no password.
    return f"{profile.name}: {profile.user}@{profile.origin}"
