"""A batch out of a table: checked and priced first, its wrong lines named, and followed until its jobs have ended."""

import re
from pathlib import Path

from playwright.async_api import expect

from tests.acceptance.browser.conftest import Visit
from tests.acceptance.browser.visitor import PHONE

TABLE = '\ufeffprompt,duration,model\r\n"a harbour, in ""fog""",8,veo3.1-fast\r\na lighthouse,,\r\n'


async def test_a_table_becomes_a_batch_once_its_price_is_confirmed(visit: Visit, tmp_path: Path) -> None:
    visitor = await visit("ann", viewport=PHONE)
    page = visitor.page
    await visitor.enter("/batch")
    file = tmp_path / "prompts.csv"
    file.write_text(TABLE, encoding="utf-8", newline="")
    await page.get_by_label("Table, as a CSV file").set_input_files(file)
    await page.get_by_label("Model of lines without one").select_option("veo3.1-fast")
    check = page.get_by_role("button", name="Check, and tell the price")
    await check.click()
    await expect(page.get_by_text(re.compile(r"2 jobs, \$[0-9.]+ at most"))).to_be_visible()
    assert await visitor.barriers() == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await visitor.look("batch-table")

    await page.get_by_role("button", name="Create 2 jobs").click()
    await expect(page.get_by_role("status").filter(has_text="2 Ready")).to_be_visible()
    await expect(page.locator(".batch-jobs li")).to_have_count(2)
    assert await visitor.barriers() == []
    await visitor.look("batch")
    await page.locator(".batch-jobs a").first.click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text('a harbour, in "fog"')


async def test_wrong_lines_are_named_and_nothing_is_created(visit: Visit) -> None:
    visitor = await visit("bob")
    page = visitor.page
    await visitor.enter("/batch")
    table, check = page.get_by_label("Or its text"), page.get_by_role("button", name="Check, and tell the price")
    told = page.get_by_role("alert")

    await table.fill("prompt,model\na boat,veo3.1-fast\nthree,cells,here\na boat,")
    await check.click()
    await expect(told).to_contain_text("Line 3: it has not as many cells as the header")
    await expect(told).to_contain_text("Line 4: it names no model")
    await table.fill("prompt,duration,model\na boat,8,veo3.1-fast\na boat,77,veo3.1-fast\na boat,8,no-such-model")
    await check.click()
    await expect(told).to_contain_text("Line 3: duration")
    await expect(told).to_contain_text("Line 4: model")
    await table.fill('prompt,model\n"a boat,veo3.1-fast')
    await check.click()
    await expect(told).to_contain_text("a quotation mark is open")
    await expect(page.get_by_role("button", name="Create")).to_have_count(0)
