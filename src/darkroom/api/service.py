"""What the front door decides, without I/O: from a request to a plan.

A plan is a reply, or what must be done before there is one. Each kind of request has a file of its own, with its plan
and how that is carried out; this one says which request goes where.
"""

from __future__ import annotations

from darkroom.api import exchange
from darkroom.api.cancelling import Cancellation, plan_cancellation
from darkroom.api.dead_letters import LetterListing, LetterRedrive, plan_letter_listing, plan_letter_redrive
from darkroom.api.event_plans import plan_events
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.listing import Listing, plan_listing
from darkroom.api.looking_up import Lookup, plan_lookup
from darkroom.api.runtimes import RuntimeListing, plan_runtimes
from darkroom.api.submission import Submission, SubmissionPlanner
from darkroom.api.uploading import Upload, plan_upload
from darkroom.api.using import UsageQuery, plan_usage
from darkroom.api.webhook_deliveries import (
    DeliveryListing,
    DeliveryRetry,
    plan_delivery_listing,
    plan_delivery_retry,
)
from darkroom.policy.callers import Callers
from darkroom.policy.catalogue import Catalogue

Plan = (
    HttpReply
    | Submission
    | Listing
    | Lookup
    | Cancellation
    | RuntimeListing
    | Upload
    | UsageQuery
    | DeliveryListing
    | DeliveryRetry
    | LetterListing
    | LetterRedrive
)
_NOBODY = Callers()


class Service:
    """The front door of one deployment: its runtimes, the bucket where pictures will lie, and who calls."""

    def __init__(self, catalogue: Catalogue, bucket: str, callers: Callers = _NOBODY) -> None:
        self._submissions = SubmissionPlanner(catalogue, bucket)
        self._callers = callers
        self.catalogue = catalogue

    def plan(self, request: HttpRequest, submission_id: str, now: float) -> Plan:
        """Decide what a request needs; `submission_id` is random, `now` in seconds since 1970 (UTC)."""
        match request.path.strip("/").split("/"):
            case [("v1alpha1" | "v1alpha2") as version]:
                if request.method != "POST":
                    return exchange.method_not_allowed(request.method, "POST")
                return self._submissions.plan(version, request, submission_id, now)
            case ["v1alpha2", "runtimes"]:
                if request.method != "GET":
                    return exchange.method_not_allowed(request.method, "GET")
                return plan_runtimes(request, self._callers)
            case ["v1alpha2", "uploads"]:
                if request.method != "POST":
                    return exchange.method_not_allowed(request.method, "POST")
                return plan_upload(request, submission_id)
            case ["v1alpha2", "usage"]:
                if request.method != "GET":
                    return exchange.method_not_allowed(request.method, "GET")
                return plan_usage(request, self._callers, self.catalogue, now)
            case ["v1alpha2", "tasks"]:
                if request.method != "GET":
                    return exchange.method_not_allowed(request.method, "GET")
                return plan_listing(request, self._callers)
            case ["v1alpha2", "tasks", task_id] if task_id:
                if request.method != "GET":
                    return exchange.method_not_allowed(request.method, "GET")
                return plan_lookup(task_id, request, self._callers)
            case ["v1alpha2", "events"] | ["v1alpha2", "tasks", _, "events"]:
                planned = plan_events(request, self._callers)
                # A gateway that can tell of events does so before it comes here.
                return planned if isinstance(planned, HttpReply) else exchange.no_events()
            case ["v1alpha2", "tasks", task_id, "cancel"]:
                if request.method != "PUT":
                    return exchange.method_not_allowed(request.method, "PUT")
                return plan_cancellation(task_id, request, self._callers)
            case ["v1alpha2", "dead-letters"]:
                if request.method != "GET":
                    return exchange.method_not_allowed(request.method, "GET")
                return plan_letter_listing(request, self._callers, self.catalogue)
            case ["v1alpha2", "dead-letters", "redrive"]:
                if request.method != "POST":
                    return exchange.method_not_allowed(request.method, "POST")
                return plan_letter_redrive(request, self._callers, self.catalogue)
            case ["v1alpha2", "webhooks", "deliveries"]:
                if request.method != "GET":
                    return exchange.method_not_allowed(request.method, "GET")
                return plan_delivery_listing(request, self._callers)
            case ["v1alpha2", "webhooks", "deliveries", delivery_id, "retry"]:
                if request.method != "POST":
                    return exchange.method_not_allowed(request.method, "POST")
                return plan_delivery_retry(delivery_id, request, self._callers)
        return exchange.not_found(request.path)
