"""No patient's name, number or birthday leaves a DICOM file by any road that the package has."""

from __future__ import annotations

import gzip
import io
import logging
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from napari_medcnn.app.layers import volume_layers
from napari_medcnn.app.session import Session
from napari_medcnn.app.session_file import save_session
from napari_medcnn.core.errors import MedcnnError
from napari_medcnn.io.read import read
from tests.bundle_factory import make_bundle
from tests.io.io_files import oblique, save_dicom

IDENTITY = {
    "PatientName": "Zyxwvut^Quirinius", "PatientID": "QX-918273", "PatientBirthDate": "19430917",
    "OtherPatientIDs": "QY-554433", "PatientAddress": "Qwertzstrasse 17",
    "ReferringPhysicianName": "Yolanthe^Drkovic", "InstitutionName": "Qrankenhaus Xanten",
    "AccessionNumber": "ACC-777123", "OperatorsName": "Wrsl^Oprtr",
    "PatientComments": "neighbour of Mrs Kxlmn",
}  # fmt: skip
SECRETS = sorted({part for value in IDENTITY.values() for part in (value, *value.split("^"))})


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """A CT with a bright block, of a patient who can be recognised in any output."""
    array = np.zeros((8, 16, 18), dtype=np.int16)
    array[2:6, 4:10, 5:12] = 100
    folder = tmp_path / "scan"
    save_dicom(folder, array, oblique(array.shape), **IDENTITY)
    return folder


def found_in(content: bytes) -> list[str]:
    """The secrets in some bytes, in the encodings that files use."""
    return [
        secret
        for secret in SECRETS
        if any(secret.encode(code) in content for code in ("utf-8", "utf-16-le", "utf-16-be"))
    ]


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of all files below a folder, also of what is packed in them."""
    for path in sorted(folder.rglob("*")):
        yield f"the name of {path.name}", str(path.relative_to(folder)).encode()
        if not path.is_file():
            continue
        content = path.read_bytes()
        yield path.name, content
        if path.suffix == ".gz":
            yield f"inside {path.name}", gzip.decompress(content)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for name in archive.namelist():
                    yield f"{name} in {path.name}", name.encode() + archive.read(name)


def assert_nothing(folder: Path) -> None:
    leaks = {where: found for where, content in contents(folder) if (found := found_in(content))}
    assert leaks == {}


def test_the_files_themselves_hold_every_secret(series: Path) -> None:
    content = b"".join(path.read_bytes() for path in series.iterdir())
    assert found_in(content) == SECRETS


def test_inspect_convert_and_segment_tell_nothing(
    medcnn: Callable[..., Any], series: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    out = tmp_path / "out"
    bundle = make_bundle(tmp_path / "bright")
    outcomes = [
        medcnn("inspect", series),
        medcnn("inspect", series, "--json"),
        medcnn("convert", series, out / "converted"),
        medcnn("segment", series, "--model", bundle, "--out", out / "case", "--accept-findings"),
    ]
    labels = out / "case" / "labels.nii.gz"
    outcomes += [medcnn("lesions", labels, series, "--json", "--out", out / "lesions")]
    for outcome in outcomes:
        assert outcome.code == 0, outcome.err
        assert found_in((outcome.out + outcome.err).encode()) == []
    assert found_in(caplog.text.encode()) == []
    assert len(list(out.rglob("*"))) > 8
    assert_nothing(out)


def test_layers_and_session_files_tell_nothing(series: Path, tmp_path: Path) -> None:
    (volume,) = read(series)
    layers = volume_layers(volume)
    assert found_in(repr(layers).encode()) == []
    assert found_in(repr(volume).encode()) == []
    session = Session()
    session.add_volume(volume)
    (tmp_path / "saved").mkdir()
    save_session(session, tmp_path / "saved" / "case.medcnn")
    assert_nothing(tmp_path / "saved")


def test_errors_and_findings_tell_nothing(series: Path) -> None:
    paths = sorted(series.iterdir())
    for path, change in zip(paths, ("cut", "moved", "twice", "undecodable"), strict=False):
        dataset = pydicom.dcmread(path)
        if change == "cut":
            path.write_bytes(path.read_bytes()[:-100])
            continue
        if change == "moved":
            dataset.ImagePositionPatient = [0, 0, 500]
        elif change == "undecodable":
            dataset.BitsAllocated = 12
        dataset.save_as(series / "copy" if change == "twice" else path)
    try:
        volumes = read(series)
        told = "\n".join(finding.text for volume in volumes for finding in volume.findings)
    except MedcnnError as error:
        told = f"{error} {error.__cause__!r}"
    assert told
    assert found_in(told.encode()) == []


def test_deidentify_tells_nothing(
    medcnn: Callable[..., Any], series: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    out = tmp_path / "out"
    for arguments in (["--json"], ["--dates", "remove"], ["--keep-patient-characteristics"]):
        outcome = medcnn("deidentify", series, out, *arguments)
        assert outcome.code == 0, outcome.err
        assert found_in((outcome.out + outcome.err).encode()) == []
    assert found_in(caplog.text.encode()) == []
    assert len(list(out.rglob("*.dcm"))) == 24
    assert_nothing(out)
