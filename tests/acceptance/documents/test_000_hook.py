"""The campaign editor: its hook as it is written there, by its user's session cookie; and Reelay's in its place."""

from uuid import uuid4

from playwright.async_api import Browser, expect
from pydantic import SecretStr

from tests.acceptance.browser.conftest import Visit
from tests.acceptance.browser.react import nothing_is_asked_after_leaving, open_component, played, simulate
from tests.acceptance.browser.second_api import SecondApi
from tests.integration.api.issuer import SECRET, by_secret, claims
from tests.integration.api.test_session_cookie import kept, session_of
from tests.running import Service

FIRST_FRAME = "https://example.com/first-frame.png"
HOOK = """async ({ clip, prompt, firstFrameUrl, duration, quality }) => {
  const shown = [];
  const updateClipProgress = (clipId, progress) => shown.push([clipId, progress]);

  async function generateVideoAsync(clip) {
    // 1. Soumettre le job
    const response = await fetch('/api/generate/video', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ prompt, firstFrameUrl, duration, quality }),
    })

    const { jobId, status } = await response.json()

    if (status !== 'submitted') {
      throw new Error('Failed to submit job')
    }

    // 2. Poll le status jusqu'à completion
    const result = await pollJobStatus(jobId, {
      interval: 3000,      // Poll toutes les 3s
      timeout: 600000,     // Timeout après 10 min
      onProgress: (progress) => {
        // Mettre à jour la progress bar dans l'UI
        updateClipProgress(clip.id, progress)
      }
    })

    if (result.status === 'failed') {
      throw new Error(result.errorMessage || 'Generation failed')
    }

    // 3. Retourner le clip mis à jour
    return {
      ...clip,
      video: {
        ...clip.video,
        raw_url: result.resultUrl,
      }
    }
  }

  async function pollJobStatus(jobId, options) {
    const startTime = Date.now()

    while (Date.now() - startTime < options.timeout) {
      const response = await fetch(`/api/jobs/${jobId}`)
      const job = await response.json()

      if (options.onProgress) {
        options.onProgress(job.progress || 0)
      }

      if (job.status === 'completed' || job.status === 'failed') {
        return job
      }

      await new Promise(resolve => setTimeout(resolve, options.interval))
    }

    throw new Error('Timeout waiting for generation')
  }

  try {
    return { clip: await generateVideoAsync(clip), shown }
  } catch (error) {
    return { error: error.message, shown }
  }
}"""


async def test_the_documents_own_hook_works_by_the_session_cookie(browser: Browser, service: Service) -> None:
    named = {"jwt_secret": SecretStr(SECRET), "starting_credits_cents": 10_000, "app_url": None}
    api = SecondApi(service.settings.model_copy(update=named))
    await api.start()
    context = await browser.new_context()
    session = kept(session_of(by_secret(claims(sub=str(uuid4())))))
    await context.add_cookies([{"name": name, "value": value, "url": api.origin} for name, value in session.items()])
    page = await context.new_page()
    await page.goto(f"{api.origin}/healthz")
    clip = {"id": "clip-1", "video": {"prompt": "kept"}}
    words = {"clip": clip, "prompt": "a lighthouse", "firstFrameUrl": FIRST_FRAME, "duration": 6, "quality": "fast"}

    made = await page.evaluate(HOOK, words)
    assert made["clip"] == {"id": "clip-1", "video": {"prompt": "kept", "raw_url": made["clip"]["video"]["raw_url"]}}
    assert made["shown"][-1] == ["clip-1", 100]
    await page.set_content(f"<video src='{made['clip']['video']['raw_url']}'></video>")
    assert await played(page.locator("video")) > 0

    refused = await page.evaluate(HOOK, words | {"prompt": "a lighthouse [sim: fail=422]"})
    assert (refused["error"], refused["shown"][-1]) == ("prompt: This input is not supported", ["clip-1", 0])
    await context.close()
    await api.stop()


async def test_a_clip_gets_its_video(visit: Visit, service: Service) -> None:
    visitor = await visit("director")
    page = visitor.page
    await page.clock.install()
    await open_component(visitor, "ClipCard")
    generate = page.get_by_role("button", name="Generate")

    await simulate(page, "latency=10m")
    async with page.expect_response("**/api/generate/video") as answer:
        await generate.click()
    assert (await (await answer.value).json())["status"] == "submitted"
    await expect(generate).to_be_disabled()
    await page.wait_for_function("() => document.querySelector('progress')?.value > 0")
    await service.end_newest_at_provider()
    assert await played(page.locator("video")) > 0
    await expect(page.get_by_role("progressbar")).to_have_count(0)

    await simulate(page, "fail=422")
    await generate.click()
    await page.get_by_role("alert").get_by_text("prompt: This input is not supported").wait_for()

    await simulate(page, "latency=10m")
    async with page.expect_response("**/api/jobs/*"):
        await generate.click()
    await nothing_is_asked_after_leaving(page)


async def test_a_front_of_another_origin_changes_the_address_alone(visit: Visit, service: Service) -> None:
    api = SecondApi(service.settings.model_copy(update={"cors_origins": (service.origin,), "app_url": None}))
    await api.start()
    visitor = await visit("director")
    await open_component(visitor, "ClipCard", base_url=api.origin)
    await visitor.page.get_by_role("button", name="Generate").click()
    video = visitor.page.locator("video")
    assert await played(video) > 0
    assert str(await video.get_attribute("src")).startswith(api.origin)
    await api.stop()
