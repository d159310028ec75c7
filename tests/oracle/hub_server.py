"""A stand-in for Hugging Face's hub and its CDN, on two ports of this machine: the endpoints that lathe asks, as the hub answers them.

    GET /api/models/USER/REPO/revision/REV           commit, card, tags
    GET /api/models/USER/REPO/tree/COMMIT            pages of files, with Link: <…>; rel="next"
    GET /USER/REPO/resolve/COMMIT/PATH               a small file; of one in LFS a redirect to the CDN, with X-Linked-Etag and -Size
    GET CDN/SHA256?signature                         the bytes: ETag, Range, If-Range

What goes wrong is a knob: `hub.refusals` and `cdn.refusals` answer the next requests, `cdn.breaks` ends connections after so many
bytes, `cdn.change` alters what is sent. Every request is in `hub.log` or `cdn.log` as (path, headers). test_hub_server.py asks it with
huggingface_hub."""

import collections
import hashlib
import http.server
import json
import ssl
import threading
import time
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Repo:
    def __init__(self, files, base=None, tags=(), is_gated=False, commit=COMMIT, **card):
        self.files = {path: data if isinstance(data, bytes) else json.dumps(data).encode() for path, data in files.items()}
        self.card = {**({"base_model": base} if base else {}), **card}
        self.tags, self.is_gated, self.commit = list(tags), is_gated, commit
        self.sizes = {}  # path -> a size that is not the file's

    def entries(self):
        folders = {path.rsplit("/", 1)[0] for path in self.files if "/" in path}
        for folder in sorted(folders):
            yield {"type": "directory", "oid": "0" * 40, "size": 0, "path": folder}
        for path, data in sorted(self.files.items()):
            size = self.sizes.get(path, len(data))
            entry = {"type": "file", "oid": git_id(data), "size": size, "path": path}
            if is_lfs(path):
                entry["lfs"] = {"oid": sha256(data), "size": size, "pointerSize": 134}
            yield entry


def is_lfs(path):
    return path.endswith((".gguf", ".safetensors"))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        site = self.server.site
        site.log.append((self.path, dict(self.headers.items())))
        if site.refusals:
            status, headers = site.refusals.popleft()
            if status:
                return self.answer(status, b"", headers)
        try:
            site.get(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def answer(self, status, body, headers=None, kind="application/json"):
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Site:
    def __init__(self):
        self.log, self.refusals = [], collections.deque()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.site = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def secure(self, certificate):
        """TLS from here on; `certificate` has the key as well."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Cdn(Site):
    def __init__(self):
        super().__init__()
        self.blobs = {}
        self.breaks = collections.deque()  # bytes after which the next answers end
        self.seconds_a_piece = 0  # between pieces of 64 KiB
        self.has_ranges = True
        self.change = lambda data: data
        self.etag = lambda digest: f'"{digest[:32]}"'

    def get(self, request):
        digest = urllib.parse.urlsplit(request.path).path[1:]
        if digest not in self.blobs or "X-Signature=good" not in request.path:
            return request.answer(403, b"<Error>AccessDenied</Error>", kind="application/xml")
        data, etag = self.change(self.blobs[digest]), self.etag(digest)
        first, status, headers = 0, 200, {"ETag": etag, "Accept-Ranges": "bytes"}
        asked = request.headers.get("Range", "")
        if asked.startswith("bytes=") and self.has_ranges and request.headers.get("If-Range", etag) == etag:
            first = int(asked[6:].split("-")[0])
            if first >= len(data):
                return request.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            status, headers["Content-Range"] = 206, f"bytes {first}-{len(data) - 1}/{len(data)}"
        self.send(request, status, data[first:], headers)

    def send(self, request, status, data, headers):
        request.send_response(status)
        for name, value in {**headers, "Content-Length": len(data), "Content-Type": "binary/octet-stream"}.items():
            request.send_header(name, str(value))
        request.end_headers()
        if request.command == "HEAD":
            return
        most = self.breaks.popleft() if self.breaks else None
        sent = 0
        while sent < len(data):
            n = min(65536, len(data) - sent, most - sent if most is not None else 1 << 40)
            if n <= 0:
                request.close_connection = True
                request.wfile.flush()
                return
            request.wfile.write(data[sent : sent + n])
            sent += n
            time.sleep(self.seconds_a_piece)


class Hub(Site):
    def __init__(self):
        super().__init__()
        self.cdn = Cdn()
        self.repos = {}
        self.tokens = {}  # token -> repositories it opens
        self.page = 1000
        self.tree_text = None  # in place of the answer

    def add(self, name, files, **how):
        repo = self.repos[name] = Repo(files, **how)
        for path, data in repo.files.items():
            if is_lfs(path):
                self.cdn.blobs[sha256(data)] = data
        return repo

    def close(self):
        self.cdn.close()
        super().close()

    def get(self, request):
        url = urllib.parse.urlsplit(request.path)
        words = [urllib.parse.unquote(word) for word in url.path.strip("/").split("/")]
        is_api = words[:2] == ["api", "models"]
        name = "/".join(words[2:4] if is_api else words[:2])
        repo, token = self.repos.get(name), request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.tokens:
            return request.answer(401, b'{"error":"x"}', {"X-Error-Message": "Invalid credentials in Authorization header"})
        if not repo:
            status = 404 if token else 401
            return request.answer(status, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        if is_api and len(words) == 4:
            words += ["revision", "main"]
        what, revision, path = (words[4], words[5], "") if is_api else (words[2], words[3], "/".join(words[4:]))
        if revision not in ("main", "v1", "refs/pr/1", repo.commit):
            return request.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": f"Invalid rev id: {revision}"})
        if what == "resolve":
            return self.resolve(request, repo, path, name in self.tokens.get(token, ()))
        if what == "revision":
            body = {"id": name, "sha": repo.commit, "cardData": repo.card, "tags": repo.tags, "gated": repo.is_gated and "auto",
                    "siblings": [{"rfilename": path} for path in repo.files]}  # fmt: skip
            return request.answer(200, json.dumps(body).encode())
        self.tree(request, repo, urllib.parse.parse_qs(url.query))

    def tree(self, request, repo, query):
        if self.tree_text is not None:
            return request.answer(200, self.tree_text)
        start = int(query.get("cursor", ["0"])[0])
        entries = list(repo.entries())
        headers = {}
        if start + self.page < len(entries):
            path = request.path.split("?")[0]
            headers["Link"] = f'<{self.url}{path}?recursive=true&cursor={start + self.page}>; rel="next"'
        request.answer(200, json.dumps(entries[start : start + self.page]).encode(), headers)

    def resolve(self, request, repo, path, is_open):
        if repo.is_gated and not is_open:
            status = 403 if request.headers.get("Authorization") else 401
            return request.answer(status, b"Access to model is restricted.", {"X-Error-Code": "GatedRepo"})
        if path not in repo.files:
            return request.answer(404, b"Entry not found", {"X-Error-Code": "EntryNotFound"})
        data = repo.files[path]
        headers = {"X-Repo-Commit": repo.commit, "ETag": f'"{git_id(data)}"'}
        if not is_lfs(path):
            return request.answer(200, data, headers, "text/plain")
        headers |= {"Location": f"{self.cdn.url}/{sha256(data)}?X-Signature=good", "X-Linked-Size": str(len(data)),
                    "X-Linked-Etag": f'"{sha256(data)}"'}  # fmt: skip
        request.answer(302, b"Found. Redirecting", headers)
