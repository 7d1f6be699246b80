"""FastAPI as one first writes it: one process, everything in the endpoint. https://fastapi.tiangolo.com/tutorial/first-steps/"""
# mypy: disable-error-code="import-not-found,import-untyped", allow-subclassing-any, allow-untyped-decorators

from __future__ import annotations

import uvicorn
from fastapi import FastAPI, Request

from bench.rivals.road import Answer, Road
from bench.rivals.terms import Terms

app = FastAPI()
terms = Terms.from_environment()
road = Road(terms, threads=terms.workers)


@app.post("/recognize")
async def recognize(request: Request) -> Answer:
    return road.look(await request.body())


if __name__ == "__main__":
    uvicorn.run(app, port=terms.port, log_level="warning")
