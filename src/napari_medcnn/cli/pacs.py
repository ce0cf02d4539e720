"""``medcnn pacs``: find series on an image server, fetch them, send results back."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from napari_medcnn.cli import output
from napari_medcnn.cli.options import JsonOption
from napari_medcnn.core.errors import MedcnnError

if TYPE_CHECKING:
    from napari_medcnn.io.pacs.connection import PacsConnection
    from napari_medcnn.io.pacs.profiles import WebProfile
    from napari_medcnn.io.pacs.query import Match, Query

group = typer.Typer(help="Find, fetch and send DICOM on a PACS.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The connection's name.")]
PatientId = Annotated[str, typer.Option(help="Patient's number; * and ? stand for anything.")]
First = Annotated[
    datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day of the study.")
]
Last = Annotated[
    datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day of the study.")
]
Modality = Annotated[str, typer.Option(help="E.g. MR, CT, PT.")]
Description = Annotated[str, typer.Option(help="Part of the series' or study's description.")]
Study = Annotated[str, typer.Option(help="Only this study (its UID).")]
Limit = Annotated[int, typer.Option(min=1, help="Most matches.")]


@group.command("profiles")
def profiles(as_json: JsonOption = False) -> None:
    """List the connections."""
    from napari_medcnn.io.pacs.profile_store import load_profiles, profiles_path
    from napari_medcnn.io.pacs.profiles import kind_of, to_json

    known = load_profiles()
    if as_json:
        output.print_json({"profiles": [to_json(profile) for profile in known]})
        return
    view = Table(header_style="bold", box=SIMPLE_HEAD)
    for heading in ("name", "kind", "address"):
        view.add_column(heading, overflow="fold")
    for profile in known:
        view.add_row(profile.name, kind_of(profile), escape(profile.address))
    output.out.print(view)
    output.err.print(f"[dim]{escape(str(profiles_path()))}[/]", soft_wrap=True)


@group.command("add")
def add(
    name: Name,
    url: Annotated[str, typer.Option(help="DICOMweb: https://host/dicom-web")] = "",
    login: Annotated[str, typer.Option(help="DICOMweb: none, password or token.")] = "none",
    user: Annotated[str, typer.Option(help="DICOMweb: the user of a login by password.")] = "",
    host: Annotated[str, typer.Option(help="DICOM protocol: name or IP address.")] = "",
    port: Annotated[int, typer.Option(help="DICOM protocol: the server's port.")] = 104,
    called_ae: Annotated[str, typer.Option(help="DICOM protocol: the server's AE title.")] = "",
    calling_ae: Annotated[str, typer.Option(help="DICOM protocol: our AE title.")] = "MEDCNN",
    retrieve: Annotated[str, typer.Option(help="DICOM protocol: get or move.")] = "get",
    listen_port: Annotated[int, typer.Option(help="Where C-MOVE's images arrive.")] = 11113,
    tls: Annotated[bool, typer.Option(help="DICOM protocol: encrypt.")] = False,
    ca_file: Annotated[str, typer.Option(help="Certificates to trust (PEM).")] = "",
    client_certificate: Annotated[str, typer.Option(help="Our certificate (PEM).")] = "",
    client_key: Annotated[str, typer.Option(help="Our certificate's key (PEM).")] = "",
    timeout: Annotated[float, typer.Option(help="Longest wait for an answer, s.")] = 30.0,
    replace: Annotated[bool, typer.Option(help="Take the place of one of this name.")] = False,
    keep_secret: Annotated[
        bool, typer.Option(help="Ask for the password or token now and keep it in the keyring.")
    ] = False,
) -> None:
    """Add a connection: --url for DICOMweb, or --host and --called-ae for DICOM's protocol."""
    from napari_medcnn.io.pacs.credentials import keep_in_keyring
    from napari_medcnn.io.pacs.profile_store import save_profile
    from napari_medcnn.io.pacs.profiles import WebProfile, from_json

    if bool(url) == bool(host):
        raise typer.BadParameter("give either --url or --host")
    if host and not called_ae:
        raise typer.BadParameter("--host needs --called-ae")
    common = {
        "name": name,
        "ca_file": ca_file,
        "client_certificate": client_certificate,
        "client_key": client_key,
        "timeout_s": timeout,
    }
    if url:
        special: dict[str, Any] = {"kind": "dicomweb", "url": url, "login": login, "user": user}
    else:
        special = {
            "kind": "dimse",
            "host": host,
            "port": port,
            "called_ae": called_ae,
            "calling_ae": calling_ae,
            "retrieve": retrieve,
            "listen_port": listen_port,
            "tls": tls,
        }
    profile = from_json({**common, **special})
    if keep_secret and isinstance(profile, WebProfile):
        secret = _ask(profile)
        if not secret:
            raise MedcnnError("there is no terminal to ask for the secret on")
        keep_in_keyring(profile, secret)
    save_profile(profile, replacing=name if replace else None)
    output.err.print(f"added {escape(profile.name)}: {escape(profile.address)}", soft_wrap=True)


@group.command("remove")
def remove(name: Name) -> None:
    """Remove a connection, and its secret from the keyring."""
    from napari_medcnn.io.pacs.credentials import forget_in_keyring
    from napari_medcnn.io.pacs.profile_store import find_profile, remove_profile

    profile = find_profile(name)
    remove_profile(name)
    forget_in_keyring(profile)
    output.err.print(f"removed {escape(name)}")


@group.command("test")
def test(name: Name, as_json: JsonOption = False) -> None:
    """Ask a server whether it is there and lets us in."""
    from napari_medcnn.io.pacs.connection import Verified

    answer = output.follow(_connect(name).verify(), Verified)
    if as_json:
        output.print_json({"profile": name, "answers": True})
    else:
        output.out.print(escape(answer.text), soft_wrap=True)


@group.command("find")
def find(
    name: Name,
    patient_id: PatientId = "",
    first: First = None,
    last: Last = None,
    modality: Modality = "",
    description: Description = "",
    study: Study = "",
    level: Annotated[str, typer.Option(help="series or study.")] = "series",
    limit: Limit = 200,
    show_patients: Annotated[
        bool, typer.Option(help="Show patients' names and numbers, too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Look for series or studies; without options, for all."""
    query = _query(level, patient_id, first, last, modality, description, study, limit)
    matches, has_more = _found(_connect(name), query)
    if as_json:
        records = [match.to_json(with_identity=show_patients) for match in matches]
        output.print_json({"matches": records, "has_more": has_more})
        return
    output.out.print(_table(matches, show_patients))
    if has_more:
        output.err.print("[yellow]there are more: narrow the search, or raise --limit[/]")


@group.command("get")
def get(
    name: Name,
    out: Annotated[Path, typer.Option(help="Folder; each series gets a folder in it.")],
    study: Study = "",
    series: Annotated[
        list[str] | None, typer.Option(help="Only this series (its UID); may be repeated.")
    ] = None,
    patient_id: PatientId = "",
    first: First = None,
    last: Last = None,
    modality: Modality = "",
    description: Description = "",
    limit: Limit = 20,
    as_json: JsonOption = False,
) -> None:
    """Fetch series: a study, or what the same options of find would show."""
    from napari_medcnn.io.pacs.batch import RetrievedAll, retrieve_all

    if not (study or patient_id or first or last or modality or description):
        raise typer.BadParameter("say which: --study, or the options of find")
    connection = _connect(name)
    query = _query("series", patient_id, first, last, modality, description, study, limit)
    matches, has_more = _found(connection, query)
    if series:
        matches = tuple(match for match in matches if match.series_uid in series)
    elif has_more:
        raise MedcnnError(f"more than {limit} series match", hint="narrow it or raise --limit")
    if not matches:
        raise MedcnnError("no series matches", source=f"connection {name}")
    keys = [match.key for match in matches]
    fetched = output.follow(retrieve_all(connection, keys, out), RetrievedAll)
    if as_json:
        records = [{**asdict(one), "folder": str(one.folder)} for one in fetched.series]
        output.print_json({"retrieved": records, "failures": list(fetched.failures)})
    else:
        for one in fetched.series:
            output.out.print(f"{one.instances} images in {one.folder}", soft_wrap=True)
    if fetched.failures:
        output.fail(f"{len(fetched.failures)} of {len(keys)} series failed")
        raise typer.Exit(1)


@group.command("send")
def send(
    name: Name,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="DICOM files, folders.")],
    as_json: JsonOption = False,
) -> None:
    """Send DICOM objects: images, segmentations, reports."""
    from napari_medcnn.io.pacs.upload import Sent

    sent = output.follow(_connect(name).send(paths), Sent)
    if as_json:
        output.print_json({"profile": name, "sent": sent.instances})
    else:
        output.out.print(f"{sent.instances} objects sent to {escape(name)}", soft_wrap=True)


def _connect(name: str) -> PacsConnection:
    from napari_medcnn.io.pacs.connection import open_connection
    from napari_medcnn.io.pacs.credentials import find_credential
    from napari_medcnn.io.pacs.profile_store import find_profile

    profile = find_profile(name)
    return open_connection(profile, find_credential(profile, _ask))


def _ask(profile: WebProfile) -> str | None:
    """Ask on the terminal, unseen; None where there is nobody to ask."""
    if not sys.stdin.isatty():
        return None
    return str(typer.prompt(f"{profile.login} for {profile.name}", hide_input=True, err=True))


def _query(
    level: str,
    patient_id: str,
    first: datetime | None,
    last: datetime | None,
    modality: str,
    description: str,
    study: str,
    limit: int,
) -> Query:
    from napari_medcnn.io.pacs.query import Query

    return Query(
        level=level,  # type: ignore[arg-type]  # checked there
        patient_id=patient_id,
        first_date=_day(first),
        last_date=_day(last),
        modality=modality,
        description=description,
        study_uid=study,
        limit=limit,
    )


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


def _found(connection: PacsConnection, query: Query) -> tuple[tuple[Match, ...], bool]:
    from napari_medcnn.io.pacs.query import Found

    found = output.follow(connection.find(query), Found)
    return found.matches, found.has_more


def _table(matches: tuple[Match, ...], show_patients: bool) -> Table:
    view = Table(header_style="bold", box=SIMPLE_HEAD)
    for heading in ("date", "modality", "description"):
        view.add_column(heading)
    view.add_column("images", justify="right")
    view.add_column("study, series", overflow="fold")
    if show_patients:
        view.add_column("patient", overflow="fold")
    for match in matches:
        cells = [
            match.study_date or "–",
            escape(match.modality) or "–",
            escape(match.description) or "–",
            "–" if match.instances is None else str(match.instances),
            "\n".join(filter(None, (match.study_uid, match.series_uid))),
        ]
        if show_patients:
            cells.append(escape(f"{match.patient_name}\n{match.patient_id}"))
        view.add_row(*cells)
    return view
