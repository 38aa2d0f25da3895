"""A hub on this machine: as much of the Hugging Face API as folders that come and go take, and collections."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_localtesttoken"
REPOSITORY = r"/api/(?:models/|(datasets/))([^/]+/[^/]+)"
LARGE = (".safetensors", ".arrow")


class Hub:
    """Repositories by name (``datasets/`` before those of datasets), each path -> content; uploads by oid; collections,
    each slug -> title and items; and every request, as (method, path)."""

    def __init__(self, endpoint: str):
        self.endpoint = endpoint
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.large: dict[str, bytes] = {}
        self.collections: dict[str, dict[str, object]] = {}
        self.requests: list[tuple[str, str]] = []
        self.commits = 0
        self.damages: str | None = None  # a path whose content is sent with one byte changed

    @property
    def sha(self) -> str:
        return hashlib.sha1(str(self.commits).encode()).hexdigest()


@contextmanager
def local_hub() -> Iterator[Hub]:
    """Serve until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.hub  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined]

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            content = b""
            while size := int(self.rfile.readline().strip() or b"0", 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, value: object, status: int = 200, **headers: str) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _path(self) -> str:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path))
        return path

    def _refused(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return False
        self._answer({"error": "Invalid credentials in Authorization header"}, 401)
        return True

    def do_POST(self) -> None:
        path, body = self._path(), self._body()
        if self._refused():
            return
        hub = self.hub
        if path == "/api/repos/create":
            asked = json.loads(body)
            kind = "datasets" if asked.get("type") == "dataset" else None
            name = "/".join(filter(None, (kind, asked.get("organization"), asked["name"])))
            if name in hub.repositories:
                self._answer({"error": "exists", "url": f"{hub.endpoint}/{name}"}, 409)
                return
            hub.repositories[name] = {}
            hub.private[name] = bool(asked.get("private") or asked.get("visibility") == "private")
            self._answer({"url": f"{hub.endpoint}/{name}", "name": name})
        elif path.startswith("/api/validate-yaml"):
            self._answer({"errors": [], "warnings": []})
        elif re.fullmatch(rf"{REPOSITORY}/preupload/.+", path):
            files = json.loads(body)["files"]
            modes = [{"path": one["path"], "shouldIgnore": False,
                      "uploadMode": "lfs" if one["path"].endswith(LARGE) else "regular"}
                     for one in files]  # fmt: skip
            self._answer({"files": modes})
        elif path.endswith(".git/info/lfs/objects/batch"):
            wanted = json.loads(body)["objects"]
            objects = [one | {"actions": {"upload": {"href": f"{hub.endpoint}/upload/{one['oid']}"}}} for one in wanted]
            self._answer({"transfer": "basic", "objects": objects})
        elif found := re.fullmatch(rf"{REPOSITORY}/commit/.+", path):
            name = (found[1] or "") + found[2]
            files = hub.repositories[name]
            for line in body.splitlines():
                entry = json.loads(line)
                value = entry["value"]
                if entry["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif entry["key"] == "lfsFile":
                    files[value["path"]] = hub.large[value["oid"]]
            hub.commits += 1
            url = f"{hub.endpoint}/{name}/commit/{hub.sha}"
            self._answer({"success": True, "commitOid": hub.sha, "commitUrl": url, "hookOutput": ""})
        elif (found := re.fullmatch(r"/api/collections/(.+)/items", path)) and found[1] in hub.collections:
            items = hub.collections[found[1]]["items"]
            item = json.loads(body)["item"]
            if any((one["id"], one["type"]) == (item["id"], item["type"]) for one in items):
                self._answer({"error": "already in the collection"}, 409)
                return
            items.append(item | {"_id": str(len(items)), "position": len(items)})
            self._answer(_collection(found[1], hub.collections[found[1]]))
        else:
            self._answer({"error": f"not here: {path}"}, 404)

    def do_PUT(self) -> None:
        path, body = self._path(), self._body()
        oid = path.rpartition("/")[2]
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.large[oid] = body
        self._answer(b"", ETag=oid)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path, hub = self._path(), self.hub
        if found := re.fullmatch(rf"{REPOSITORY}(?:/revision/.+)?", path):
            name = (found[1] or "") + found[2]
            if name not in hub.repositories:
                self._answer({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
                return
            files = hub.repositories[name]
            self._answer({"id": found[2], "modelId": found[2], "sha": hub.sha, "private": hub.private[name],
                          "tags": [], "downloads": 0, "likes": 0,
                          "siblings": [{"rfilename": path} for path in files]})  # fmt: skip
        elif found := re.fullmatch(rf"{REPOSITORY}/tree/.+", path):
            files = hub.repositories[(found[1] or "") + found[2]]
            self._answer([_entry(name, content) for name, content in files.items()])
        elif (found := re.fullmatch(r"/api/collections/(.+)", path)) and found[1] in hub.collections:
            self._answer(_collection(found[1], hub.collections[found[1]]))
        elif found := re.fullmatch(r"/((?:datasets/)?[^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            content = hub.repositories.get(found[1], {}).get(found[3])
            if content is None:
                what = "Entry" if found[1] in hub.repositories else "Repo"
                self._answer({"error": f"{what} not found"}, 404, X_Error_Code=f"{what}NotFound")
                return
            etag = hashlib.sha256(content).hexdigest()
            if found[3] == hub.damages:
                content = bytes([content[0] ^ 1]) + content[1:]
            self._answer(content, X_Repo_Commit=hub.sha, ETag=f'"{etag}"')
        else:
            self._answer({"error": f"not here: {path}"}, 404)


def _entry(name: str, content: bytes) -> dict[str, object]:
    entry = {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
    if name.endswith(LARGE):
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
    return entry


def _collection(slug: str, held: dict[str, object]) -> dict[str, object]:
    return held | {"slug": slug, "owner": {"name": slug.partition("/")[0]}, "lastUpdated": "2026-01-01T00:00:00.000Z",
                   "position": 0, "private": False, "theme": "green", "upvotes": 0}  # fmt: skip
