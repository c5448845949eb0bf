"""A Hugging Face Hub on this machine's loopback: as much of its API as an upload needs, and what arrived by it."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_token_of_the_tests"
LARGEST_REGULAR = 10_000  # bytes, in a file that is no LFS one


@dataclass
class Repository:
    """``branches`` has by branch what its commits left there, by name."""

    private: bool
    branches: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {}})
    commits: list[dict[str, Any]] = field(default_factory=list)


class FakeHub(ThreadingHTTPServer):
    """``answers`` replaces the answer to a path's beginning by a status and a message."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.answers: dict[str, tuple[int, str]] = {}
        self.asked: list[tuple[str, str]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve(lambda body: self._info())

    def do_PUT(self) -> None:
        self._serve(self._store)

    def do_POST(self) -> None:
        self._serve(self._post)

    def _serve(self, answer: Any) -> None:
        self.server.asked.append((self.command, self.path))
        body = self._body()
        refusal = next((value for key, value in self.server.answers.items() if self.path.startswith(key)), None)
        if refusal:
            return self._send(refusal[0], {"error": refusal[1]})
        # Where objects are stored, the address is the right to write.
        if not self.path.startswith("/objects/") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._send(401, {"error": "Invalid username or password."})
        return self._send(*answer(body))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, status: int, content: Any) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        if isinstance(content, dict) and "error" in content:
            self.send_header("X-Error-Message", content["error"])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _post(self, body: bytes) -> tuple[int, Any]:
        if self.path == "/api/repos/create":
            return self._create(json.loads(body))
        if self.path == "/api/validate-yaml":
            content = json.loads(body)
            assert content["content"].startswith("---\n")
            return 200, {"errors": [], "warnings": []}
        if self.path.endswith(".git/info/lfs/objects/batch"):
            return self._batch(json.loads(body))
        if self.path.startswith("/objects/"):
            return 200 if self.path.rpartition("/")[2] in self.server.objects else 404, {}
        _, _, _, owner, name, action, branch = self.path.split("/", 6)
        repository = self.server.repositories.get(f"{owner}/{name}")
        if repository is None:
            return 404, {"error": "Repository not found"}
        if action == "branch":
            if branch in repository.branches:
                return 409, {"error": "Reference already exists"}
            repository.branches[branch] = dict(repository.branches["main"])
            return 200, {}
        if branch not in repository.branches:
            return 404, {"error": f"Invalid rev id: {branch}"}
        if action == "preupload":
            return 200, {"files": [self._mode(file) for file in json.loads(body)["files"]]}
        return self._commit(repository, branch, [json.loads(line) for line in body.splitlines()])

    def _create(self, wanted: dict[str, Any]) -> tuple[int, Any]:
        name = f"{wanted['organization']}/{wanted['name']}"
        if name in self.server.repositories:
            return 409, {"error": "You already created this model repo", "url": f"{self.server.address}/{name}"}
        private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        self.server.repositories[name] = Repository(private)
        return 200, {"url": f"{self.server.address}/{name}", "name": name}

    def _info(self) -> tuple[int, Any]:
        name = self.path.removeprefix("/api/models/")
        if name not in self.server.repositories:
            return 404, {"error": "Repository not found"}
        return 200, {"id": name, "private": self.server.repositories[name].private, "siblings": [], "tags": []}

    def _mode(self, file: dict[str, Any]) -> dict[str, Any]:
        mode = "lfs" if file["size"] > LARGEST_REGULAR else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}

    def _batch(self, wanted: dict[str, Any]) -> tuple[int, Any]:
        objects = []
        for each in wanted["objects"]:
            address = f"{self.server.address}/objects/{each['oid']}"
            known = each["oid"] in self.server.objects
            actions = {"upload": {"href": address}, "verify": {"href": address}}
            objects.append({**each, **({} if known else {"actions": actions})})
        return 200, {"transfer": "basic", "objects": objects}

    def _store(self, body: bytes) -> tuple[int, Any]:
        oid = self.path.rpartition("/")[2]
        if hashlib.sha256(body).hexdigest() != oid:
            return 400, {"error": "The provided checksum does not match"}
        self.server.objects[oid] = body
        return 200, {}

    def _commit(self, repository: Repository, branch: str, lines: list[dict[str, Any]]) -> tuple[int, Any]:
        files = repository.branches[branch]
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                files[value["path"]] = self.server.objects[value["oid"]]
        repository.commits.append(lines[0]["value"])
        oid = f"{len(repository.commits):040x}"
        address = f"{self.server.address}/{'/'.join(self.path.split('/')[3:5])}/commit/{oid}"
        return 200, {"success": True, "commitOid": oid, "commitUrl": address}
