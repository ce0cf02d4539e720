"""CT files in which every attribute of PS3.15 Table E.1-1 holds a value that can be found again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from napari_medcnn.core.geometry import Geometry
from tests.io.io_files import ct_slice

PRIVATE_CREATOR = "MARKER MAKER"


class Marks:
    """Hands out values that occur nowhere else, and knows their bytes in a file."""

    def __init__(self) -> None:
        self.values: dict[str, list[bytes]] = {}
        self._count = 0

    def value(self, vr: str, where: str) -> Any:
        """A marked value of a type; its bytes are remembered under `where`."""
        self._count += 1
        number = 10_000 + self._count
        text = f"MK{number}"
        # All dates lie in one year, so that a shifted one is never another mark.
        day = f"2001{1 + self._count % 12:02d}{1 + self._count % 28:02d}"
        values: dict[str, Any] = {
            "UI": f"1.3.99.{number}.7", "DA": day,
            "DT": f"{day}1523{self._count % 60:02d}.{number:06d}",
            "TM": f"{self._count % 24:02d}{self._count % 60:02d}17.{number:06d}",
            "AS": f"{self._count % 900:03d}W", "DS": f"{number}.{number}",
            "IS": str(10**9 + 7 * number), "PN": f"{text}^PERSON", "UR": f"http://{text}.example",
        }  # fmt: skip
        floats = {"FD": np.float64, "FL": np.float32}
        whole = {"US": np.uint16, "SS": np.int16, "UL": np.uint32, "SL": np.int32}
        if vr in floats:
            value: Any = number + 0.0625
            found = floats[vr](value).tobytes()
        elif vr in whole:
            value, found = number, b""  # two bytes are found everywhere by chance
        elif vr in ("OB", "UN", "OW"):
            value = found = f"{text}!!!".encode()
        else:
            value = values.get(vr, text)
            found = str(value).encode()
        if found:
            self.values.setdefault(where, []).append(found)
        return value

    def left_in(self, content: bytes) -> dict[str, int]:
        """Places whose marked values are still in the bytes of a file."""
        # New UIDs are long numbers, in which any date may occur by chance.
        content = re.sub(rb"2\.25\.\d+", b"", content)
        left = {
            where: sum(found in content for found in values)
            for where, values in self.values.items()
        }
        return {where: count for where, count in left.items() if count}


def table_tags() -> Iterator[int]:
    """The table's tags; of repeating groups their first member."""
    for tag in dicomfields_2026c.ALL_TAGS:
        group, element = tag[:2]
        yield (group << 16) + (element or 0x0010)


def planted_ct(marks: Marks, *, private: bool = True) -> Dataset:
    """A CT slice with marks at the top, two levels deep, and in private places."""
    geometry = Geometry.from_spacing((1, 4, 5), (2.0, 1.0, 1.0))
    dataset = ct_slice(np.arange(20, dtype=np.int16).reshape(4, 5), geometry, 0, generate_uid())
    fill(dataset, marks, "top", private=private)
    inner, middle = Dataset(), Dataset()
    fill(inner, marks, "nested twice", private=private)
    fill(middle, marks, "nested", private=private)
    # The sequence is one that the profile keeps: what is in it must be cleaned, not dropped.
    middle.PurposeOfReferenceCodeSequence = Sequence([inner])
    dataset.RealWorldValueMappingSequence = Sequence([middle])
    dataset.preamble = b"MK-PREAMBLE-NAME".ljust(128, b"\0")
    marks.values["preamble"] = [b"MK-PREAMBLE"]
    dataset.file_meta.SourceApplicationEntityTitle = "MKAETITLE"
    dataset.file_meta.PrivateInformationCreatorUID = "1.3.99.55.66"
    dataset.file_meta.PrivateInformation = b"MKPRIVATEMETA!"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    marks.values["meta"] = [b"MKAETITLE", b"1.3.99.55.66", b"MKPRIVATEMETA"]
    return dataset


def fill(dataset: Dataset, marks: Marks, where: str, *, private: bool) -> None:
    """Plant a mark in every attribute of the table, and in private ones."""
    for tag in table_tags():
        if tag >> 16 in (0x0000, 0x0002) or tag == 0x60000010:
            continue
        # The dictionary does not know the youngest attributes of the table.
        vr = dictionary_VR(tag) if dictionary_has_tag(tag) else "LO"
        plant(dataset, tag, vr, marks, f"{where} {tag:08x} {vr}")
    dataset.add_new(0x60003000, "OW", marks.value("OW", f"{where} overlay"))
    dataset.add_new(0x60004000, "LT", marks.value("LT", f"{where} overlay comments"))
    dataset.add_new(0x60020022, "LO", marks.value("LO", f"{where} overlay description"))
    if private:
        for group in (0x0009, 0x0029, 0x7FE1):
            block = dataset.private_block(group, PRIVATE_CREATOR, create=True)
            for offset, vr in enumerate(("LO", "PN", "UI", "DA", "UN", "OB", "UT", "FD")):
                block.add_new(offset, vr, marks.value(vr, f"{where} private {vr}"))
            item = Dataset()
            fill(item, marks, f"{where} in a private sequence", private=False)
            block.add_new(0x20, "SQ", Sequence([item]))


def plant(dataset: Dataset, tag: int, vr: str, marks: Marks, where: str) -> None:
    """One mark; in a sequence it stands inside of an item."""
    if vr == "SQ":
        item = Dataset()
        item.CodeMeaning = marks.value("LO", f"{where} item")
        item.PatientName = marks.value("PN", f"{where} item")
        item.ReferencedSOPInstanceUID = marks.value("UI", f"{where} item")
        dataset.add_new(tag, vr, Sequence([item]))
    elif "or" in vr:
        dataset.add_new(tag, "US", 1)
    else:
        dataset.add_new(tag, vr, marks.value(vr, where))


def save(dataset: Dataset, path: Path, syntax: str) -> Path:
    """Write a planted data set, with bytes behind its end."""
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    dataset.save_as(path, enforce_file_format=True)
    return path
