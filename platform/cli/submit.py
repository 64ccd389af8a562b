"""`bakeoff submit`: hand a study to a Ray cluster, through its Jobs API and with its token."""

import ipaddress
import os
import shlex
import shutil
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Annotated
from urllib.parse import urlsplit

import typer
from typer.main import get_command

from bakeoff.platform.cli.run import run
from bakeoff.platform.store.places import check_url
from bakeoff.samplers.errors import InputError

TOKEN_FILE = Path(".ray/auth_token")  # below the home folder, where Ray keeps it


def submit(
    study: Annotated[
        str, typer.Argument(help="A study file, or the name of a study that is shipped.")
    ],
    store: Annotated[
        str, typer.Option(help="Folder or bucket of the results, as every node sees it.")
    ],
    address: Annotated[
        str, typer.Option(help="Jobs address of the cluster.")
    ] = "http://127.0.0.1:8265",
    options: Annotated[
        list[str] | None, typer.Argument(help="Options of `bakeoff run`, after --.", metavar="-- …")
    ] = None,
) -> None:
    """Run a study on a cluster: as `bakeoff run`, there. Submitting again goes on where it was."""
    _check_address(address)
    _check_store(store)
    _check_token()
    with TemporaryDirectory() as folder:
        name = _pack(study, Path(folder))
        command = ["run", name, "--store", store, *(options or [])]
        _check_options(command)
        job = _hand_over(address, shlex.join(["bakeoff", *command]), Path(folder))
    typer.echo(f"Job {job} makes {store}. Follow it, or end it:")
    for verb in ("logs --follow", "stop"):
        typer.echo(f"  RAY_AUTH_MODE=token ray job {verb} --address {address} {job}")


def _check_address(address: str) -> None:
    """Refuse to send the token where others can read it.

    Raises:
        InputError: it is no address, or plain HTTP to another machine.
    """
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise InputError(f"address {address!r} must be like http://127.0.0.1:8265")
    if parts.scheme == "http" and not _is_loopback(host):
        raise InputError(
            f"address {address!r} would carry the cluster's token over the network in the clear: "
            "give an https address, or http://127.0.0.1:PORT at the end of a tunnel, as `ray "
            "dashboard cluster.yaml` and `kubectl port-forward` make one"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_store(store: str) -> None:
    """Check that every node will find the same store there.

    Raises:
        InputError: it is no URL of a bucket, or a path that each node takes for its own.
    """
    if "://" in store:
        check_url(store)
    elif not PurePosixPath(store).is_absolute():
        raise InputError(
            f"store {store!r} must be an absolute path or a bucket that every node sees, such as "
            "/shared/store or s3://bucket/store"
        )


def _check_token() -> None:
    """Raise `InputError` where Ray would find no token to show to the cluster."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(named) if named else Path.home() / TOKEN_FILE
    if not file.is_file():
        raise InputError(
            f"there is no token for the cluster: {file} does not exist; `ray get-auth-token "
            "--generate` makes one, or set RAY_AUTH_TOKEN to the cluster's"
        )


def _check_options(command: list[str]) -> None:
    """Let the parser of `bakeoff run` refuse here what it would refuse there."""
    app = typer.Typer(add_completion=False)
    app.command()(run)
    get_command(app).make_context("bakeoff run", command[1:])


def _pack(study: str, folder: Path) -> str:
    """Put what the study needs into a folder, and return the name that it has there.

    Raises:
        InputError: the study has a mistake, or a path that means nothing on another machine.
    """
    # Here and not above: it loads DuckDB and torch, seconds that `bakeoff --help` need not wait.
    from bakeoff.platform.studies.study import load_study, shipped_studies
    from bakeoff.platform.studies.study_file import parse_study, read_text

    file = Path(study)
    if study in shipped_studies() or not file.exists():
        load_study(study)
        return study
    part = parse_study(read_text(file), file.name)
    for place, model in enumerate(part.models):
        if model.path and not PurePosixPath(model.path).is_absolute():
            raise InputError(
                f"{file.name}: models[{place}].path {model.path!r} must be absolute, and there on "
                "every node: a checkpoint does not travel with the study"
            )
    if not any(model.path for model in part.models):  # those may lie on the nodes alone
        load_study(study)
    shutil.copyfile(file, folder / "study.yaml")
    if isinstance(part.prompts, str):
        _pack_prompts(file, part.prompts, folder)
    return "study.yaml"


def _pack_prompts(file: Path, prompts: str, folder: Path) -> None:
    target = (folder / prompts).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise InputError(
            f"{file.name}: prompts {prompts!r} must lie beside the study or below it, to travel "
            "with it"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.parent / prompts, target)
    except OSError as error:
        raise InputError(
            f"prompts file {file.parent / prompts} cannot be read: {error.strerror}"
        ) from error


def _hand_over(address: str, command: str, folder: Path) -> str:
    """Submit a command with a folder to stand in, and return the job's id.

    Raises:
        InputError: nothing answers at the address, it refuses the token, or it refuses the job.
    """
    os.environ["RAY_AUTH_MODE"] = "token"  # read when Ray is imported
    os.environ["RAY_API_SERVER_ADDRESS"] = address  # Ray would let RAY_ADDRESS win over ours
    from ray.exceptions import RayError
    from ray.job_submission import JobSubmissionClient

    runtime = {"working_dir": str(folder)} if any(folder.iterdir()) else {}
    try:
        return JobSubmissionClient(address).submit_job(entrypoint=command, runtime_env=runtime)
    except ConnectionError as error:
        raise InputError(f"no Ray cluster answers at {address}") from error
    except (RayError, RuntimeError) as error:
        raise InputError(f"{address} refused the job: {str(error).splitlines()[0]}") from error
