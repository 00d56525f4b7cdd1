"""Every call the SDK can make, described once: the two clients are generated from these modules by ``generate.py``.

A module holds the rows of the table (``Endpoint``) and, a class for each resource, the methods over them: signature,
docstring and how a row is filled in. A method answers a ``Call`` (one request), ``Pages`` (a list), a ``Stream``
(events as they happen) or ``Steps`` (several requests; its first parameter is the client's state). Nothing here sends
anything.
"""

from collections.abc import Mapping

from . import access, diary, people, reminders, service, sync, trends

RESOURCES: Mapping[str, type] = {
    "me": people.MyProfile,
    "devices": people.Devices,
    "tokens": people.Tokens,
    "invites": people.Invites,
    "patients": people.Patients,
    "logs": diary.Logs,
    "sync": sync.DiarySync,
    "safety_plan": sync.CrisisPlan,
    "consents": access.Consents,
    "disclosures": access.Disclosures,
    "trends": trends.TrendReports,
    "sobriety": trends.SobrietyLedger,
    "plans": reminders.Plans,
    "endpoints": reminders.Endpoints,
    "nudges": reminders.Nudges,
    "service": service.ServiceFacts,
    "crisis": service.CrisisHelp,
    "health": service.HealthChecks,
}
"""A client's attribute to the resource it gives."""

__all__ = ["RESOURCES"]
