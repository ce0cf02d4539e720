from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medcnn.core.errors import MedcnnError, ReadError
from napari_medcnn.io.pacs.errors import NoSuchProfile
from napari_medcnn.io.pacs.profile_store import (
    find_profile,
    load_profiles,
    profiles_path,
    remove_profile,
    save_profile,
)
from napari_medcnn.io.pacs.profiles import (
    DimseProfile,
    ProfileError,
    WebProfile,
    from_json,
    to_json,
)

WEB = WebProfile("clinic", "https://pacs.example.org/dicom-web", "password", "reader")
DIMSE = DimseProfile("archive", "10.0.0.5", 104, "PACS", retrieve="move", tls=True, ca_file="/ca")


def test_profiles_come_back_as_they_were_in_the_order_of_their_names() -> None:
    assert load_profiles() == ()
    save_profile(WEB)
    save_profile(DIMSE)
    assert load_profiles() == (DIMSE, WEB)
    assert find_profile("clinic") == WEB


def test_a_profile_is_replaced_and_renamed() -> None:
    save_profile(WEB)
    other = WebProfile("clinic2", "https://other.example.org/rs")
    save_profile(other, replacing="clinic")
    assert load_profiles() == (other,)


def test_two_names_that_one_environment_variable_would_serve_are_refused() -> None:
    save_profile(WebProfile("a-b", "https://x/y"))
    with pytest.raises(ProfileError, match="already"):
        save_profile(WebProfile("A_B", "https://x/y"))


def test_an_unknown_name_is_answered_by_those_that_are_known() -> None:
    save_profile(WEB)
    with pytest.raises(NoSuchProfile, match="clinic"):
        find_profile("clinik")
    with pytest.raises(NoSuchProfile):
        remove_profile("clinik")
    remove_profile("clinic")
    assert load_profiles() == ()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/y",
        "pacs.example.org/dicom-web",
        "https://",
        "https://host:99999/",
        "https://host:port/",
        "https://host/a b",
        "https://host/?x=1",
        "https://host/#x",
        "https://[::1",
    ],
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(ProfileError):
        WebProfile("x", url)


def test_a_password_in_the_address_is_refused_without_being_repeated() -> None:
    with pytest.raises(ProfileError) as refused:
        WebProfile("x", "https://reader:hunter2@host/dicom-web")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "-a", "x" * 41, "ä"])
def test_a_name_is_plain(name: str) -> None:
    with pytest.raises(ProfileError):
        WebProfile(name, "https://x/y")


@pytest.mark.parametrize(
    "change",
    [
        {"port": 0},
        {"port": 65536},
        {"called_ae": ""},
        {"called_ae": "   "},
        {"called_ae": "A" * 17},
        {"called_ae": "A\\B"},
        {"calling_ae": "ÄÖ"},
        {"host": "a b"},
        {"host": ""},
        {"retrieve": "push"},
        {"timeout_s": 0.0},
        {"timeout_s": float("nan")},
        {"ca_file": "/ca.pem"},
        {"tls": True, "client_key": "/key.pem"},
    ],
)
def test_an_impossible_dicom_connection_is_refused(change: dict[str, object]) -> None:
    values = {"name": "x", "host": "h", "port": 104, "called_ae": "PACS"} | change
    with pytest.raises(ProfileError):
        DimseProfile(**values)  # type: ignore[arg-type]


def test_only_a_secret_that_leaves_this_machine_in_the_clear_is_warned_of() -> None:
    assert WebProfile("x", "http://host/y", "token").sends_secrets_in_the_clear
    assert not WebProfile("x", "https://host/y", "token").sends_secrets_in_the_clear
    assert not WebProfile("x", "http://host/y").sends_secrets_in_the_clear
    assert not WebProfile("x", "http://127.0.0.1:8042/y", "token").sends_secrets_in_the_clear


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"profiles": 3}',
        '{"profiles": [3]}',
        '{"profiles": [{"kind": "dicomweb"}]}',
        '{"profiles": [{"kind": "dimse", "name": "x", "host": "h", "port": "1"}]}',
        '{"profiles": [{"kind": "dicomweb", "name": "x", "url": "https://x/", "secret": "y"}]}',
        "[" * 100_000,
    ],
)
def test_a_spoilt_list_is_refused_with_its_path(content: str) -> None:
    profiles_path().parent.mkdir(parents=True)
    profiles_path().write_text(content)
    with pytest.raises(ReadError, match=r"pacs\.json"):
        load_profiles()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["name", "url", "login", "user", "host", "port", "called_ae", "tls", "timeout_s"]
)


@given(st.sampled_from(["dicomweb", "dimse"]), st.dictionaries(KEYS, JSON))
def test_any_record_is_a_profile_or_a_clear_refusal(kind: str, values: dict[str, object]) -> None:
    try:
        profile = from_json({"kind": kind, **values})
    except MedcnnError:
        return
    assert from_json(json.loads(json.dumps(to_json(profile)))) == profile


def test_the_file_can_be_moved_by_the_environment(own_configuration: Path) -> None:
    assert profiles_path() == own_configuration / "pacs.json"
