"""Owns what the pages show: sentences, bars, lines and maps made from sheets, children and explanations."""

from services.indicators.views.choosing import EntryChoices
from services.indicators.views.courses import CourseView, history_csv
from services.indicators.views.definitions import SetLine, SetView, set_lines
from services.indicators.views.explanations import EvidenceView, ExplanationView, LeastView
from services.indicators.views.finding import FoundUnit
from services.indicators.views.maps import MapView
from services.indicators.views.overviews import Cell, MatrixRow, NearView, Overview, SetChoice, place, set_choices
from services.indicators.views.rules import RuleView, RuleWords, target_words
from services.indicators.views.settlements import SettlementView, settlement_views, shared_among
from services.indicators.views.sheets import RowView, SheetView, history_line, order_words
from services.indicators.views.tables import children_table, sheet_table, spelled
from services.indicators.views.wording import (
    LEVEL_WORDS,
    SERVICE_WORDS,
    STATE_WORDS,
    STATUS_WORDS,
    Translate,
    address,
    figure_words,
    source_words,
)

__all__ = [
    "LEVEL_WORDS",
    "SERVICE_WORDS",
    "STATE_WORDS",
    "STATUS_WORDS",
    "Cell",
    "CourseView",
    "EntryChoices",
    "EvidenceView",
    "ExplanationView",
    "FoundUnit",
    "LeastView",
    "MapView",
    "MatrixRow",
    "NearView",
    "Overview",
    "RowView",
    "RuleView",
    "RuleWords",
    "SetChoice",
    "SetLine",
    "SetView",
    "SettlementView",
    "SheetView",
    "Translate",
    "address",
    "children_table",
    "figure_words",
    "history_csv",
    "history_line",
    "order_words",
    "place",
    "set_choices",
    "set_lines",
    "settlement_views",
    "shared_among",
    "sheet_table",
    "source_words",
    "spelled",
    "target_words",
]
