"""Owns the tables people take home: a sheet, the matrix below a unit. `workbooks` writes them as CSV or XLSX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.indicators.answers.origins import Origin
from services.indicators.answers.queries import Line, Sheet
from services.indicators.calculation import engine
from services.indicators.calculation.engine import Ratio
from services.indicators.criteria import catalogue as c
from services.indicators.interchange.workbooks import Cell, Table, clock
from services.indicators.interchange.workbooks import spelled as spelled
from services.indicators.shapes.words import cause_words
from services.indicators.views.overviews import asked_of
from services.indicators.views.rules import judged, target_words
from services.indicators.views.sheets import halted_words, local_words, measure_of
from services.indicators.views.wording import STATUS_WORDS, Translate, figure_words, origin_words, short_figure


def sheet_table(
    sheet: Sheet,
    catalogue: c.Catalogue,
    orders: Mapping[str, str],
    sources: Mapping[str, Sequence[Origin]],
    locale: str,
    _: Translate,
) -> Table:
    """One line per item: its value with the sources that count and the documents they name, and what overlays and
    orders of suspension (in words, by row) make of it.
    """
    head = [_("Mã"), _("Chỉ tiêu"), _("Kết quả"), _("Giá trị"), _("Tử số"), _("Mẫu số"), _("Mức yêu cầu")]
    head += [_("Từ"), _("Vì"), _("Nguồn"), _("Tài liệu"), _("Của địa phương"), _("Tạm hoãn")]
    rows: list[list[Cell]] = []
    for row in sheet.rows:
        numerator: int | None = None
        denominator: int | None = None
        if isinstance(row.figure, Ratio):
            numerator, denominator = row.figure
        elif row.figure is not None and not isinstance(row.figure, bool):
            numerator = engine.whole(row.figure)
        target = "" if sheet.rolled_up else target_words(row.item.rule, _, locale=locale)
        since = clock(row.since) if row.since else None
        why = cause_words(row.cause, locale) if row.cause else ""
        said = [row.item.code, row.item.title.in_(locale), _(STATUS_WORDS[row.status])]
        said.append(figure_words(row.figure, None if sheet.rolled_up else measure_of(row.item, catalogue), locale, _))
        origins = sources.get(row.item.code, ())
        who = "; ".join(dict.fromkeys(origin_words(one.klass, one.source, _, one.former) for one in origins))
        by = "; ".join(dict.fromkeys(one.document for one in origins if one.document))
        local = local_words(row.item, catalogue, locale, _)
        halted = "" if sheet.rolled_up else halted_words(row, catalogue, orders, locale, _)
        figures: list[Cell] = [numerator, denominator, target, since, why, who, by, local, halted]
        rows.append([sheet.unit.code, sheet.unit.name, *said, *figures])
    return Table(sheet.criteria.code, [_("Mã đơn vị"), _("Đơn vị"), *head], rows)


def children_table(
    criteria: c.CriteriaSet, items: Sequence[c.Item], lines: Sequence[Line], locale: str, _: Translate
) -> Table:
    """One line per unit below, one column per row of the matrix as the page draws it, overlays included.

    Units of the set's own level have their status per item, in words; those above it two columns per item, how many
    units meet it and of how many. A row that is only watched has its figure there, or of how many units one is known.
    Where there is nothing to judge, the cells are empty. A unit's own rows are counted as far as they name a level.
    """
    above = any(line.unit.level != criteria.level for line in lines)
    head = [_("Mã đơn vị"), _("Đơn vị"), _("Đạt"), _("Tổng")]
    for item in items:
        name = f"{item.code} {item.short.in_(locale)}"
        head += [name, _("{item} (tổng)").format(item=name)] if above else [name]
    rows: list[list[Cell]] = []
    for line in lines:
        cells: list[Cell] = []
        for item in items:
            status, figure = line.cells.get(item.code, ("no_data", None))
            if above:
                counted = figure if judged(item.rule) else line.told(item.code)
                cells += list(counted) if isinstance(counted, Ratio) else [None, None]
            elif status == "measured" and figure is not None:
                cells.append(short_figure(figure, locale, _))
            else:
                cells.append(_(STATUS_WORDS[status]) if line.total else None)
        met: list[Cell] = [line.met, line.total]
        if line.unit.level == criteria.level:
            of = asked_of(line.unit, criteria)
            met = [line.met, of] if of else [None, None]
        rows.append([line.unit.code, line.unit.name, *met, *cells])
    return Table(criteria.code, head, rows)
