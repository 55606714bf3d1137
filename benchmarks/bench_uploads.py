"""How fast one broker takes an upload: pieces of 64 MiB with a checksum (tus), written, hashed and synced.

The peer is a bare ASGI application that writes and hashes the same bodies, under the same server; beside it the same
one that syncs them, too, as whoever promises to keep them must. All are asked in turn, so that a load of the machine
falls on all. The name of the row tells what a whole data set takes, too: a zip
of pictures by one form, which is unpacked, judged and packed again.
"""

import base64
import hashlib
import http.client
import io
import os
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from benchmarks.measuring import serve_broker
from benchmarks.row import Row
from benchmarks.waiting import wait_until_answers
from broker.client.rest import Client
from tests.broker.served import ServedBroker, free_port, make_buyer

PIECE_BYTES, ROUNDS, PICTURES = 64 << 20, 5, 60
SHARE_OF_PEER = 0.7
MIB = 1 << 20
PEER = "bare ASGI application that writes and hashes the body"
SYNCING_PEER = "the same one, which syncs it, too"


def measure() -> list[Row]:
    with serve_broker() as (broker, folder), TemporaryDirectory() as aside, _serve_peer(Path(aside)) as peer:
        with Client(broker.url, broker.admin_key()) as client:
            buyer = make_buyer(client, folder)
            key = client.post(f"/customers/{buyer.customer_id}/api-keys", {"name": "load"})["key"]
        content = os.urandom(PIECE_BYTES)
        ours, bare, synced = list[float](), list[float](), list[float]()
        for _ in range(ROUNDS):
            ours.append(_send_piece(broker.port, key, content))
            bare.append(_send(peer, "POST", "/", content, {}))
            synced.append(_send(peer, "POST", "/synced", content, {}))
        whole = _send_zip(broker, key)
    rate, *peers = (PIECE_BYTES / MIB / statistics.median(seconds) for seconds in (ours, bare, synced))
    name = (
        f"uploads in pieces of 64 MiB with a checksum (a zip of {PICTURES} pictures to its report: {whole:.0f} MiB/s)"
    )
    named = zip((PEER, SYNCING_PEER), peers, strict=True)
    return [Row(name, "MiB/s", rate, peer, theirs, SHARE_OF_PEER, better="higher") for peer, theirs in named]


def _send_piece(port: int, key: str, content: bytes) -> float:
    """Open an upload and send all of it as one piece; returns the seconds of the piece."""
    own = {"Authorization": f"Bearer {key}", "Tus-Resumable": "1.0.0"}
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/v1/uploads", headers=own | {"Upload-Length": str(len(content))})
    place = connection.getresponse().headers["Location"]
    connection.close()
    checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
    told = own | {"Upload-Offset": "0", "Upload-Checksum": f"sha256 {checksum}"}
    seconds = _send(port, "PATCH", place, content, told | {"Content-Type": "application/offset+octet-stream"})
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("DELETE", place, headers=own)
    connection.getresponse().read()
    connection.close()
    return seconds


def _send(port: int, method: str, path: str, content: bytes, headers: dict[str, str]) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.connect()
    begun = time.perf_counter()
    connection.request(method, path, content, headers)
    answer = connection.getresponse()
    answer.read()
    seconds = time.perf_counter() - begun
    connection.close()
    assert answer.status < 300, answer.status
    return seconds


def _send_zip(broker: ServedBroker, key: str) -> float:
    """Send a zip of pictures as one form; returns the MiB a second from the first byte to the report."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(PICTURES):
            picture = io.BytesIO()
            Image.frombytes("RGB", (512, 512), os.urandom(512 * 512 * 3)).save(picture, "PNG", compress_level=0)
            archive.writestr(f"{number} a red cup on a table.png", picture.getvalue())
    content = packed.getvalue()
    boundary = "b" + os.urandom(8).hex()
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="style.zip"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    told = {"Authorization": f"Bearer {key}", "Content-Type": f"multipart/form-data; boundary={boundary}"}
    return len(content) / MIB / _send(broker.port, "POST", "/v1/datasets", body, told)


@contextmanager
def _serve_peer(folder: Path) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.bare_upload", str(port), str(folder)]
    with subprocess.Popen(command) as server:
        wait_until_answers(f"http://127.0.0.1:{port}")
        yield port
        server.terminate()
