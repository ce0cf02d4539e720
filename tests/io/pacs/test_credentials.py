from __future__ import annotations

import pytest

keyring = pytest.importorskip("keyring", reason="keyring is not installed")

from keyring.backend import KeyringBackend  # noqa: E402
from keyring.errors import KeyringLocked, PasswordDeleteError  # noqa: E402

from napari_medcnn.core.errors import MedcnnError  # noqa: E402
from napari_medcnn.io.pacs.credentials import (  # noqa: E402
    Credential,
    NoCredential,
    environment_variable,
    find_credential,
    forget_in_keyring,
    keep_in_keyring,
    keyring_works,
)
from napari_medcnn.io.pacs.profiles import DimseProfile, WebProfile  # noqa: E402

CLINIC = WebProfile("clinic-1", "https://pacs.example.org/dicom-web", "password", "reader")
SECRET = "hunter2"


class OwnKeyring(KeyringBackend):
    """A keyring in memory, as a backend that `keyring` itself drives."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.is_locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.is_locked:
            raise KeyringLocked
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.is_locked:
            raise KeyringLocked
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError


@pytest.fixture(autouse=True)
def own_keyring(monkeypatch: pytest.MonkeyPatch) -> OwnKeyring:
    before = keyring.get_keyring()
    own = OwnKeyring()
    keyring.set_keyring(own)
    monkeypatch.delenv(environment_variable(CLINIC), raising=False)
    yield own
    keyring.set_keyring(before)


def test_the_keyring_comes_before_the_environment_and_that_before_asking(
    own_keyring: OwnKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_credential(CLINIC, lambda _: "asked") == Credential("reader", "asked")
    monkeypatch.setenv("MEDCNN_PACS_CLINIC_1_PASSWORD", "from the environment")
    assert find_credential(CLINIC, lambda _: "asked").secret == "from the environment"
    keep_in_keyring(CLINIC, SECRET)
    assert find_credential(CLINIC).secret == SECRET
    forget_in_keyring(CLINIC)
    forget_in_keyring(CLINIC)
    assert find_credential(CLINIC).secret == "from the environment"


def test_a_kept_password_goes_to_no_other_server() -> None:
    keep_in_keyring(CLINIC, SECRET)
    elsewhere = WebProfile("clinic-1", "https://evil.example.org/dicom-web", "password", "reader")
    with pytest.raises(NoCredential):
        find_credential(elsewhere)


def test_a_missing_secret_names_the_variable_to_set() -> None:
    with pytest.raises(NoCredential, match="MEDCNN_PACS_CLINIC_1_PASSWORD"):
        find_credential(CLINIC)
    with pytest.raises(NoCredential):
        find_credential(CLINIC, lambda _: None)
    token = WebProfile("clinic-1", "https://x/y", "token")
    assert environment_variable(token) == "MEDCNN_PACS_CLINIC_1_TOKEN"


def test_a_locked_keyring_leaves_the_other_ways(own_keyring: OwnKeyring) -> None:
    own_keyring.is_locked = True
    assert find_credential(CLINIC, lambda _: "asked").secret == "asked"
    with pytest.raises(MedcnnError, match="keyring"):
        keep_in_keyring(CLINIC, SECRET)


def test_a_secret_does_not_show_in_its_representation_nor_in_errors() -> None:
    assert SECRET not in repr(Credential("reader", SECRET))
    assert SECRET not in str(Credential("reader", SECRET))
    with pytest.raises(NoCredential) as refused:
        find_credential(CLINIC, lambda _: f"{SECRET}\r\nX-Header: 1")
    assert SECRET not in str(refused.value)


def test_without_a_login_nobody_is_asked() -> None:
    assert find_credential(WebProfile("x", "https://x/y"), lambda _: "no") is None
    assert find_credential(DimseProfile("x", "h", 104, "PACS"), lambda _: "no") is None


def test_without_a_place_for_secrets_there_is_no_keyring() -> None:
    from keyring.backends import fail

    assert keyring_works()
    keyring.set_keyring(fail.Keyring())
    assert not keyring_works()
    with pytest.raises(MedcnnError, match="no keyring"):
        keep_in_keyring(CLINIC, SECRET)
    assert find_credential(CLINIC, lambda _: "asked").secret == "asked"
