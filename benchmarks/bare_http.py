"""The baseline of `http_write` and `sheets`: FastAPI and one statement by asyncpg, nothing else.

Settings: DATABASE_URL, PORT. To write is one insert; to read is to hand on a JSON text that lies ready in a table.

The same uvicorn settings and event loop as a service has; no sign-in, transaction of a route, events, telemetry.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
import uuid6
import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, Field

TABLE = """
    CREATE TABLE IF NOT EXISTS bare_petition (
        id uuid PRIMARY KEY, commune text NOT NULL, category text NOT NULL, description text NOT NULL,
        place text NOT NULL, lat float8, lon float8, public boolean NOT NULL, status text NOT NULL,
        reporter text NOT NULL, filed_at timestamptz NOT NULL
    )
"""
INSERT = "INSERT INTO bare_petition VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'filed', 'somebody', $9)"


DOCUMENTS = "CREATE TABLE IF NOT EXISTS bare_document (key integer PRIMARY KEY, body text NOT NULL)"


class PetitionIn(BaseModel):
    commune: str = Field(max_length=20)
    category: str = Field(max_length=40)
    description: str = Field(max_length=4000)
    place: str = Field(default="", max_length=200)
    lat: float | None = Field(default=None, ge=-90, le=90)
    lon: float | None = Field(default=None, ge=-180, le=180)
    public: bool = True


class PetitionOut(PetitionIn):
    id: uuid.UUID
    status: str
    filed_at: datetime


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=8, max_size=16) as pool:
        await pool.execute(TABLE)
        await pool.execute(DOCUMENTS)
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/petitions", status_code=201)
async def file_petition(request: Request, body: PetitionIn) -> PetitionOut:
    identity, at = uuid.UUID(int=uuid6.uuid7().int), datetime.now(UTC)
    given = (identity, body.commune, body.category, body.description, body.place, body.lat, body.lon, body.public, at)
    await request.app.state.pool.execute(INSERT, *given)
    return PetitionOut(**body.model_dump(), id=identity, status="filed", filed_at=at)


@app.get("/documents/{key}")
async def read_document(request: Request, key: int) -> Response:
    body = await request.app.state.pool.fetchval("SELECT body FROM bare_document WHERE key = $1", key)
    return Response(body, media_type="application/json")


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


async def serve() -> None:
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        log_config=None,
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=65_536,
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
