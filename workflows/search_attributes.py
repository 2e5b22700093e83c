"""What an engineer can filter generations by in the Temporal UI.

The status is Temporal's own: a generation that failed is a Failed run, a canceled one is Canceled.
"""

from collections.abc import Iterable
from datetime import timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError

from reelay.domain.generation import Generation
from reelay.domain.pipeline import Pipeline

USER = SearchAttributeKey.for_keyword("ReelayUser")
MODEL = SearchAttributeKey.for_keyword("ReelayModel")
PROVIDER = SearchAttributeKey.for_keyword("ReelayProvider")
JOB_TYPE = SearchAttributeKey.for_keyword("ReelayType")
CLIP = SearchAttributeKey.for_keyword("ReelayClip")

SEARCH_ATTRIBUTES = {key.name: "Keyword" for key in (USER, MODEL, PROVIDER, JOB_TYPE, CLIP)}
"""Name to type, as the server wants them registered before the first start."""
ANSWER_WITHIN = timedelta(seconds=2)


async def register_search_attributes(client: Client) -> None:
    """Make the client's namespace know them. Safe to repeat. Raises: RPCError."""
    types = {
        name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{kind.upper()}") for name, kind in SEARCH_ATTRIBUTES.items()
    }
    request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=types)
    await client.operator_service.add_search_attributes(request)


async def search_attribute_trouble(client: Client) -> str | None:
    """Which of them the namespace lacks, and the command that makes them; None, too, where it does not tell."""
    request = ListSearchAttributesRequest(namespace=client.namespace)
    try:
        known = (await client.operator_service.list_search_attributes(request, timeout=ANSWER_WITHIN)).custom_attributes
    except (RPCError, RuntimeError):
        return None
    missing = [name for name in SEARCH_ATTRIBUTES if name not in known]
    if not missing:
        return None
    return f"lacks search attributes: run `{creating_command(client.namespace, missing)}`"


def creating_command(namespace: str, names: Iterable[str] = SEARCH_ATTRIBUTES) -> str:
    """For who may do it: in Temporal Cloud the console, or `tcld namespace search-attributes add`."""
    wanted = " ".join(f"--name {name} --type {SEARCH_ATTRIBUTES[name]}" for name in names)
    return f"temporal operator search-attribute create --namespace {namespace} {wanted}"


def pipeline_search_attributes(pipeline: Pipeline) -> TypedSearchAttributes:
    """Its children have their own, and are found by Temporal's `ParentWorkflowId`."""
    return TypedSearchAttributes([SearchAttributePair(USER, str(pipeline.user_id))])


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
