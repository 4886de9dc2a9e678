"""A server on this machine that speaks the routes of the Hugging Face Hub that its client uses for models.

It keeps repositories as lists of commits in memory: `create`, `preupload`, `git-lfs` (basic transfer), `commit`,
`revision`, `tree`, `resolve`, `branch` and `validate-yaml`. Routes, fields and headers are those of huggingface_hub's
sources; tests run the real client against it, with HF_ENDPOINT. What it does not know is a 501, so that no route is
answered by accident.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

__all__ = ["Hub", "serving_hub"]

TOKEN = "hf_test"


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_index(value: Any) -> bool:
    """Whether it is a model index, as the documentation of the hub describes one."""
    return all(
        isinstance(model["name"], str)
        and all(
            isinstance(result["task"]["type"], str)
            and re.fullmatch(r"[\w.-]+", result["dataset"]["type"])
            and isinstance(result["dataset"]["name"], str)
            and all(isinstance(one["type"], str) and isinstance(one["value"], int | float) for one in result["metrics"])
            for result in model["results"]
        )
        for model in value
    )


_FRONT_MATTER = {
    "library_name": lambda value: value == "logq",
    "pipeline_tag": {"text-generation", "feature-extraction", "sentence-similarity", "fill-mask"}.__contains__,
    "license": lambda value: isinstance(value, str),
    "language": _texts,
    "tags": _texts,
    "model-index": _is_index,
}
"""What a card of ours may say, and what each has to be."""


class Hub:
    """What the server has: files by path of each commit, commits by branch."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, Any]] = {}
        self.blobs: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.endpoint = ""
        self.tokens: set[str] = {TOKEN}

    def files(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        found = self.repositories[repo]
        return found["commits"][found["branches"].get(revision, revision)]

    def commit(self, repo: str, branch: str, files: dict[str, bytes]) -> str:
        found = self.repositories[repo]
        number = str(len(found["commits"]))
        name = hashlib.sha1(f"{repo} {number}".encode()).hexdigest()
        found["commits"][name] = files
        found["branches"][branch] = name
        return name


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _no(self, status: int, code: str, message: str) -> None:
        self._answer(status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message})

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(length)
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        writes = self.command in ("POST", "PUT") and "validate-yaml" not in path and "/blobs/" not in path
        if writes and token not in self.hub.tokens:
            return self._no(401, "", "Invalid username or password.")
        for method, pattern, answer in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in method:
                return answer(self, body, *match.groups())
        self._no(501, "", f"no such route: {self.command} {path}")

    do_GET = do_POST = do_PUT = do_HEAD = _handle  # noqa: N815

    def _repo(self, repo: str, revision: str) -> str | None:
        """The commit of a revision; None where the answer is that there is none."""
        found = self.hub.repositories.get(repo)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if found is None or (found["private"] and token not in self.hub.tokens):
            self._no(404 if token in self.hub.tokens else 401, "RepoNotFound", "Repository not found")
            return None
        commit = found["branches"].get(revision, revision)
        if commit not in found["commits"]:
            self._no(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return commit

    # ---------------------------------------------------------------------------------------------------------- routes

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        repo = "/".join(filter(None, [asked.get("organization"), asked["name"]]))
        if repo in self.hub.repositories:
            error = "You already created this model repo"
            return self._answer(409, {"error": error, "url": f"{self.hub.endpoint}/{repo}"}, {"X-Error-Message": error})
        self.hub.repositories[repo] = {
            "commits": {},
            "branches": {},
            "private": asked.get("visibility") == "private" or bool(asked.get("private")),
        }
        self.hub.commit(repo, "main", {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})
        self._answer(200, {"url": f"{self.hub.endpoint}/{repo}", "name": repo, "id": "1"})

    def validate(self, body: bytes) -> None:
        content = json.loads(body)["content"]
        match = re.match(r"---\n(.*?)\n---", content, re.S)
        found = yaml.safe_load(match[1]) if match else None
        if not isinstance(found, dict):
            return self._answer(400, b"no front matter")
        wrong = [name for name, holds in _FRONT_MATTER.items() if name in found and not holds(found[name])]
        if wrong or not set(found) <= set(_FRONT_MATTER):
            return self._answer(400, f"wrong or unknown: {wrong or sorted(found)}".encode())
        self._answer(200, {"errors": [], "warnings": []})

    def preupload(self, body: bytes, repo: str, revision: str) -> None:
        if self._repo(repo, revision) is None:
            return
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
                "oid": None,
            }
            for file in json.loads(body)["files"]
        ]
        self._answer(200, {"files": files})

    def batch(self, body: bytes, repo: str) -> None:
        asked = json.loads(body)
        assert "basic" in asked["transfers"]
        objects = []
        for one in asked["objects"]:
            upload = {"href": f"{self.hub.endpoint}/blobs/{one['oid']}"}
            there = one["oid"] in self.hub.blobs
            objects.append({**one, **({} if there else {"actions": {"upload": upload}})})
        self._answer(200, {"transfer": "basic", "objects": objects}, {"Content-Type": "application/vnd.git-lfs+json"})

    def put(self, body: bytes, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            return self._no(400, "", "the digest differs")
        self.hub.blobs[oid] = body
        self._answer(200, {})

    def commit(self, body: bytes, repo: str, revision: str) -> None:
        if self._repo(repo, revision) is None:
            return
        files = dict(self.hub.files(repo, revision))
        for line in body.decode().splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        name = self.hub.commit(repo, revision, files)
        url = f"{self.hub.endpoint}/{repo}/commit/{name}"
        self._answer(200, {"success": True, "commitOid": name, "commitUrl": url, "hookOutput": ""})

    def branch(self, body: bytes, repo: str, name: str) -> None:
        branches = self.hub.repositories[repo]["branches"]
        if name in branches:
            return self._no(409, "", "Reference already exists")
        branches[name] = branches["main"]
        self._answer(200, {})

    def info(self, body: bytes, repo: str, revision: str | None) -> None:
        commit = self._repo(repo, revision or "main")
        if commit is not None:
            siblings = [{"rfilename": name} for name in self.hub.repositories[repo]["commits"][commit]]
            private = self.hub.repositories[repo]["private"]
            facts = {"id": repo, "modelId": repo, "sha": commit, "siblings": siblings, "tags": [], "private": private}
            self._answer(200, facts)

    def tree(self, body: bytes, repo: str, revision: str) -> None:
        commit = self._repo(repo, revision)
        if commit is None:
            return
        entries = []
        for path, content in self.hub.repositories[repo]["commits"][commit].items():
            oid = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
            entry: dict[str, Any] = {"type": "file", "oid": oid, "size": len(content), "path": path}
            if path.endswith(".safetensors"):
                entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
            entries.append(entry)
        self._answer(200, entries)

    def resolve(self, body: bytes, repo: str, revision: str, path: str) -> None:
        commit = self._repo(repo, revision)
        if commit is None:
            return
        content = self.hub.repositories[repo]["commits"][commit].get(path)
        if content is None:
            return self._no(404, "EntryNotFound", "Entry not found")
        is_large = path.endswith(".safetensors")
        digest = hashlib.sha256(content) if is_large else hashlib.sha1(f"blob {len(content)}\0".encode() + content)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{digest.hexdigest()}"'}
        if is_large:
            headers |= {"X-Linked-Etag": f'"{digest.hexdigest()}"', "X-Linked-Size": str(len(content))}
        self._answer(200, content, headers)


_NAME = r"([\w.-]+/[\w.-]+)"
_ROUTES = [
    ("POST", r"/api/repos/create", _Handler.create),
    ("POST", r"/api/validate-yaml", _Handler.validate),
    ("POST", rf"/api/models/{_NAME}/preupload/(.+)", _Handler.preupload),
    ("POST", rf"/{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", r"/blobs/(\w+)", _Handler.put),
    ("POST", rf"/api/models/{_NAME}/commit/(.+)", _Handler.commit),
    ("POST", rf"/api/models/{_NAME}/branch/(.+)", _Handler.branch),
    ("GET", rf"/api/models/{_NAME}(?:/revision/(.+))?", _Handler.info),
    ("GET", rf"/api/models/{_NAME}/tree/([^/]+)", _Handler.tree),
    (("GET", "HEAD"), rf"/{_NAME}/resolve/([^/]+)/(.+)", _Handler.resolve),
]


@contextmanager
def serving_hub() -> Iterator[Hub]:
    """A hub that listens on this machine for as long as the block lasts."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
