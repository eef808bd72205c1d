"""The texts petitions are made of, with their longest forms: one definition for pages, JSON and gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chassis.text import Line, Paragraph
from services.petitions.model import MAX_ANSWER, MAX_DESCRIPTION

if TYPE_CHECKING:
    # At run time these are strings with rules for pydantic; a type checker only needs to know that they are strings.
    CommuneCode = str
    CommuneCodeOrNone = str
    VillageCode = str
    VillageCodeOrNone = str
    CategoryCode = str
    DepartmentCode = str
    Subject = str
    Recipient = str
    Description = str
    Reason = str
    Comment = str
    Answer = str
    NoteText = str
    NoteTextOrNone = str
    Place = str
    Phone = str
    PhoneOrNone = str
    Words = str
else:
    CommuneCode, CommuneCodeOrNone = Line(20), Line(20, min_length=0)
    VillageCode, VillageCodeOrNone = Line(30), Line(30, min_length=0)
    CategoryCode, DepartmentCode, Subject, Recipient = Line(40), Line(40), Line(80), Line(100, min_length=0)
    Description = Reason = Paragraph(MAX_DESCRIPTION, min_length=5)
    Comment = Paragraph(MAX_DESCRIPTION)
    Answer = Paragraph(MAX_ANSWER, min_length=5)
    NoteText, NoteTextOrNone = Paragraph(MAX_ANSWER, min_length=1), Paragraph(MAX_ANSWER)
    Place = Line(200, min_length=0)
    Phone, PhoneOrNone = Line(20), Line(20, min_length=0)
    Words = Line(200, min_length=0)
