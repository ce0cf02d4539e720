"""A trained nnU-Net v2 folder, read without nnU-Net: plans, data set, checkpoints.

The folder is the one that training writes, ``<trainer>__<plans>__<configuration>``, with
``plans.json``, ``dataset.json`` and ``fold_*/checkpoint_final.pth``; or a folder that holds exactly
one such folder. Its networks are one ensemble.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_medcnn.core.errors import ModelError
from napari_medcnn.core.segmentation import Label
from napari_medcnn.models.nnunet_checkpoint import CheckpointFacts, read_facts
from napari_medcnn.models.nnunet_labels import channels_of, outputs_of
from napari_medcnn.models.nnunet_network import network_of
from napari_medcnn.models.spec import Channel, ModelSpec, Step

CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
"""nnU-Net predicts with the first; the other is there when training was stopped."""

_RESAMPLING = "resample_data_or_seg_to_shape"
_RESAMPLING_ARGUMENTS = frozenset(
    {"order", "order_z", "force_separate_z", "separate_z_anisotropy_threshold"}
)
_READERS = {"SimpleITKIO": "", "NibabelIO": "", "NibabelIOWithReorient": "RAS"}
_READERS["SimpleITKIOWithReorient"] = "RAS"


def is_nnunet(folder: str | Path) -> bool:
    """Whether a folder is, or holds, one that nnU-Net v2 trained in; reads nothing."""
    return bool(_trained_folders(Path(folder)))


def read_nnunet(folder: str | Path, *, folds: Sequence[str] | None = None) -> ModelSpec:
    """What an nnU-Net is and how it is run.

    Parameters
    ----------
    folder : str or Path
        With ``plans.json``, ``dataset.json`` and ``fold_*``; or one around it.
    folds : sequence of str, optional
        Which of them make the ensemble, e.g. ``("0", "1")``; all but ``fold_all`` by default.

    Raises
    ------
    ModelError
        When files are missing or damaged, or the model needs what is not supported: pictures, a
        cascade, another network or other resampling.
    """
    folder = _trained_folder(Path(os.path.normpath(Path(folder).absolute())))
    plans, dataset = _parsed(folder / "plans.json"), _parsed(folder / "dataset.json")
    members = _members(folder, folds)
    facts = [read_facts(member) for member in members]
    try:
        return _spec(folder, plans, dataset, members, facts)
    except ModelError as error:
        if error.source is not None:
            raise
        raise ModelError(error.what, source=folder, hint=error.hint) from error
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ModelError(f"the plans cannot be understood: {error!r}", source=folder) from error


def _spec(
    folder: Path,
    plans: Mapping[str, Any],
    dataset: Mapping[str, Any],
    members: tuple[Path, ...],
    facts: Sequence[CheckpointFacts],
) -> ModelSpec:
    if len({(f.configuration, f.mirror_axes) for f in facts}) > 1:
        raise ModelError("the folds were not trained alike, they are no ensemble")
    trained = facts[0]
    configuration = _configuration(plans, trained.configuration)
    channels = channels_of(dataset)
    labels, outputs, after = outputs_of(dataset)
    cleanup, note = _cleanup(folder, labels)
    name = str(plans.get("dataset_name", folder.name))
    c, b, a = (int(n) for n in configuration["patch_size"])
    s2, s1, s0 = (float(s) for s in configuration["spacing"])
    axcodes = _orientation(plans)
    return ModelSpec(
        id=f"{name}-{trained.configuration}",
        title=f"{_title(name)} (nnU-Net {trained.configuration})",
        version="",
        path=folder,
        weights=members[0],
        members=members,
        kind="nnunet",
        channels=channels,
        labels=labels,
        activation="sigmoid" if after.discretise == "threshold" else "softmax",
        network=network_of(configuration, len(channels), outputs, trained.trainer),
        preprocessing=_preprocessing(plans, configuration, channels, axcodes),
        postprocessing=replace(after, cleanup=cleanup),
        mirror_axes=tuple(sorted(2 - axis for axis in trained.mirror_axes)),
        roi_size=(a, b, c),
        overlap=0.5,
        blend="gaussian",
        window_layout="nnunet",
        spacing_mm=(s0, s1, s2),
        axcodes=axcodes,
        one_liner=", ".join(label.name for label in labels),
        description=_description(name, dataset, trained, len(members), note),
        licence=str(dataset.get("licence", dataset.get("license", ""))),
        metadata={"dataset": dict(dataset), "configuration": dict(configuration)},
    )


def _trained_folder(folder: Path) -> Path:
    found = _trained_folders(folder)
    if not found:
        raise ModelError(
            "no nnU-Net here: it has no plans.json, dataset.json and fold_*/checkpoint_final.pth",
            source=folder,
            hint="choose the folder <trainer>__<plans>__<configuration> of nnU-Net's results",
        )
    if len(found) > 1:
        names = ", ".join(sorted(f.name for f in found))
        raise ModelError(f"holds several models: {names}", source=folder, hint="choose one of them")
    return found[0]


def _trained_folders(folder: Path) -> list[Path]:
    candidates = [folder, *(sorted(folder.iterdir()) if folder.is_dir() else ())]
    found = []
    for candidate in candidates:
        is_one = (candidate / "plans.json").is_file() and (candidate / "dataset.json").is_file()
        if is_one and any(candidate.glob("fold_*/checkpoint_*.pth")):
            if candidate == folder:
                return [folder]
            found.append(candidate)
    return found


def _members(folder: Path, folds: Sequence[str] | None) -> tuple[Path, ...]:
    """The checkpoints of the ensemble, all of one kind: finished ones, else the best so far."""
    there = {path.name.removeprefix("fold_"): path for path in sorted(folder.glob("fold_*"))}
    for checkpoint in CHECKPOINTS:
        trained = {fold: p / checkpoint for fold, p in there.items() if (p / checkpoint).is_file()}
        # As nnU-Net itself: a network of all cases is no member of the cross-validation's ensemble.
        default = [fold for fold in trained if fold != "all"] or list(trained)
        wanted = default if folds is None else list(folds)
        if wanted and all(fold in trained for fold in wanted):
            return tuple(trained[fold] for fold in wanted)
    raise ModelError(
        f"not all of the folds {', '.join(folds or there)} have a checkpoint",
        source=folder,
        hint=f"expected in each: {' or '.join(CHECKPOINTS)}",
    )


def _configuration(plans: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A configuration with what it inherits.

    Raises
    ------
    ModelError
        When it is none of volumes, or the second stage of a cascade.
    """
    configurations = plans["configurations"]
    merged: dict[str, Any] = {}
    seen: list[str] = []
    following: str | None = name
    while following:
        if following not in configurations or following in seen:
            raise ModelError(f"the plans have no configuration {following}")
        seen.append(following)
        merged = {**configurations[following], **merged}
        following = configurations[following].get("inherits_from")
    if merged.get("previous_stage"):
        raise ModelError(
            f"{name} is the second stage of a cascade, which is not supported",
            hint="use the configuration 3d_fullres or 3d_lowres",
        )
    if len(merged["patch_size"]) != 3:
        raise ModelError(
            f"{name} works on slices; only volumes are supported",
            hint="use the configuration 3d_fullres or 3d_lowres",
        )
    preprocessor = merged.get("preprocessor_name", "DefaultPreprocessor")
    if preprocessor != "DefaultPreprocessor":
        raise ModelError(f"the preprocessing {preprocessor} is not known")
    return merged


def _orientation(plans: Mapping[str, Any]) -> str:
    reader = str(plans.get("image_reader_writer", "SimpleITKIO"))
    if reader not in _READERS:
        raise ModelError(f"the model was trained on files of another kind than volumes: {reader}")
    return _READERS[reader]


def _preprocessing(
    plans: Mapping[str, Any],
    configuration: Mapping[str, Any],
    channels: Sequence[Channel],
    axcodes: str,
) -> tuple[Step, ...]:
    intensities = plans.get("foreground_intensity_properties_per_channel") or plans.get(
        "foreground_intensity_properties_by_modality", {}
    )
    kept = ("mean", "std", "percentile_00_5", "percentile_99_5")
    step = Step(
        "NnunetPreprocessd",
        {
            "keys": "image",
            "transpose_forward": [int(axis) for axis in plans["transpose_forward"]],
            "spacing": [float(s) for s in configuration["spacing"]],
            "normalization": [str(s) for s in configuration["normalization_schemes"]],
            "use_mask": [bool(u) for u in configuration["use_mask_for_norm"]],
            "intensities": [
                {k: float(v) for k, v in intensities.get(str(n), {}).items() if k in kept}
                for n in range(len(channels))
            ],
            "data": _resampling(configuration, "data"),
            "logits": _resampling(configuration, "probabilities"),
        },
    )
    if not len(channels) == len(step.arguments["normalization"]) == len(step.arguments["use_mask"]):
        raise ModelError("the plans do not say how each channel is normalised")
    turned = (Step("Orientationd", {"keys": "image", "axcodes": axcodes}),) if axcodes else ()
    return (*turned, step)


def _resampling(configuration: Mapping[str, Any], of: str) -> dict[str, Any]:
    function = configuration.get(f"resampling_fn_{of}", _RESAMPLING)
    if function != _RESAMPLING:
        raise ModelError(f"the resampling {function} is not known")
    stated = dict(configuration.get(f"resampling_fn_{of}_kwargs", {}))
    stated.pop("is_seg", None)
    unknown = sorted(stated.keys() - _RESAMPLING_ARGUMENTS)
    if unknown:
        raise ModelError(f"the resampling has the unknown arguments {', '.join(unknown)}")
    if of == "probabilities" and stated.get("order", 1) not in (0, 1):
        raise ModelError(f"a way back by splines of order {stated['order']} is not supported")
    return stated


def _cleanup(folder: Path, labels: Sequence[Label]) -> tuple[tuple[Step, ...], str]:
    """What ``nnUNetv2_determine_postprocessing`` chose, from its JSON, and a word on it."""
    files = sorted(folder.glob("**/postprocessing.json"))
    if not files:
        pickled = any(folder.glob("**/postprocessing.pkl"))
        return (), "Its postprocessing.pkl is not read: it could run code." if pickled else ""
    content = _parsed(files[0])
    steps = []
    functions, arguments = content["postprocessing_fns"], content["postprocessing_kwargs"]
    for function, given in zip(functions, arguments, strict=True):
        if function != "remove_all_but_largest_component_from_segmentation":
            raise ModelError(f"the postprocessing {function} is not known", source=files[0])
        chosen = sorted(_flat(given["labels_or_regions"]) & {label.value for label in labels})
        steps.append(
            Step(
                "KeepLargestConnectedComponentd",
                {"keys": "pred", "applied_labels": chosen, "independent": False},
            )
        )
    note = f"Of {len(steps)} groups of labels the largest component is kept." if steps else ""
    return tuple(steps), note


def _flat(values: Any) -> set[int]:
    if isinstance(values, list):
        return {inner for value in values for inner in _flat(value)}
    return {int(values)}


def _title(dataset_name: str) -> str:
    number, _, name = dataset_name.partition("_")
    return name if name and number.startswith("Dataset") else dataset_name


def _description(
    name: str, dataset: Mapping[str, Any], trained: CheckpointFacts, folds: int, note: str
) -> str:
    networks = "one network" if folds == 1 else f"the mean of {folds} networks, one a fold"
    own = str(dataset.get("description", "")).strip()
    made = (
        f"nnU-Net v2, {trained.configuration}, trained on {name} by {trained.trainer} for "
        f"{trained.epoch} epochs; {networks}."
    )
    return " ".join(part for part in (own, made, note) if part)


def _parsed(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"cannot be read: {error}", source=file) from error
    if not isinstance(content, dict):
        raise ModelError("holds no keys and values", source=file)
    return content
