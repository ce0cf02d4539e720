"""A real PACS for tests: Orthanc on loopback, a proxy that cuts, and a series to store there."""

from __future__ import annotations

import json
import shutil
import socket
import socketserver
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from napari_medcnn.core.volume import Volume
from napari_medcnn.io.pacs.profiles import DimseProfile, WebProfile

USER = "reader"
PASSWORD = "s3cret-Pass word"
PATIENT = "Doe^Jane"
PATIENT_ID = "P-4711"
SERVER_AE = "ORTHANC"
OUR_AE = "MEDCNN"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
PLUGINS = (
    Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
    Path("/usr/local/share/orthanc/plugins/libOrthancDicomWeb.so"),
)
START_S = 60
STOP_S = 5


@dataclass(frozen=True)
class Orthanc:
    """A running server and the connections that lead to it."""

    web: WebProfile
    dimse: DimseProfile
    log: Path

    @property
    def move(self) -> DimseProfile:
        """The same server, to retrieve from by C-MOVE."""
        return replace(self.dimse, name="orthanc-move", retrieve="move")


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_orthanc(
    folder: Path, certificate: tuple[Path, Path] | None = None
) -> Iterator[Orthanc]:
    """Start Orthanc with a configuration of our own in `folder`, and stop it.

    With a certificate and its key it speaks DICOM by TLS only, to who has the same.
    """
    binary = shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    plugin = next((path for path in PLUGINS if path.is_file()), None)
    if binary is None or plugin is None:
        pytest.skip("Orthanc with its DICOMweb plugin is not installed")
    http, dicom, ours = free_port(), free_port(), free_port()
    modality = {"AET": OUR_AE, "Host": "127.0.0.1", "Port": ours, "AllowGet": True}
    configuration = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "TemporaryDirectory": str(folder),
        "Plugins": [str(plugin)],
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomAet": SERVER_AE,
        "DicomPort": dicom,
        "DicomCheckCalledAet": True,
        "DicomCheckModalityHost": True,
        "DicomModalities": {"ours": modality},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    if certificate is not None:
        modality["UseDicomTls"] = True
        configuration |= {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(certificate[0]),
            "DicomTlsPrivateKey": str(certificate[1]),
            "DicomTlsTrustedCertificates": str(certificate[0]),
        }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration), encoding="utf-8")
    log = folder / "orthanc.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(  # a program and a file of our own
            [binary, str(path)], stdout=stream, stderr=subprocess.STDOUT, cwd=folder
        )
    try:
        _wait_for(process, http, log)
        yield Orthanc(
            WebProfile("orthanc", f"http://127.0.0.1:{http}/dicom-web", "password", USER),
            DimseProfile("orthanc-dimse", "127.0.0.1", dicom, SERVER_AE, OUR_AE, listen_port=ours),
            log,
        )
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:  # it waits for connections that were cut
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until the server answers, with a login asked for."""
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/system", timeout=5)
        except urllib.error.HTTPError as error:
            assert error.code == 401
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"Orthanc did not start: {log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A server for the tests of one module."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(autouse=True)
def own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Connections in a folder of the test's own, and no keyring of the user's.

    It holds for every module that imports it.
    """
    folder = tmp_path / "configuration"
    monkeypatch.setenv("MEDCNN_CONFIG", str(folder))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    return folder


@contextmanager
def cutting_proxy(port: int, after: int) -> Iterator[int]:
    """A TCP proxy to a port of loopback that drops both ends after `after` bytes of answers.

    Yields the proxy's own port.
    """

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with closing(socket.create_connection(("127.0.0.1", port))) as server:
                asking = threading.Thread(target=_pump, args=(self.request, server, None))
                asking.start()
                _pump(server, self.request, after)
                asking.join()

    class Proxy(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Proxy(("127.0.0.1", 0), Relay) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield int(proxy.server_address[1])
        finally:
            proxy.shutdown()
            thread.join()


def _pump(source: socket.socket, target: socket.socket, budget: int | None) -> None:
    try:
        while budget is None or budget > 0:
            data = source.recv(4096)
            if not data:
                return
            if budget is not None:
                data = data[:budget]
                budget -= len(data)
            target.sendall(data)
    except OSError:
        return
    finally:
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class StoredSeries:
    """DICOM files of one series."""

    folder: Path
    study_uid: str
    series_uid: str
    count: int

    @property
    def contents(self) -> dict[str, bytes]:
        """Pixel data by SOP instance UID."""
        return pixels_in(self.folder)


def pixels_in(folder: Path) -> dict[str, bytes]:
    """Pixel data of the DICOM files in a folder by SOP instance UID."""
    datasets = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    return {str(dataset.SOPInstanceUID): dataset.PixelData for dataset in datasets}


def write_mr_series(volume: Volume, folder: Path, description: str = "FLAIR") -> StoredSeries:
    """The axial slices of a volume as MR images, whole numbers as they are."""
    folder.mkdir(parents=True)
    study_uid, series_uid, frame_uid = generate_uid(), generate_uid(), generate_uid()
    array = np.asarray(np.round(volume.array), np.int16)
    geometry = volume.geometry
    affine = geometry.affine
    for k in range(array.shape[0]):
        dataset = pydicom.Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = MR_IMAGE
        uid = generate_uid()
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid
        dataset.PatientName, dataset.PatientID = PATIENT, PATIENT_ID
        dataset.PatientBirthDate, dataset.PatientSex = "19700101", "F"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study_uid, series_uid
        dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = frame_uid, ""
        dataset.StudyID, dataset.AccessionNumber = "1", "A1"
        dataset.StudyDate, dataset.StudyTime = "20240131", "120000"
        dataset.ReferringPhysicianName, dataset.Manufacturer = "", ""
        dataset.StudyDescription, dataset.SeriesDescription = "Head", description
        dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "MR", 3, k + 1
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
        dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "IR", "SK", ""
        dataset.MRAcquisitionType, dataset.EchoTrainLength = "2D", 1
        dataset.RepetitionTime, dataset.EchoTime = 9000, 120
        dataset.SliceThickness = float(geometry.spacing[0])
        dataset.PixelSpacing = [float(geometry.spacing[1]), float(geometry.spacing[2])]
        origin = affine @ [k, 0, 0, 1]
        dataset.ImagePositionPatient = [round(float(mm), 6) for mm in origin[:3]]
        row = affine[:3, 2] / geometry.spacing[2]
        column = affine[:3, 1] / geometry.spacing[1]
        dataset.ImageOrientationPatient = [round(float(x), 9) for x in (*row, *column)]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows, dataset.Columns = array.shape[1:]
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 1
        dataset.PixelData = array[k].tobytes()
        dataset.save_as(folder / f"{k:04}.dcm", enforce_file_format=True)
    return StoredSeries(folder, study_uid, series_uid, array.shape[0])
