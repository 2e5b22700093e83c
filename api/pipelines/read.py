"""A pipeline as its owner sees it."""

from uuid import UUID

from api.context import RequestContext
from api.http.problems import NotFound
from api.pipelines.schemas import PipelineView
from api.pipelines.views import pipeline_views
from reelay.db.pipelines import find_pipeline


async def pipeline_view(context: RequestContext, pipeline_id: UUID) -> PipelineView:
    """Raises: NotFound."""
    async with context.transaction() as session:
        row = await find_pipeline(session, context.user_id, pipeline_id)
        if row is None:
            raise NotFound
        return (await pipeline_views(session, context.user_id, [row], context.links, context.language))[0]
