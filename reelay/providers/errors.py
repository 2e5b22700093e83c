"""What can go wrong between us and a provider.

ProviderError
├── NotAccepted               a submission that certainly created no request
│   ├── Unreachable           connection refused, DNS, TLS: nothing was sent; try again
│   ├── Throttled             429: try again after what the provider says
│   ├── AccountLocked         402, or fal's 403 "User is locked": the account, not the job; submissions wait
│   ├── Unauthorized          401 or another 403: our key is wrong; an operator has to act
│   └── Rejected              any other 4xx: this input will never be accepted
├── SubmissionUncertain       the request left us and no trustworthy answer came back: it may have been accepted
├── NotListed                 there is no list of requests for us to look in
├── NotUploaded               it takes no upload of this file; whoever wants it to read the file finds another way
├── Unavailable               a status, result or cancel call failed on the way; asking again is free
│   └── ProviderNotConfigured nobody here has a key for it: an operator has to act
├── StillRunning              the result was asked for too early
├── ResultExpired             404, 410, or an emptied result: the provider no longer has it
└── GenerationFailed          the provider's last word: it tried and failed

What can be wrong with a webhook, and what the route answers. Providers retry after every one of them.

WebhookRejected
├── Malformed                 400: a header is missing or odd, or the signed body is not what the provider documents
├── Forged                    401: not signed by the provider, or signed for another account
├── Stale                     401: signed too long ago, or in the future
└── KeysUnavailable           503: fal's public keys could not be had, so nothing can be said of the signature
"""

from datetime import timedelta

from reelay.domain.failure import Failure


class ProviderError(Exception):
    """A call to a provider did not bring what was asked for. The message is safe to show: no key, no raw body."""


class NotAccepted(ProviderError):
    """The provider certainly did not take the submission: nothing was accepted."""


class Unreachable(NotAccepted):
    """No connection was made, so not one byte of the request was sent."""


class Throttled(NotAccepted):
    """The provider asks to come back later."""

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AccountLocked(NotAccepted):
    """The account is locked (balance, admin): it concerns all jobs of the account, not this one."""


class Unauthorized(NotAccepted):
    """The provider does not accept our key."""


class Rejected(NotAccepted):
    """The provider refuses this input and always will."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class SubmissionUncertain(ProviderError):
    """The bytes left, and what came back proves neither acceptance nor refusal."""


class NotListed(ProviderError):
    """The provider lists no requests, or not to our key."""


class NotUploaded(ProviderError):
    """The provider takes no files, or not this one."""


class Unavailable(ProviderError):
    """The provider did not answer a call that may be repeated."""

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ProviderNotConfigured(Unavailable):
    """This worker has no key of the provider. The message names the variable."""


class StillRunning(ProviderError):
    """There is no result yet."""


class ResultExpired(ProviderError):
    """The provider has deleted the result."""


class GenerationFailed(ProviderError):
    """The provider's last word: this request ended without a result."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class WebhookRejected(Exception):
    """An inbound webhook that must have no effect. The message is safe to show and to store."""


class Malformed(WebhookRejected):
    """Not a webhook as the provider documents it."""


class Forged(WebhookRejected):
    """Not from the provider, or not meant for this account."""


class Stale(WebhookRejected):
    """Its timestamp is too far from our clock: perhaps a replay."""


class KeysUnavailable(WebhookRejected):
    """The signature cannot be checked at the moment; the sender should try again."""
