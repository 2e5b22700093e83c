"""What an engineer can filter generations by in the Temporal UI.

The status is Temporal's own: a generation that failed is a Failed run, a canceled one is Canceled.
"""

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from reelay.domain.generation import Generation

USER = SearchAttributeKey.for_keyword("ReelayUser")
MODEL = SearchAttributeKey.for_keyword("ReelayModel")
PROVIDER = SearchAttributeKey.for_keyword("ReelayProvider")
JOB_TYPE = SearchAttributeKey.for_keyword("ReelayType")
CLIP = SearchAttributeKey.for_keyword("ReelayClip")

SEARCH_ATTRIBUTES = {key.name: "Keyword" for key in (USER, MODEL, PROVIDER, JOB_TYPE, CLIP)}
"""Name to type, as the server wants them registered before the first start."""


async def register_search_attributes(client: Client) -> None:
    """Make the client's namespace know them. Safe to repeat. Raises: RPCError."""
    types = {
        name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{kind.upper()}") for name, kind in SEARCH_ATTRIBUTES.items()
    }
    request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=types)
    await client.operator_service.add_search_attributes(request)


def search_attributes(generation: Generation) -> TypedSearchAttributes:
    """Set at the start only: each later change would be another billed action."""
    pairs = [
        SearchAttributePair(USER, str(generation.user_id)),
        SearchAttributePair(MODEL, generation.model),
        SearchAttributePair(PROVIDER, generation.provider.value),
        SearchAttributePair(JOB_TYPE, generation.job_type.value),
    ]
    if generation.clip_id:
        pairs.append(SearchAttributePair(CLIP, str(generation.clip_id)))
    return TypedSearchAttributes(pairs)
