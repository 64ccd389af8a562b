"""Runs: how far they are, what failed in them, and what their numbers depend on."""

import math
import time
from datetime import timedelta
from typing import Any

import streamlit as st

from bakeoff.dashboards.latest import Latest
from bakeoff.dashboards.look import empty, heading, table
from bakeoff.platform.conclusions.history import (
    Failed,
    FailedPage,
    RunRecord,
    failed_page,
    run_records,
)
from bakeoff.platform.conclusions.leaderboard import Leaderboard
from bakeoff.platform.execution.status import Status, WorkerStatus, status
from bakeoff.platform.queries.views import Views

REFRESH_SECONDS = 5
SILENT_SECONDS = 60  # after which a store that has not changed may be one whose run has ended
FAILURES_A_PAGE = 20
LONGEST_STUDY = 20_000  # characters shown
LONGEST_TEXT = 300  # of a prompt or an error in the table


def page(views: Views, key: str, board: Leaderboard) -> None:
    """Draw a study's progress, failures and provenance."""
    heading("Runs", board)
    top = st.container()
    _failures(views, key, board.study)
    _provenance(_records(views, key, board.study))
    with top:  # last: to count millions of samples takes seconds
        now = _status(views, board.study)
        is_running = now is not None and now.state == "running"
        # Asked again only while there is news to expect.
        progress = st.fragment(_progress, run_every=REFRESH_SECONDS if is_running else None)
        progress(views, board.study, is_running)


@st.cache_resource(max_entries=2, show_spinner=False)
def _counted(path: str) -> Latest[list[Status]]:
    return Latest()


def _status(views: Views, study: str) -> Status | None:
    """Return where a study stands: counted again once the store has changed or is silent."""
    state = f"{views.store.fingerprint()} {int(time.monotonic() / SILENT_SECONDS)}"
    with st.spinner("Counting what is there …"):
        _, found = _counted(str(views.store.path)).get(state, lambda: status(views.store))
    return next((one for one in found if one.study == study), None)


@st.cache_resource(max_entries=8, show_spinner="Reading runs …")
def _records(_views: Views, key: str, study: str) -> list[RunRecord]:
    return run_records(_views, study)


@st.cache_resource(max_entries=32, show_spinner="Reading failures …")
def _failed(_views: Views, key: str, study: str, page: int) -> FailedPage:
    return failed_page(_views, study, page=page, size=FAILURES_A_PAGE)


def _progress(views: Views, study: str, was_running: bool) -> None:
    st.header("Progress", anchor="progress")
    found = _status(views, study)
    if found is None:
        empty("No run of this study is in the store.")
        return
    if was_running and found.state != "running":
        st.rerun()
    st.text(f"{found.state}: run {found.run_id}")
    share = found.scored / found.planned if found.planned else 1.0
    st.progress(min(1.0, share), text=_sentence(found))
    if found.workers:
        table([_worker(worker) for worker in found.workers])


def _sentence(found: Status) -> str:
    told = (
        f"{found.planned} images planned, {found.made} made, {found.scored} scored, "
        f"{found.running} at work, {found.failed} failed"
    )
    if found.images_per_second:
        told += f"; {found.images_per_second:.2g} images a second"
    if found.seconds_left is not None:
        told += f", {timedelta(seconds=round(found.seconds_left))} left"
    return told


def _worker(worker: WorkerStatus) -> dict[str, Any]:
    is_well = worker.is_alive and worker.ended is None
    return {
        "worker": worker.worker,
        "stage": worker.stage,
        "device": worker.device,
        "state": "alive" if is_well else worker.ended or "gone or idle",
        "images": worker.images,
        "failed": worker.failed,
        "at work": worker.at_work,
        "images a second": worker.images_per_second,
        "silent for s": round(worker.silent_seconds),
    }


def _failures(views: Views, key: str, study: str) -> None:
    st.header("Failures", anchor="failures")
    number = int(st.session_state.get("failures", 1))
    found = _failed(views, key, study, number)
    if not found.shown and number > 1:
        found = _failed(views, key, study, 1)
    if not found.shown:
        empty("Nothing failed.")
        return
    pages = math.ceil(found.total / FAILURES_A_PAGE)
    if pages > 1:
        number = st.number_input(
            f"Page, of {pages}", 1, pages, key="failures", bind="query-params", width=160
        )
        found = _failed(views, key, study, number)
    st.text(f"{found.total} tries failed; those whose picture or score is still missing come first")
    table([_failure(one) for one in found.shown])


def _failure(one: Failed) -> dict[str, Any]:
    return {
        "entry": one.entry,
        "stage": one.stage,
        "error": f"{one.error_type}: {_cut(one.message)}",
        "prompt": _cut(one.prompt),
        "seed": one.seed,
        "attempt": one.attempt,
        "since": "mended" if one.is_mended else "missing",
        "run": one.run_id,
    }


def _cut(text: str | None) -> str:
    told = text or ""
    return told if len(told) <= LONGEST_TEXT else f"{told[:LONGEST_TEXT]} …"


def _provenance(records: list[RunRecord]) -> None:
    st.header("Provenance", anchor="provenance")
    table([_record(one) for one in records])
    names = [one.run_id for one in records]
    chosen = st.selectbox("Run", names, key="run", bind="query-params", width=400)
    one = records[names.index(chosen)]
    left, right = st.columns(2)
    with left:
        st.subheader("Models", anchor=False)
        table([vars(model) for model in one.models])
        st.subheader("Devices", anchor=False)
        if one.devices:
            table([vars(device) for device in one.devices])
        else:
            st.text("No worker of this run has told its device.")
        st.subheader("Versions", anchor=False)
        table([{"library": name, "version": text} for name, text in one.versions.items()])
    with right:
        st.subheader("Study", anchor=False)
        st.code(one.study_text[:LONGEST_STUDY], language="yaml", wrap_lines=True)
    with st.expander(f"SHA-256 of {len(one.files)} files"):
        table([{"file": name, "sha256": text} for name, text in one.files.items()])


def _record(one: RunRecord) -> dict[str, Any]:
    return {
        "run": one.run_id,
        "started": one.started,
        "bakeoff": one.versions.get("bakeoff"),
        "revision": one.git_revision,
        "device": ", ".join(dict.fromkeys(str(device.device) for device in one.devices)),
        "workers": one.workers,
        "images a batch": one.batch_size,
    }
