import time
from tests.media.test_hub import *
from tests.media.test_hub import hub  # noqa
N=100
async def test_many(hub, mqtt):
    unit = await place(hub)
    made=[await hub.speaker(f"Loa {i}", unit=unit) for i in range(N)]
    from contextlib import AsyncExitStack
    async with AsyncExitStack() as st:
        t=time.monotonic()
        async def fetch(url):
            a = await hub.client.get(url); a.raise_for_status(); return a.content
        devs=[SimulatedLoudspeaker(mqtt.host, mqtt.port, m["device"]["topic"], m["device"]["secret"], pace=0, heartbeat_seconds=0.5, fetch=fetch) for m in made]
        await asyncio.gather(*(d.start() for d in devs))
        for d in devs: st.push_async_callback(d.stop)
        print("connected", time.monotonic()-t)
        async def ready():
            x=[x["state"] for x in (await hub.get("/loudspeakers", unit=unit, limit=200)).json()["items"]]
            return all(y=="ready" for y in x)
        await eventually(ready, 60, pause=0.2); print("all ready", time.monotonic()-t)
        t=time.monotonic()
        sent=(await hub.post("/bulletins", {"unit": unit})).json()["id"]
        async def fin(): return (await hub.get(f"/bulletins/{sent}")).json()["finished"]==N
        await eventually(fin, 60, pause=0.2); print("finished", time.monotonic()-t)
