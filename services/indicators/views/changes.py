"""Owns the words for what is other between two catalogues, line by line."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.i18n import fmt_date
from services.indicators.criteria import catalogue as c
from services.indicators.criteria.differing import Difference
from services.indicators.views.rules import RuleView, RuleWords
from services.indicators.views.wording import Translate


def sentence(view: RuleView) -> str:
    """A rule in one line."""
    asked = " ".join(part for part in (view.asked, view.link) if part)
    text = ": ".join(part for part in (view.head, asked) if part)
    if view.cases:
        text += " (" + "; ".join(f"{state}: {asked}" for state, asked in view.cases) + ")"
    if view.parts:
        text += ": " + "; ".join(sentence(part) for part in view.parts)
    return f"{text} [{view.suspended}]" if view.suspended else text


@dataclass(frozen=True)
class Words:
    """Says differences for a reader."""

    catalogue: c.Catalogue
    locale: str
    translate: Translate

    def line(self, difference: Difference) -> str:
        """One difference in one line."""
        _ = self.translate
        name = f"{difference.code}/{difference.row}" if difference.row else difference.code
        heads = {
            ("added", "set"): _("Thêm bộ chỉ tiêu {name}"),
            ("removed", "set"): _("Bỏ bộ chỉ tiêu {name}"),
            ("changed", "set"): _("Đổi bộ chỉ tiêu {name}"),
            ("added", "row"): _("Thêm chỉ tiêu {name}"),
            ("removed", "row"): _("Bỏ chỉ tiêu {name}"),
            ("changed", "row"): _("Đổi chỉ tiêu {name}"),
            ("added", "overlay"): _("Thêm điều chỉnh của địa phương {name}"),
            ("removed", "overlay"): _("Bỏ điều chỉnh của địa phương {name}"),
            ("changed", "overlay"): _("Đổi điều chỉnh của địa phương {name}"),
            ("added", "measure"): _("Thêm thước đo {name}"),
            ("removed", "measure"): _("Bỏ thước đo {name}"),
            ("changed", "measure"): _("Đổi thước đo {name}"),
        }
        head = heads[difference.what, difference.kind].format(name=name)
        detail = self._detail(difference)
        return f"{head}: {detail}" if detail else head

    def standing(self, overlay: c.Overlay) -> str:
        """An overlay that is there, in one line: whose it is, since when, and what it does."""
        head = self.translate("Điều chỉnh của địa phương {name} (đơn vị {unit}, từ {day})")
        day = fmt_date(overlay.valid_from, self.locale)
        return f"{head.format(name=overlay.code, unit=overlay.unit, day=day)}: {self._overlay(overlay)}"

    def _detail(self, difference: Difference) -> str:
        before, after = difference.before, difference.after
        if isinstance(before, c.Item) and isinstance(after, c.Item) and before.rule != after.rule:
            return f"{self._rule(before.rule)} → {self._rule(after.rule)}"
        if isinstance(after, c.Item) and before is None:
            return f"{after.title.in_(self.locale)} – {self._rule(after.rule)}"
        if isinstance(after, c.Overlay):
            return self._overlay(after)
        told = after if after is not None else before
        if difference.what != "changed":
            return str(told.title.in_(self.locale))
        return ", ".join(self._fields(before, after))

    def _rule(self, rule: c.Rule) -> str:
        try:
            return sentence(RuleWords(self.catalogue, self.locale, self.translate).view(rule))
        except KeyError:
            # The rule of before may read a measure that is no more.
            return rule.text

    def _overlay(self, overlay: c.Overlay) -> str:
        _ = self.translate
        parts = [overlay.title.in_(self.locale)]
        parts += [
            _("mục tiêu {item}: {text}").format(item=t.item, text=f"{t.operator or ''} {t.target_text}".strip())
            for t in overlay.targets
        ]
        parts += [_("thêm chỉ tiêu {item}").format(item=item.code) for item in overlay.items]
        parts += [
            _("tạm hoãn {item} ({document})").format(item=s.item, document=s.document) for s in overlay.suspensions
        ]
        return "; ".join(parts)

    def _fields(self, before: object, after: object) -> list[str]:
        """Names of what is other in two of one kind; rows have lines of their own."""
        names = [name for name in getattr(before, "__slots__", ()) if name != "items"]
        return [name for name in names if getattr(before, name) != getattr(after, name)]
