"""Preferences are used, and impossible ones are never dropped in silence."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from napari.utils.notifications import notification_manager

from napari_medcnn.app.settings import Settings
from napari_medcnn.gui import preferences as module


def page(monkeypatch: pytest.MonkeyPatch, **values: object) -> None:
    """Let napari hold these values on the plugin's page."""
    stored = SimpleNamespace(analysis=SimpleNamespace(model_dump=lambda: values))
    monkeypatch.setattr(module, "get_plugin_settings", lambda name: stored)


def test_what_the_user_set_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    page(monkeypatch, device="cpu", autosave_interval_s=5.0)
    assert module.preferences() == Settings(device="cpu", autosave_interval_s=5.0)


def test_an_impossible_value_falls_back_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    page(monkeypatch, autosave_interval_s=600.0)
    known = len(notification_manager.records)
    assert module.preferences() == Settings()
    (told,) = notification_manager.records[known:]
    assert "600 s" in told.message
