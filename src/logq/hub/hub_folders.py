"""Folders of models on the Hugging Face Hub, or on a server that speaks its protocol: fetched and pushed."""

import contextlib
import importlib
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

from logq._arguments import ArgumentError, Verbatim, masked
from logq._project import check_installed, version

__all__ = [
    "FILES",
    "HubError",
    "check_client",
    "fetch_folder",
    "hub_place",
    "is_hub_place",
    "push_folder",
    "repository_name",
]

FILES = ("*.safetensors", "*.json", "README.md")
"""What is fetched and sent of the files of a model: none of them can hold code that loading would run."""

_BELOW = ["*/*"]  # a folder beside a model has its log, or says where on this machine that is
_OF_A_MODEL = [f"{name}{ending}" for name in ("model", "vectors") for ending in (".safetensors", ".json")]

_HOLDING = [f"{name}.safetensors" for name in ("model", "vectors", "index")]

_SCHEME = "hf:/"  # a Path has one slash where two were typed


class HubError(OSError):
    """The hub refused, or could not be reached; the message says which, and what to do.

    Example:
        >>> raise HubError("hf://me/shop: there is no such repository")
        Traceback (most recent call last):
        ...
        logq.hub.hub_folders.HubError: hf://me/shop: there is no such repository
    """


def is_hub_place(place: str | os.PathLike[str]) -> bool:
    r"""Whether a model is named by its place on the hub: hf://user/name.

    Example:
        >>> is_hub_place("hf://me/shop"), is_hub_place(Path("hf://me/shop")), is_hub_place("me/shop")
        (True, True, False)
        >>> is_hub_place("hf:\\me\\shop")
        True
    """
    return _spelled(place).startswith(_SCHEME)


def _spelled(place: str | os.PathLike[str]) -> str:
    """A place as it was typed, of which a Path of Windows has turned the slashes around."""
    text = os.fspath(place)
    return text.replace("\\", "/") if text.startswith("hf:") else text


def fetch_folder(
    place: str | os.PathLike[str],
    revision: str | None = None,
    *,
    token: str | bool | None = None,
    progress: bool | None = None,
) -> Path:
    """Return the folder of a model on this machine: the one that is named, or a copy of a repository of the hub.

    Copies are in the cache of huggingface_hub (HF_HOME), where each file is fetched once. Of a repository only
    safetensors, JSON and the card are fetched, and nothing of the folders in it.

    Args:
        place: "hf://user/name", which may end in "@revision"; "user/name" where there is no such folder here; or a
            folder.
        revision: a branch, a tag or a commit; None is what the place says, else "main".
        token: of the hub; None takes HF_TOKEN, or that of `hf auth login`.
        progress: True shows bars, False none, None bars on a terminal.

    Raises:
        ArgumentError: a revision of a folder on this machine, or a place that is no name of a repository.
        ModuleNotFoundError: the extra `hub` is not installed.
        HubError: there is no such repository or revision, it has no model of logq, or the hub cannot be reached.

    Example:
        >>> fetch_folder(".")
        PosixPath('.')
    """
    text = _spelled(place)
    if not is_hub_place(text) and (os.path.exists(text) or not _is_repository(text)):
        if revision is not None:
            hint = "a folder on this machine has one state"
            raise ArgumentError("revision", f"None, as {text} is a folder", revision, hint)
        return Path(text)
    name, _, said = text.removeprefix(_SCHEME).lstrip("/").partition("@")
    if not _is_repository(name):
        raise ArgumentError("repo_id", "user/name, or hf://user/name@revision", text)
    if revision is not None and said and revision != said:
        raise ArgumentError("revision", f"{said!r}, as the place says", revision)
    hub = _library()
    with _refusals(hub, name, revision or said), _bars(hub, progress):
        _check_files(hub.HfApi(token=token, library_name="logq", library_version=version()), name, revision or said)
        found = hub.snapshot_download(
            name,
            revision=revision or said or None,
            allow_patterns=list(FILES),
            ignore_patterns=_BELOW,
            token=token,
            library_name="logq",
            library_version=version(),
        )
    return Path(found)


def _check_files(api: Any, name: str, revision: str | None) -> None:
    """Check that a repository has a model of logq, before its files are fetched.

    Raises:
        HubError: it has none.
    """
    try:
        files = [one.rfilename for one in api.model_info(name, revision=revision or None).siblings or ()]
        ours = set(_HOLDING).intersection(files)
        if ours and (ours != {"model.safetensors"} or "model.json" in files):
            return
        # Other libraries have a model.safetensors too: its head, of some kilobytes, says whose it is.
        if ours and "logq" in api.parse_safetensors_file_metadata(name, *ours, revision=revision or None).metadata:
            return
    except Exception:  # the hub is not reached, refuses, or has a damaged file: the download tells, or has a copy here
        return
    some = f"{', '.join(sorted(files)[:3])}{', ...' if len(files) > 3 else ''}" if files else "no files"
    raise HubError(f"{hub_place(name, revision)}: expected a model of logq, found {some}; nothing was fetched")


def push_folder(
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    message: str = "",
    progress: bool | None = None,
) -> str:
    """Upload a model as one commit into a repository of the hub, which is made if it is missing.

    A model that was there before is replaced as a whole: files of it that the new one does not have are removed.

    Args:
        folder: of which safetensors, JSON and the card go, but nothing of the folders in it.
        repo_id: "user/name", or "hf://user/name".
        private: True makes a repository that others do not see, and sends nothing to one that they do; None takes
            what is usual on the hub.
        revision: a branch, which is made if it is missing; None is the main one.
        token: of the hub; None takes HF_TOKEN, or that of `hf auth login`.
        message: of the commit.
        progress: True shows bars, False none, None bars on a terminal.

    Returns:
        The address of the commit.

    Raises:
        ArgumentError: `repo_id` is no name of a repository.
        ModuleNotFoundError: the extra `hub` is not installed.
        HubError: the hub refuses it, or cannot be reached.

    Example:
        >>> push_folder("model", "no name")
        Traceback (most recent call last):
        ...
        logq.ArgumentError: repo_id: expected user/name, got 'no name'
    """
    name = repository_name(repo_id)
    hub = _library()
    with _refusals(hub, name, revision), _bars(hub, progress):
        api = hub.HfApi(token=token, library_name="logq", library_version=version())
        api.create_repo(name, private=private, exist_ok=True)
        if private and not api.model_info(name).private:
            hint = "make it private on the hub first, or name another one"
            raise HubError(f"{hub_place(name)}: the repository is there already, and everybody can read it; {hint}")
        if revision is not None:
            api.create_branch(name, branch=revision, exist_ok=True)
        done = api.upload_folder(
            repo_id=name,
            folder_path=folder,
            allow_patterns=list(FILES),
            ignore_patterns=_BELOW,
            delete_patterns=[*_OF_A_MODEL, "titles.json"],
            revision=revision,
            commit_message=message or f"Upload a model by logq {version()}",
        )
    return str(done.commit_url)


def repository_name(repo_id: str) -> str:
    """Return the name of a repository, as which hf://user/name counts too.

    Raises:
        ArgumentError: it is none.

    Example:
        >>> repository_name("hf://me/shop")
        'me/shop'
    """
    name = repo_id.removeprefix(_SCHEME).lstrip("/") if is_hub_place(repo_id) else repo_id
    if not _is_repository(name):
        raise ArgumentError("repo_id", "user/name", repo_id)
    return name


def hub_place(name: str, revision: str | None = None) -> str:
    """Return how a repository is named where a folder of a model could be.

    Example:
        >>> hub_place("me/shop"), hub_place("me/shop", "v1")
        ('hf://me/shop', 'hf://me/shop@v1')
    """
    return f"hf://{name}{f'@{revision}' if revision else ''}"


def _is_repository(text: str) -> bool:
    """Whether a text may be the name of a repository: a user and a name, and nothing that a path would have."""
    parts = text.split("/")
    return len(parts) == 2 and all(part.strip(".-_ ") and not set(part) & set(" \\:?*@") for part in parts)


def check_client() -> None:
    """Check that the client of the hub is there, before a model is saved that it would send.

    Raises:
        ModuleNotFoundError: it is not; the message says how to install it.

    Example:
        >>> check_client()
    """
    check_installed("the Hugging Face Hub", "hub", "huggingface_hub")


def _library() -> Any:
    check_client()
    for part in ("constants", "errors", "utils"):
        importlib.import_module(f"huggingface_hub.{part}")
    return importlib.import_module("huggingface_hub")


@contextlib.contextmanager
def _refusals(hub: Any, name: str, revision: str | None) -> Generator[None, None, None]:
    """The block of a conversation with the hub, whose errors are said in a line."""
    place, endpoint = hub_place(name, revision), masked(hub.constants.ENDPOINT)
    errors = hub.errors
    try:
        yield
    except errors.RevisionNotFoundError:
        raise HubError(f"{place}: the repository has no such branch, tag or commit") from None
    except errors.RepositoryNotFoundError:
        hint = "a private one needs a token: HF_TOKEN, or `hf auth login`"
        raise HubError(f"{place}: there is no such repository, or none that you may see; {hint}") from None
    except errors.LocalEntryNotFoundError as error:
        cause = error.__cause__ or error
        reason = " ".join(str(cause).split()) or type(cause).__name__
        raise HubError(f"{place}: {endpoint} cannot be reached, and no copy is here ({reason})") from None
    except errors.HfHubHTTPError as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        said = getattr(error, "server_message", None) or str(error)
        hint = "; give a token that may: HF_TOKEN, or `hf auth login`" if status in (401, 403) else ""
        raise HubError(f"{place}: the hub refused ({status}: {' '.join(str(said).split())}){hint}") from None
    except errors.HFValidationError as error:
        raise ArgumentError("repo_id", "user/name as the hub allows it", Verbatim(name), str(error)) from None
    except (ConnectionError, TimeoutError) as error:
        raise HubError(f"{place}: {endpoint} cannot be reached ({error})") from None
    except Exception as error:
        if not type(error).__module__.startswith(("httpx", "requests", "urllib3")):
            raise
        raise HubError(f"{place}: {endpoint} cannot be reached ({error})") from None


@contextlib.contextmanager
def _bars(hub: Any, progress: bool | None) -> Generator[None, None, None]:
    """The block in which the bars of huggingface_hub are as `progress` says."""
    shows = sys.stderr.isatty() if progress is None else progress
    before = hub.utils.are_progress_bars_disabled()
    if before or shows:
        yield
        return
    hub.utils.disable_progress_bars()
    try:
        yield
    finally:
        hub.utils.enable_progress_bars()
