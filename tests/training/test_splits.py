"""Splits: no group on two sides, the same seed the same split, and every kind on every side."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medcnn.core.errors import MedcnnError, ReadError
from napari_medcnn.training.grouping import Grouping
from napari_medcnn.training.manifest import Manifest, Split, TrainCase
from napari_medcnn.training.splits import (
    LeakError,
    folds,
    make_split,
    read_split,
    read_splits,
    require_no_leak,
    require_usable,
    write_splits,
)


def classified(patients: list[int], classes: list[str] | None = None) -> Manifest:
    """A case for each entry of `patients`, which says whose it is."""
    kinds = classes or ["a" if patient % 2 else "b" for patient in patients]
    cases = tuple(
        TrainCase(f"c{number:03d}", (Path(f"/d/{number}.png"),), f"P{patient}", target=kind)
        for number, (patient, kind) in enumerate(zip(patients, kinds, strict=True))
    )
    return Manifest("set", "classification", ("x",), ("a", "b", "rare"), cases)


def grouping_of(manifest: Manifest, groups: dict[str, str] | None = None) -> Grouping:
    """What is known without reading a file."""
    own = {case.id: case.patient or case.id for case in manifest.cases}
    return Grouping(groups or own, {case.id: str(case.target) for case in manifest.cases})


MANY = st.lists(st.integers(0, 12), min_size=4, max_size=60).filter(lambda p: len(set(p)) >= 3)
SHARES = st.tuples(st.floats(0.05, 0.6), st.one_of(st.just(0.0), st.floats(0.05, 0.35)))


@settings(max_examples=60)
@given(MANY, SHARES, st.integers(0, 2**31))
def test_no_patient_stands_in_two_parts_and_every_case_in_one(
    patients: list[int], shares: tuple[float, float], seed: int
) -> None:
    manifest = classified(patients)
    split = make_split(manifest, validation=shares[0], test=shares[1], seed=seed)
    whose = {case.id: case.patient for case in manifest.cases}
    train, validation, test = ({whose[name] for name in part} for part in split.parts.values())
    assert not train & validation and not train & test and not validation & test
    assert train and validation and bool(test) == bool(shares[1])
    everyone = [name for part in split.parts.values() for name in part]
    assert sorted(everyone) == [case.id for case in manifest.cases]


@settings(max_examples=30)
@given(MANY, st.integers(0, 2**31), st.randoms(use_true_random=False))
def test_the_same_seed_gives_the_same_split_in_any_order_of_cases(
    patients: list[int], seed: int, random: object
) -> None:
    manifest = classified(patients)
    shuffled = list(manifest.cases)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = replace(manifest, cases=tuple(shuffled))
    assert make_split(manifest, seed=seed) == make_split(again, seed=seed)


@settings(max_examples=40)
@given(MANY, st.integers(2, 13), st.integers(0, 2**31))
def test_folds_have_each_case_in_validation_once(
    patients: list[int], count: int, seed: int
) -> None:
    manifest = classified(patients)
    if count > len(set(patients)):
        with pytest.raises(MedcnnError, match="folds"):
            folds(manifest, count, seed=seed)
        return
    drawn = folds(manifest, count, seed=seed)
    assert [(split.fold, split.folds) for split in drawn] == [(n, count) for n in range(count)]
    judged = [name for split in drawn for name in split.validation]
    assert sorted(judged) == [case.id for case in manifest.cases]
    for split in drawn:
        require_usable(manifest, split)


@settings(max_examples=30)
@given(st.integers(10, 60), st.integers(10, 60), st.sampled_from([0.1, 0.2, 0.25, 0.5]))
def test_each_class_has_its_share_on_both_sides(a: int, b: int, share: float) -> None:
    manifest = classified(list(range(a + b)), ["a"] * a + ["b"] * b)
    split = make_split(manifest, validation=share, seed=a)
    counts = Counter(manifest.case(name).target for name in split.validation)
    assert abs(counts["a"] - share * a) <= 1
    assert abs(counts["b"] - share * b) <= 1


def test_a_rare_class_stands_on_both_sides_when_two_patients_have_it() -> None:
    manifest = classified(list(range(42)), ["a"] * 20 + ["b"] * 20 + ["rare"] * 2)
    for seed in range(5):
        split = make_split(manifest, seed=seed)
        kinds = [{manifest.case(name).target for name in part} for part in split.parts.values()]
        assert kinds[0] == kinds[1] == {"a", "b", "rare"}


def test_thousands_of_patients_are_divided_at_once() -> None:
    rng = np.random.default_rng(0)
    patients = [int(n) for n in rng.integers(0, 3000, 9000)]
    kinds = [str(kind) for kind in rng.choice(["a", "b", "rare"], 9000, p=[0.6, 0.37, 0.03])]
    manifest = classified(patients, kinds)
    start = time.process_time()
    split = make_split(manifest, validation=0.15, test=0.2, grouping=grouping_of(manifest))
    assert time.process_time() - start < 5
    require_usable(manifest, split)
    whole = Counter(kinds)
    target = {case.id: case.target for case in manifest.cases}
    for part, share in (("validation", 0.15), ("test", 0.2)):
        drawn = Counter(target[name] for name in split.parts[part])  # type: ignore[index]
        for kind, count in whole.items():
            assert abs(drawn[str(kind)] / count - share) < (0.08 if kind == "rare" else 0.02)


def test_different_seeds_give_different_splits() -> None:
    manifest = classified(list(range(40)))
    assert len({make_split(manifest, seed=seed).validation for seed in range(4)}) == 4


def test_two_patients_are_enough_for_two_parts_and_not_for_three() -> None:
    manifest = classified([0, 0, 1])
    split = make_split(manifest)
    assert sorted(map(len, (split.train, split.validation))) == [1, 2]
    with pytest.raises(MedcnnError, match="3 are needed"):
        make_split(manifest, test=0.3)
    with pytest.raises(MedcnnError, match="2 are needed"):
        make_split(classified([0, 0]))


@pytest.mark.parametrize(("validation", "test"), [(0, 0), (1, 0), (0.5, 0.5), (0.2, -0.1)])
def test_impossible_shares_are_refused(validation: float, test: float) -> None:
    with pytest.raises(MedcnnError, match="leave nothing"):
        make_split(classified([0, 1, 2]), validation=validation, test=test)


def parted(parts: list[str | None], patients: list[int] | None = None) -> Manifest:
    manifest = classified(patients or list(range(len(parts))))
    cases = zip(manifest.cases, parts, strict=True)
    return replace(manifest, cases=tuple(replace(c, part=p) for c, p in cases))  # type: ignore[arg-type]


def test_parts_of_the_makers_are_kept_and_only_the_rest_is_drawn() -> None:
    manifest = parted(["train"] * 10 + ["test"] * 3)
    split = make_split(manifest, test=0.4)
    assert split.test == ("c010", "c011", "c012")
    assert len(split.validation) == 2
    assert any("makers" in note for note in split.notes)
    manifest = parted(["train"] * 6 + ["validation"] * 2 + [None] * 2)
    split = make_split(manifest, validation=0.5, test=0.25)
    assert split.validation == ("c006", "c007")
    assert len(split.test) == 2
    assert len(split.train) == 6


def test_folds_keep_the_makers_test_and_share_out_their_validation() -> None:
    manifest = parted(["train"] * 6 + ["validation"] * 2 + ["test"] * 2)
    drawn = folds(manifest, 4)
    assert {split.test for split in drawn} == {("c008", "c009")}
    assert sorted(n for split in drawn for n in split.validation) == [f"c00{n}" for n in range(8)]
    assert any("folds" in note for note in drawn[0].notes)


def test_makers_parts_that_share_a_patient_are_a_leak() -> None:
    manifest = parted(["train", "train", "train", "test"], [0, 1, 2, 2])
    with pytest.raises(LeakError, match="share patients: P2"):
        make_split(manifest)


def test_what_looks_like_a_test_case_is_left_out_of_training() -> None:
    manifest = parted(["train"] * 6 + ["test"] * 2)
    manifest = replace(manifest, cases=tuple(replace(c, patient=None) for c in manifest.cases))
    groups = {case.id: case.id for case in manifest.cases} | {"c001": "like", "c007": "like"}
    split = make_split(manifest, grouping=grouping_of(manifest, groups))
    assert split.test == ("c006", "c007")
    assert "c001" not in split.train + split.validation
    assert any("c001" in note for note in split.notes)


def sound() -> tuple[Manifest, Split]:
    manifest = classified([0, 0, 1, 2, 3])
    return manifest, Split(("c000", "c001", "c002"), ("c003",), ("c004",))


def test_a_leak_is_an_error_whatever_leaks() -> None:
    manifest, split = sound()
    require_usable(manifest, split)
    with pytest.raises(LeakError, match="patient P0"):
        require_no_leak(manifest, replace(split, train=("c000",), validation=("c001",)))
    with pytest.raises(LeakError, match="case c003"):
        require_no_leak(manifest, replace(split, test=("c003",)))
    with pytest.raises(LeakError, match="case c000"):
        require_no_leak(manifest, replace(split, train=("c000", "c000")))
    with pytest.raises(LeakError, match="group g"):
        require_no_leak(manifest, replace(split, groups={"c002": "g", "c003": "g"}))
    same = tuple(
        replace(case, images=manifest.cases[2].images) if case.id == "c004" else case
        for case in manifest.cases
    )
    with pytest.raises(LeakError, match=r"image .*2\.png"):
        require_no_leak(replace(manifest, cases=same), split)
    with pytest.raises(MedcnnError, match="c9"):
        require_no_leak(manifest, replace(split, test=("c9",)))


def test_a_split_needs_someone_to_teach_and_someone_to_judge() -> None:
    manifest, split = sound()
    with pytest.raises(MedcnnError, match="validation part is empty"):
        require_usable(manifest, replace(split, validation=()))
    with pytest.raises(MedcnnError, match="train part is empty"):
        require_usable(manifest, replace(split, train=()))
    bare = replace(manifest, cases=(replace(manifest.cases[0], target=None), *manifest.cases[1:]))
    with pytest.raises(MedcnnError, match="no label or class: c000"):
        require_usable(bare, split)


def test_splits_come_back_from_their_file(tmp_path: Path) -> None:
    manifest = classified(list(range(12)))
    drawn = folds(manifest, 3, test=0.2, seed=4)
    write_splits(drawn, tmp_path / "split.json")
    assert read_splits(tmp_path / "split.json", manifest) == drawn
    assert read_split(tmp_path / "split.json", manifest, 2) == drawn[2]
    with pytest.raises(ReadError, match="no fold 3"):
        read_split(tmp_path / "split.json", manifest, 3)


def test_a_file_that_was_edited_into_a_leak_is_refused(tmp_path: Path) -> None:
    manifest = classified([0, 0, 1, 2, 3])
    path = tmp_path / "split.json"
    write_splits([make_split(manifest)], path)
    content = json.loads(path.read_text())
    first = content["splits"][0]
    first["train"].append(first["validation"][0])
    path.write_text(json.dumps(content))
    with pytest.raises(LeakError):
        read_splits(path, manifest)
    path.write_text(json.dumps({**content, "splits": [{**first, "typo": 1}]}))
    with pytest.raises(ReadError, match="typo"):
        read_splits(path, manifest)
    path.write_text(json.dumps({**content, "splits": []}))
    with pytest.raises(ReadError, match="no split"):
        read_splits(path, manifest)
