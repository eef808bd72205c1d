"""Owns the telecom partner: signs in with client credentials and streams what its network knows of the village."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc
import httpx
from xaso.indicators.v1 import indicators_pb2 as pb
from xaso.indicators.v1 import indicators_pb2_grpc as stubs

from launcher.addresses import Addresses, Client
from launcher.scenario.talk import REQUEST_SECONDS, ScenarioFailed

HOUSEHOLDS = 50
ADULTS = 120
AREAS = 20
CALL_SECONDS = 60.0


class Telecom:
    """One partner on one connection. Every figure is of households, people and areas by the partner's opaque ids."""

    def __init__(self, service: stubs.ObservationServiceStub, token: str, unit: str) -> None:
        self._service = service
        self._token = token
        self._unit = unit
        # A round of the demonstration is a new survey: its observations are new ones and not those of the last round.
        self._survey = uuid.uuid4().hex[:12]
        self._written = 0

    async def fibre(self, covered: int) -> list[pb.Observation]:
        """Report every household of the village, `covered` of them with fibre; returns what was sent."""
        source = "Khảo sát cáp quang đến hộ gia đình"
        told = [self._count("village.households", HOUSEHOLDS, source)]
        told += self._flags("household.fibre", "HO", covered, HOUSEHOLDS, source)
        await self._accepted(told)
        return told

    async def smartphones(self, users: int) -> None:
        """Report the working-age people of the village, `users` of them with a smartphone on 4G/5G."""
        source = "Thống kê thuê bao 4G/5G theo độ tuổi lao động"
        told = [self._count("village.working_age_people", ADULTS, source)]
        await self._accepted(told + self._flags("person.mobile_internet", "NG", users, ADULTS, source))

    async def coverage(self, covered: int) -> None:
        """Report the parts of the village's area, `covered` of them with a mobile signal."""
        await self._accepted(self._flags("area.signal", "O", covered, AREAS, "Đo vùng phủ sóng di động"))

    async def repeat(self, told: Sequence[pb.Observation]) -> int:
        """Send the same observations again, as after a broken connection; returns how many counted as duplicates."""
        answer = await self._submit(told)
        if answer.duplicate != len(told):
            raise ScenarioFailed(f"{len(told)} repeated observations, and only {answer.duplicate} known as duplicates")
        return int(answer.duplicate)

    async def _accepted(self, told: Sequence[pb.Observation]) -> None:
        answer = await self._submit(told)
        if answer.accepted != len(told):
            reasons = sorted({one.reason for one in answer.rejections})
            raise ScenarioFailed(f"of {len(told)} observations {answer.accepted} were accepted: {', '.join(reasons)}")

    async def _submit(self, told: Iterable[pb.Observation]) -> pb.SubmitResponse:
        async def stream() -> AsyncIterator[pb.Observation]:
            for observation in told:
                yield observation

        try:
            answer: pb.SubmitResponse = await self._service.Submit(
                stream(), timeout=CALL_SECONDS, metadata=(("authorization", f"Bearer {self._token}"),)
            )
        except grpc.aio.AioRpcError as error:
            raise ScenarioFailed(f"ObservationService/Submit: {error.code().name} {error.details()}") from error
        return answer

    def _flags(self, attribute: str, prefix: str, yes: int, total: int, source: str) -> list[pb.Observation]:
        told = []
        for number in range(1, total + 1):
            one = self._observation(source)
            one.fact.attribute, one.fact.entity, one.flag = attribute, f"{prefix}-{number:04d}", number <= yes
            told.append(one)
        return told

    def _count(self, register: str, count: int, source: str) -> pb.Observation:
        one = self._observation(source)
        one.measure, one.count = register, count
        return one

    def _observation(self, source: str) -> pb.Observation:
        self._written += 1
        one = pb.Observation(id=f"{self._survey}-{self._written:05d}", unit=self._unit, source=source)
        one.observed_at.FromDatetime(datetime.now(UTC))
        return one


@asynccontextmanager
async def telecom(addresses: Addresses, client: Client, unit: str) -> AsyncIterator[Telecom]:
    """The partner, connected and with a token of the platform's token endpoint."""
    async with httpx.AsyncClient(timeout=REQUEST_SECONDS, trust_env=False) as http:
        answer = await http.post(
            addresses.token_endpoint,
            data={"grant_type": "client_credentials"},
            auth=(client["client_id"], client["client_secret"]),
        )
    if not answer.is_success:
        raise ScenarioFailed(f"the token endpoint answered {answer.status_code}: {answer.text[:400]}")
    async with grpc.aio.insecure_channel(addresses.grpc["indicators"]) as channel:
        yield Telecom(stubs.ObservationServiceStub(channel), answer.json()["access_token"], unit)
