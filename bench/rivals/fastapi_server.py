"""FastAPI as a careful user writes it: a worker for each processor, decoding and network off the event loop.

https://fastapi.tiangolo.com/deployment/server-workers/ and https://fastapi.tiangolo.com/async/
"""
# mypy: disable-error-code="import-not-found,import-untyped", allow-subclassing-any, allow-untyped-decorators

from __future__ import annotations

import uvicorn
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool

from bench.rivals.road import Answer, Road
from bench.rivals.terms import Terms

app = FastAPI()
road = Road.told()


@app.post("/recognize")
async def recognize(request: Request) -> Answer:
    return await run_in_threadpool(road.look, await request.body())


if __name__ == "__main__":
    terms = Terms.from_environment()
    uvicorn.run("bench.rivals.fastapi_server:app", port=terms.port, workers=terms.workers, log_level="warning")
