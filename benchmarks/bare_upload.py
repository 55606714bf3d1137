"""A bare ASGI application that writes the body of a request to a file and hashes it, under the settings of a broker.

python -m benchmarks.bare_upload PORT FOLDER
"""

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import uvicorn


def make_app(folder: Path) -> Any:
    """Make the application; each body goes into a file of its own, which at `/synced` is synced when it is whole."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        digest, more = hashlib.sha256(), True
        with (folder / os.urandom(8).hex()).open("wb") as file:
            while more:
                message = await receive()
                body = message.get("body", b"")
                digest.update(body)
                file.write(body)
                more = message.get("more_body", False)
            if scope.get("path") == "/synced":
                file.flush()
                os.fsync(file.fileno())
        await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"64")]})
        await send({"type": "http.response.body", "body": digest.hexdigest().encode()})

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(Path(sys.argv[2])), port=int(sys.argv[1]), log_config=None, access_log=False, lifespan="off")
