"""The page of webhooks: an endpoint is added, tested, looked at with none, few and many deliveries, and deleted."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect
from sqlalchemy import text

from tests.acceptance.browser.conftest import Visit
from tests.acceptance.browser.visitor import PHONE
from tests.running import Service
from tests.webhook_receiver import WebhookReceiver, webhook_receiver

MANY = text("""
    with numbered as (
        select user_id, id as endpoint_id, 1000 + number as number
        from webhook_endpoints, generate_series(1, 500) as number where url = :url
    ), events as (
        insert into outgoing_events (user_id, sequence, type)
        select user_id, number, 'webhook.test' from numbered returning id, user_id, sequence
    )
    insert into outgoing_deliveries (user_id, event_id, endpoint_id, target_id, state, wake_at, created_at, attempts)
    select user_id, events.id, endpoint_id, endpoint_id, case number % 3 when 0 then 'failed' else 'delivered' end,
        null, now() - make_interval(mins => number), jsonb_build_array(jsonb_build_object(
            'at', now(), 'outcome', case number % 3 when 0 then 'timed_out' else 'delivered' end,
            'statusCode', case number % 3 when 0 then null else 200 end, 'tookMs', number, 'error', null, 'body', 'ok'
        ))
    from numbered join events using (user_id) where sequence = number
""")


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with webhook_receiver() as running:
        yield running


async def test_an_endpoint_is_added_tested_looked_at_and_deleted(
    visit: Visit, receiver: WebhookReceiver, service: Service
) -> None:
    visitor = await visit("webhooks")
    await visitor.enter("/webhooks")
    page = visitor.page
    await expect(page.get_by_role("heading", name="No endpoints yet")).to_be_visible()
    assert await visitor.barriers() == []
    await visitor.look("webhooks-none")

    await page.get_by_label("Address of your backend").fill(receiver.url())
    await page.get_by_role("button", name="Add an endpoint").click()
    await expect(page.locator(".secret code")).to_have_text(re.compile("^whsec_"))
    await receiver.requests(1, type="webhook.test")
    await page.get_by_role("link", name=receiver.url()).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(receiver.url())
    for _ in range(2):
        await page.get_by_role("button", name="Send a test").click()
    await expect(page.locator(".outgoing li")).to_have_count(3)
    await page.reload()
    await expect(page.locator(".outgoing li").last).to_contain_text("Delivered")
    await page.locator(".outgoing summary").last.click()
    await expect(page.locator(".attempts")).to_contain_text("200")
    assert await visitor.barriers() == []
    await visitor.look("webhooks-three")

    async with service.sessions.begin() as session:
        await session.execute(MANY, {"url": receiver.url()})
    await page.reload()
    await expect(page.locator(".outgoing li")).to_have_count(50)
    await page.get_by_label("Show").select_option("failed")
    await expect(page.locator(".outgoing li").first).to_contain_text("no answer in time")
    await page.get_by_role("button", name="Show older ones").click()
    await expect(page.locator(".outgoing li")).to_have_count(100)
    await visitor.look("webhooks-many")
    await page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    await visitor.look("webhooks-many-phone")
    assert await visitor.barriers() == []

    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Disable").click()
    await expect(page.get_by_role("button", name="Enable")).to_be_visible()
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("heading", name="No endpoints yet")).to_be_visible()
