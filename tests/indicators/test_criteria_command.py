"""The command `criteria`: it checks, compares, applies and takes back, and says why not with file and line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.indicators.upkeep import command as upkeep
from tests.indicators.conftest import Stage
from tests.indicators.editing import forget, overlay

pytestmark = pytest.mark.usefixtures("restored")


@pytest.fixture
async def clean(stage: Stage) -> AsyncIterator[Stage]:
    """The database without applied documents before and after."""

    items = "set_code = 'thu-2026' OR item_code = 'HD.1'"
    await forget(stage, items)
    yield stage
    await forget(stage, items)


async def test_the_command_line_checks_compares_and_applies(
    clean: Stage, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "moi.yaml"

    async def run(*arguments: str) -> tuple[int, str, str]:
        settings = clean.running.runner.settings
        code = await asyncio.to_thread(upkeep.main, arguments, lambda: settings)
        told = capsys.readouterr()
        return code, told.out, told.err

    path.write_text(overlay(), "utf-8")
    assert (await run("lint", str(path)))[0] == 0
    code, out, _ = await run("diff", str(path), "--lang", "en")
    assert (code, "hd-2026" in out) == (0, True)
    code, out, _ = await run("show", "hd-1414-ntm-8")
    assert (code, "8.4" in out) == (0, True)
    # A measure and what is asked of it are told apart, as on the pages.
    assert "Hộ gia đình được phủ cáp quang: trên 80% số hộ  [T]" in (await run("show", "hd-288-2023"))[1]
    code, out, _ = await run("apply", str(path), "--by", "operator.test")
    assert (code, "bản 1" in out) == (0, True)
    code, out, _ = await run("list")
    assert "overlay/hd-2026  applied 1" in out
    assert "operator.test" in out
    live = (await run("show", "hd-288-2023", "--live"))[1]
    assert live.count("hd-2026") == 1
    assert "Điều chỉnh của địa phương hd-2026 (đơn vị 30, từ 10/01/2026): Mục tiêu riêng; mục tiêu" in live
    assert (await run("withdraw", "hd-2026"))[0] == 0
    assert (await run("withdraw", "hd-2026"))[0] == 1
    path.write_text(overlay().replace("288.5", "9"), "utf-8")
    code, _, err = await run("apply", str(path))
    assert code == 1
    assert f"{path}:9: targets[0].item: bộ hd-288-2023 không có dòng 9 (được dùng: 288.1" in err
    code, _, err = await run("apply", str(path), "--lang", "en")
    assert f"{path}:9: targets[0].item: the set hd-288-2023 has no row 9 (allowed: 288.1" in err
    assert await run("lint", "--lang", "en", str(tmp_path / "none.yaml")) == (
        1, "", f"{tmp_path / 'none.yaml'}:1: (whole file): the file cannot be opened\n"
    )  # fmt: skip
    code, _, err = await run("show", "khong-co")
    assert (code, err.startswith("không có bộ chỉ tiêu khong-co (được dùng: ")) == (1, True)
    path.write_bytes(b"\xff\xfe")
    assert (await run("lint", str(path)))[2] == f"{path}:1: (cả tệp): tệp không phải là văn bản UTF-8\n"


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "vi"),
        ({"LANG": "C.UTF-8"}, "vi"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_ALL": "vi_VN.UTF-8"}, "vi"),
        ({"LANG": "vi_VN", "LC_ALL": "", "LC_MESSAGES": "en_US"}, "en"),
    ],
)
def test_the_terminal_says_which_language_it_wants(environment: dict[str, str], language: str) -> None:
    assert upkeep.language(environment) == language
