"""A FastAPI application with one empty handler, under the server settings of `broker serve`.

python -m benchmarks.empty_handler PORT PROCESSES
"""

import sys

import uvicorn
from fastapi import FastAPI

# On a busy machine a process takes longer to start than uvicorn waits before it kills it and starts another.
PATIENCE_SECONDS = 60

app = FastAPI()


@app.get("/")
async def answer() -> dict[str, str]:
    return {"status": "ok"}


if __name__ == "__main__":
    port, processes = (int(argument) for argument in sys.argv[1:])
    options = {"log_config": None, "access_log": False, "timeout_worker_healthcheck": PATIENCE_SECONDS}
    uvicorn.run("benchmarks.empty_handler:app", port=port, workers=processes, **options)
