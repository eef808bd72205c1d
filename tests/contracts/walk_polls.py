"""Owns the cases of polls in the walk of petitions, and the routes of polls that are open to everybody."""

from __future__ import annotations

from datetime import timedelta

from chassis.units import today
from tests.contracts.walk import A_VILLAGE, A, Case, Made, Stage

POLLS = "/api/v1/polls"
QUESTION = {"kind": "single", "text": "Chị/anh muốn học gì?", "options": ["Tin học", "Chăn nuôi"]}
LAST_DAY = (today() + timedelta(days=7)).isoformat()
POLL = {
    "commune": A.code,
    "purpose": "learning_needs",
    "title": "Nhu cầu học tập",
    "closes_on": LAST_DAY,
    "questions": [QUESTION],
}
POLL_FORM = {"commune": A.code, "purpose": "consultation", "title": "Đặt tên đường", "closes_on": LAST_DAY}
POLL_FORM["opens_on"] = today().isoformat()
QUESTION_FORM = {"kind": "text", "text": "Chị/anh nghĩ gì?", "place": "1"}
ANSWER = {"answers": [{"question": 1, "choices": [1]}]}
PAPER = {**ANSWER, "paper_no": 1, "village": A_VILLAGE.code}
PAPER_FORM = {"q1": "1", "paper_no": "2", "village": A_VILLAGE.code}
ENOUGH = {"reason": "Đã đủ người trả lời."}
DONE = {"response": "Đã mở lớp tin học.", "responded_on": today().isoformat()}
# People of the commune are all asked, the heads of its villages among them.
ALSO_ASKED = ("another resident", "village head of another village")


async def drafted(stage: Stage) -> Made:
    return {"id": (await stage.do("officer", "POST", POLLS, POLL))["id"]}


async def first_question(stage: Stage) -> Made:
    return {**await drafted(stage), "number": "1"}


async def asked(stage: Stage) -> Made:
    made = await drafted(stage)
    await stage.do("officer", "POST", f"{POLLS}/{made['id']}/publish")
    return made


async def replied(stage: Stage) -> Made:
    made = await asked(stage)
    await stage.do("resident", "PUT", f"{POLLS}/{made['id']}/answer", ANSWER)
    return made


async def counted(stage: Stage) -> Made:
    made = await replied(stage)
    await stage.do("officer", "POST", f"{POLLS}/{made['id']}/close", ENOUGH)
    return made


OPEN = {"GET /polls": "the list of published polls"}

CASES = (
    Case(f"POST {POLLS}", json=POLL),
    Case(f"GET {POLLS}", arrange=drafted, query={"unit": A.code}, hidden="{id}"),
    Case(f"GET {POLLS}/{{id}}", arrange=drafted),
    Case(f"PUT {POLLS}/{{id}}", arrange=drafted, json={**POLL, "title": "Nhu cầu học tập khác"}),
    Case(f"POST {POLLS}/{{id}}/publish", arrange=drafted),
    Case(f"POST {POLLS}/{{id}}/close", arrange=asked, json=ENOUGH),
    Case(f"POST {POLLS}/{{id}}/withdraw", arrange=asked, json=ENOUGH),
    Case(f"GET {POLLS}/{{id}}/answer", "resident", replied),
    Case(f"PUT {POLLS}/{{id}}/answer", "resident", asked, json=ANSWER, allows=ALSO_ASKED),
    Case(f"POST {POLLS}/{{id}}/paper", arrange=asked, json=PAPER),
    Case(f"GET {POLLS}/{{id}}/results", arrange=replied),
    Case(f"PUT {POLLS}/{{id}}/response", arrange=counted, json=DONE),
    Case("GET /polls/desk", arrange=drafted, hidden="{id}"),
    Case("GET /polls/new", query={"unit": A.code}),
    Case("POST /polls/new", form=POLL_FORM),
    Case("GET /polls/{id:uuid}", arrange=drafted),
    Case("POST /polls/{id:uuid}", "resident", asked, form={"q1": "1"}, allows=ALSO_ASKED),
    Case("GET /polls/{id:uuid}/thanks", "resident", replied),
    Case("GET /polls/{id:uuid}/results", arrange=replied),
    Case("GET /polls/{id:uuid}/results.csv", arrange=replied),
    Case("GET /polls/{id:uuid}/edit", arrange=drafted),
    Case("POST /polls/{id:uuid}/edit", arrange=drafted, form=POLL_FORM),
    Case("GET /polls/{id:uuid}/questions/new", arrange=drafted),
    Case("POST /polls/{id:uuid}/questions/new", arrange=drafted, form=QUESTION_FORM),
    Case("GET /polls/{id:uuid}/questions/{number}", arrange=first_question),
    Case("POST /polls/{id:uuid}/questions/{number}", arrange=first_question, form=QUESTION_FORM),
    Case("POST /polls/{id:uuid}/questions/{number}/remove", arrange=first_question),
    Case("GET /polls/{id:uuid}/desk", arrange=asked),
    Case("POST /polls/{id:uuid}/publish", arrange=drafted),
    Case("POST /polls/{id:uuid}/end", arrange=asked, form={"to": "close", **ENOUGH}),
    Case("POST /polls/{id:uuid}/response", arrange=counted, form=DONE),
    # The head of another village sees the form, and enters for that village alone.
    Case("GET /polls/{id:uuid}/paper", arrange=asked, allows=("village head of another village",)),
    Case("POST /polls/{id:uuid}/paper", arrange=asked, form=PAPER_FORM),
)
