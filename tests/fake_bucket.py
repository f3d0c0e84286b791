"""A server on this machine that is to a program what Google Cloud Storage is: gs://BUCKET/NAME is FOLDER/BUCKET/NAME.

It knows as much of the JSON API (https://docs.cloud.google.com/storage/docs/json_api/v1) as is asked for by gcsfs (under
etils.epath), google-cloud-storage and TensorStore (in Orbax), and google-cloud-cpp (in ArrayRecord).
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

_PATH = re.compile(r"(?:/upload|/download)?/storage/v1/b/([^/]+)(/o)?(?:/([^/]+))?(?:/moveTo/o/([^/]+))?")


class FakeBucket(ThreadingHTTPServer):
    """Serves a folder, inside `with`.

    Attributes:
      environment: what makes a process take this server for Google's, and itself for nobody in particular.
      requests: "GET /path?query range" and so on.
      refusing: the HTTP status that everything is answered with from now on, or None.
    """

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.requests, self.refusing = Path(folder), [], None
        self._generations, self._uploads, self._one_at_a_time = {}, {}, threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.environment = {
            "STORAGE_EMULATOR_HOST": self.url,  # gcsfs, google-cloud-storage
            "FSSPEC_GCS_TOKEN": "anon",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # it would ask, by gRPC, what kind of bucket this is
            "CLOUD_STORAGE_EMULATOR_ENDPOINT": self.url,  # google-cloud-cpp
            "TENSORSTORE_GCS_HTTP_URL": self.url,
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "nobody",  # TensorStore would look for a machine of Google's
        }

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """Nothing: readers hang up when they have what they want of a file, and gcsfs on the slower of two questions."""

    def answer(self, method, url, headers, body):
        """(status, content, headers); content that is a dict is sent as JSON."""
        with self._one_at_a_time:
            return self._refusal(self.refusing) if self.refusing else self._answer(method, url, headers, body)

    def _refusal(self, status):
        return status, {"error": {"code": status, "message": "refused by the test"}}, {}

    def _answer(self, method, url, headers, body):
        url = urlsplit(url)
        query, found = dict(parse_qsl(url.query)), _PATH.fullmatch(url.path)
        bucket, objects, name, target = (part and unquote(part) for part in found.groups())
        if not (self.folder / bucket).is_dir():
            return self._refusal(404)
        if url.path.startswith("/upload"):
            return self._upload(bucket, query, headers, body)
        if not name:
            return 200, self._listing(bucket, query) if objects else {"name": bucket}, {}
        file = self.folder / bucket / name
        if not file.is_file():
            return self._refusal(404)
        if target:
            written = self._write(bucket, target, file.read_bytes())
            file.unlink()
            return written
        if method == "DELETE":
            file.unlink()
            return 204, b"", {}
        if query.get("alt") != "media":
            return 200, self._metadata(bucket, name), {}
        content, generation = file.read_bytes(), {"x-goog-generation": self._generation(bucket, name)}
        if part := re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("Range", "")):
            first, last = (int(text) if text else None for text in part.groups())
            chosen = slice(-last, None) if first is None else slice(first, None if last is None else last + 1)
            start, stop, _ = chosen.indices(len(content))
            return 206, content[chosen], {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}", **generation}
        return 200, content, generation

    def _generation(self, bucket, name):
        """How often the object was written; 0 is none."""
        return self._generations.get((bucket, name), 1) if (self.folder / bucket / name).is_file() else 0

    def _metadata(self, bucket, name):
        size = (self.folder / bucket / name).stat().st_size
        return {"bucket": bucket, "name": name, "size": str(size), "generation": str(self._generation(bucket, name))}

    def _listing(self, bucket, query):
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        files = sorted(file for file in (self.folder / bucket).rglob("*") if file.is_file())
        names = [file.relative_to(self.folder / bucket).as_posix() for file in files]
        ends = {name: name.find(delimiter, len(prefix)) if delimiter else -1 for name in names if name.startswith(prefix)}
        prefixes = {name[: end + 1] for name, end in ends.items() if end >= 0}
        return {"items": [self._metadata(bucket, n) for n, end in ends.items() if end < 0], "prefixes": sorted(prefixes)}

    def _upload(self, bucket, query, headers, body):
        name = query["name"]
        if query["uploadType"] == "resumable":  # begun, then sent in one part or several
            if "upload_id" not in query:
                key = str(len(self._uploads))
                self._uploads[key] = b""
                where = f"{self.url}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={key}&name={quote(name)}"
                return 200, b"", {"Location": where}
            body = self._uploads[query["upload_id"]] = self._uploads[query["upload_id"]] + body
            if headers["Content-Range"].endswith("/*"):
                return 308, b"", {"Range": f"bytes=0-{len(body) - 1}"}
        expected = query.get("ifGenerationMatch")
        if expected is not None and int(expected) != self._generation(bucket, name):
            return self._refusal(412)
        return self._write(bucket, name, body)

    def _write(self, bucket, name, content):
        file = self.folder / bucket / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        self._generations[bucket, name] = self._generations.get((bucket, name), 1) + 1
        return 200, self._metadata(bucket, name), {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _handle(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".rstrip())
        status, content, headers = self.server.answer(self.command, self.path, self.headers, body)
        if isinstance(content, dict):
            content, headers = json.dumps(content).encode(), headers | {"Content-Type": "application/json"}
        self.send_response(status)
        for header, value in (headers | {"Content-Length": len(content)}).items():
            self.send_header(header, str(value))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _handle

    def log_message(self, *arguments):
        """Nothing."""
