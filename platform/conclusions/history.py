"""The runs of a study as its store has them: what they ran on and with, and what failed in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from bakeoff.platform.queries.views import Views

MOST_RUNS = 50  # the newest
LONGEST_TEXT = 1000  # characters of a prompt or an error that leave the store


@dataclass(frozen=True)
class RunModel:
    """A model as a run found it; the hash is that of files, dtype and compilation."""

    model: str
    weights_hash: str
    dtype: str | None
    compiled: bool | None
    entries: int


@dataclass(frozen=True)
class RunDevice:
    """A device that worked in a run; `driver` is None on machines without a GPU's."""

    device: str | None
    driver: str | None
    images: int | None


@dataclass(frozen=True)
class RunRecord:
    """One run: everything that its numbers may depend on."""

    run_id: str
    started: datetime
    batch_size: int | None
    workers: int | None
    git_revision: str | None  # None outside a git checkout
    versions: Mapping[str, str]
    files: Mapping[str, str]  # SHA-256 by MODEL/FILE
    models: tuple[RunModel, ...]
    devices: tuple[RunDevice, ...]
    study_text: str  # the YAML


@dataclass(frozen=True)
class Failed:
    """A try that failed; texts are cut at `LONGEST_TEXT`."""

    entry: str
    stage: str
    error_type: str | None
    message: str | None
    prompt: str | None
    seed: int
    attempt: int | None
    run_id: str | None
    sample_id: str
    is_mended: bool  # a later try has made or scored it


class FailedPage(NamedTuple):
    """Some of what failed, and how much there is."""

    shown: list[Failed]
    total: int


def run_records(views: Views, study: str) -> list[RunRecord]:
    """Return the runs of a study, the newest first."""
    models: dict[str, list[RunModel]] = {}
    for row in views.query("run_models", study=study):
        models.setdefault(row.pop("run_id"), []).append(RunModel(**row))
    devices: dict[str, list[RunDevice]] = {}
    for row in views.query("run_devices", study=study):
        devices.setdefault(row.pop("run_id"), []).append(RunDevice(**row))
    return [
        RunRecord(
            run_id=row["run_id"],
            started=row["started"],
            batch_size=row["batch_size"],
            workers=row["workers"],
            git_revision=row["git_revision"],
            versions=row["versions"] or {},
            files=row["files"] or {},
            models=tuple(models.get(row["run_id"], ())),
            devices=tuple(devices.get(row["run_id"], ())),
            study_text=row["study_text"] or "",
        )
        for row in views.query("study_runs", study=study, count=MOST_RUNS)
    ]


def failed_page(views: Views, study: str, *, page: int, size: int) -> FailedPage:
    """Return a page, from 1, of what failed in a study: what is still missing first."""
    rows = views.query(
        "failed_samples", study=study, count=size, skip=(page - 1) * size, length=LONGEST_TEXT
    )
    total = rows[0]["total"] if rows else 0
    found = [{name: value for name, value in row.items() if name != "total"} for row in rows]
    return FailedPage([Failed(**row) for row in found], total)
