"""Import a model: fetch it, see what it is, check it, and give it its place; the job."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from napari_medcnn.core.atomic import write_json
from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.events import Done, Event, Job, JobControl, Message, Progress
from napari_medcnn.models.bundle import open_config, read_bundle
from napari_medcnn.models.card import section
from napari_medcnn.models.importing import by_card, download
from napari_medcnn.models.importing.archive import unpack
from napari_medcnn.models.importing.card_file import Card, card_beside, read_card
from napari_medcnn.models.importing.copying import copy_file, copy_folder, copy_texts
from napari_medcnn.models.importing.names_agree import compare, stated_names
from napari_medcnn.models.importing.placing import check_name, plain_name, publish, staging
from napari_medcnn.models.importing.recognise import SourceKind, bundle_root, recognise
from napari_medcnn.models.importing.review import wants
from napari_medcnn.models.network_def import stored_files
from napari_medcnn.models.own_code import fingerprint, is_own, own_files
from napari_medcnn.models.registry import find_model
from napari_medcnn.models.spec import ModelSpec
from napari_medcnn.models.trust import is_trusted, remember
from napari_medcnn.models.weights import sha256 as file_sha256

CHECKING = "checking"
"""The last stage's name in :class:`~napari_medcnn.core.events.Progress`."""


def import_model(
    source: str | Path,
    *,
    name: str | None = None,
    sha256: str | None = None,
    trust: bool = False,
    network: str | Mapping[str, Any] | None = None,
    card: str | Path | None = None,
    control: JobControl | None = None,
) -> Job:
    """Bring a model into the user's folder; a generator of events that ends in ``Done(ModelSpec)``.

    Parameters
    ----------
    source : str or Path
        A MONAI Bundle (folder, zip or address), a trained nnU-Net v2 (folder or zip), or with a
        card a TorchScript file, a ``.pt2`` file, a checkpoint, an ONNX file or a SavedModel folder.
    name : str, optional
        What to call it; by default what it calls itself.
    sha256 : str, optional
        What the file must have.
    trust : bool
        The user's yes to a program (TorchScript, ``.pt2``, or the network that a bundle brings as
        Python files), remembered for exactly these files.
    network : str or mapping, optional
        For a checkpoint: the class, and arguments that its shapes do not tell.
    card : str or Path, optional
        The model's card; by default a file of its name with ``.json``, or ``card.json`` beside it.
    control : JobControl, optional
        Cancels between two pieces; a download is resumed by the next try.

    Raises
    ------
    ModelError
        When it is refused, with the reason; nothing is left behind.
    ConsentNeeded
        When it is a program and nobody said yes; nothing of it was run.
    Cancelled
        When the job was cancelled.
    """
    control = control or JobControl()
    if name is not None:
        check_name(name)
    origin = str(source)
    called = Path(origin).name
    if urlsplit(origin).scheme in ("http", "https"):
        called = Path(unquote(urlsplit(origin).path)).name or "model"
        path = yield from download.download(origin, sha256, control)
    else:
        path = Path(source).expanduser().absolute()
        _check_hash(path, sha256)
    kind = recognise(path, called)
    with ExitStack() as kept:
        if kind == "archive":
            folder = kept.enter_context(staging())
            yield from unpack(path, folder, control)
            path, kind = folder, recognise(folder)
        stage = kept.enter_context(staging()) / "model"
        stage.mkdir()
        read = None if card is None and kind in ("bundle", "nnunet") else _card(card, path)
        work = _Import(path, kind, called, stage, control, name, read, trust, network)
        final = yield from work.events()
        write_json(stage / "origin.json", {"source": origin, "sha256": file_sha256(work.weights)})
        control.checkpoint()
        place = publish(stage, final)
    spec = find_model(place)
    yield from _told(spec)
    yield Done(spec)


def _check_hash(path: Path, wanted: str | None) -> None:
    if wanted and (found := file_sha256(path)) != wanted.lower():
        raise ModelError(f"has the SHA-256 {found}, not {wanted.lower()}", source=path)


def _card(card: str | Path | None, path: Path) -> Card:
    file = card_beside(path) if card is None else Path(card).expanduser()
    if file is None:
        raise ModelError(
            "this model needs a card that says how it is used: its channels, labels, spacing",
            source=path,
            hint=f"write {path.stem}.json beside it, or state --card; docs/models.md shows one",
        )
    return read_card(file)


def _told(spec: ModelSpec) -> Generator[Event, None, None]:
    """What a person should know who has just got a model."""
    yield Message(f"{spec.title} is here as {spec.id}")
    licence = spec.licence or "not stated: ask its makers before you use it"
    yield Message(f"licence: {licence}", "info" if spec.licence else "warning")
    if spec.intended_use:
        yield Message(f"intended use: {spec.intended_use}")
    labels = ", ".join(label.name for label in spec.labels[:20])
    verb = "tells apart" if spec.task == "classification" else "finds"
    yield Message(f"{verb}: {labels}" + (" …" if len(spec.labels) > 20 else ""))


@dataclass
class _Import:
    """One import on its way; `stage` becomes the model's folder."""

    path: Path
    kind: SourceKind
    called: str
    stage: Path
    control: JobControl
    name: str | None
    card: Card | None
    trust: bool
    network: str | Mapping[str, Any] | None
    weights: Path = field(default_factory=Path)

    def events(self) -> Generator[Event, None, str]:
        """Fill the stage and check what is there; returns the model's name."""
        yield Progress(CHECKING, 0, 1)
        if self.kind == "bundle":
            name = yield from self._bundle()
        elif self.kind == "nnunet":
            name = self._nnunet()
        else:
            name = yield from self._by_card()
        self.control.checkpoint()
        yield Progress(CHECKING, 1, 1)
        return name

    def _bundle(self) -> Generator[Event, None, str]:
        root = bundle_root(self.path)
        if root is None:
            raise ModelError("holds no configs/inference.json", source=self.path)
        target = open_config(root).network_class()
        if self.trust and is_own(target, root):
            yield from self._own_code(root, target)
        try:
            spec = read_bundle(root)
        except ModelError as error:
            raise _with_all_wishes(error, root) from error
        copy_texts(root, self.stage, self.control)
        for file in own_files(root) if "_own_" in spec.network else ():
            copy_file(file, self.stage / file.relative_to(root), root, self.control)
        for file in (*spec.weight_files, *stored_files(spec.network, root)):
            copy = copy_folder if file.is_dir() else partial(copy_file, root=root)
            copy(file, self.stage / file.relative_to(root), control=self.control)
        fallback = root.name if root != self.path else self.called.removesuffix(".zip")
        own_name = section(spec.metadata, "medcnn").get("id", fallback)
        name = self.name or plain_name(str(own_name))
        self._call_it(name)
        spec = read_bundle(self.stage)
        if self.card is not None:
            self._compare(spec)
        if spec.kind in ("torchscript", "exported"):
            yield from by_card.settle_trust(spec.weights, spec.kind, name, self.trust)
        by_card.check_runs(spec)
        self.weights = spec.weights
        return name

    def _own_code(self, root: Path, target: str) -> Generator[Event, None, None]:
        """Remember the user's yes to a bundle's own network."""
        digest = fingerprint(root)
        if not is_trusted(digest):
            remember(digest, f"{target} of {self.called}")
            names = ", ".join(file.relative_to(root).as_posix() for file in own_files(root))
            yield Message(f"you trust these programs from now on: {names}", "warning")

    def _call_it(self, name: str) -> None:
        """Let the copy say its name itself, so that it stays the same wherever it lies."""
        file = self.stage / "configs" / "metadata.json"
        metadata = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        own = metadata.get("medcnn")
        metadata["medcnn"] = {**(own if isinstance(own, dict) else {}), "id": name}
        write_json(file, metadata)

    def _compare(self, spec: ModelSpec) -> None:
        """The user's card against what the bundle says."""
        card = self.card or {}
        compare(
            "labels",
            [label["name"] for label in card["labels"]],
            [label.name for label in spec.labels],
            "the bundle",
            self.path,
        )
        stated = stated_names(spec.metadata, "inputs")
        if stated:
            channels = [channel["name"] for channel in card["channels"]]
            compare("channels", channels, stated, "the bundle", self.path)

    def _nnunet(self) -> str:
        from napari_medcnn.models.nnunet import read_nnunet

        spec = read_nnunet(self.path)
        files = [spec.path / name for name in ("plans.json", "dataset.json")]
        files += sorted(spec.path.glob("**/postprocessing.json"))
        for file in (*files, *spec.weight_files):
            copy_file(file, self.stage / file.relative_to(spec.path), spec.path, self.control)
        self.weights = read_nnunet(self.stage).weights
        return self.name or plain_name(spec.id)

    def _by_card(self) -> Generator[Event, None, str]:
        if self.card is None:
            raise ModelError("this model needs a card", source=self.path)
        stated = self.card.get("name") or Path(self.called).stem
        name = self.name or plain_name(str(stated))
        request = by_card.Request(
            self.path, self.stage, name, self.card, self.control, self.trust, self.network
        )
        self.weights = yield from by_card.build(request, self.kind)
        return name


def _with_all_wishes(error: ModelError, root: Path) -> ModelError:
    """The refusal of a bundle, with everything else that it wants and does not get."""
    try:
        others = [wish for wish in wants(root) if wish != error.what]
    except ModelError:
        return error
    if not others:
        return error
    return ModelError(
        f"{error.what}; it also wants: {'; '.join(others[:8])}"
        + (f"; and {len(others) - 8} more" if len(others) > 8 else ""),
        source=error.source,
        hint=error.hint,
    )
