"""A FastAPI application with one empty handler, under the server settings of `broker serve`.

python -m benchmarks.empty_handler PORT PROCESSES
"""

import sys

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def answer() -> dict[str, str]:
    return {"status": "ok"}


if __name__ == "__main__":
    port, processes = (int(argument) for argument in sys.argv[1:])
    uvicorn.run("benchmarks.empty_handler:app", port=port, workers=processes, log_config=None, access_log=False)
