"""What a clinician reads before a session: the trend, the sobriety ledger, the last notes; or that she may not.

Needs COMPANION_URL, COMPANION_TOKEN (a clinician's) and COMPANION_PATIENT. Each look is written into the list
that the patient can read.
"""

import os

from companion_sdk import Companion, NotFound

patient = os.environ["COMPANION_PATIENT"]

with Companion(os.environ["COMPANION_URL"], token=os.environ["COMPANION_TOKEN"]) as clinician:
    try:
        person = clinician.patients.get(patient)
    except NotFound:
        raise SystemExit("no such patient, or no consent: the service does not tell which") from None
    print(f"{person.name}, {person.zone}, {person.clinic.name}")
    for name, series in clinician.trends.get(patient=patient).series.items():
        week = series.means["7"]
        latest = f"{week[-1].value:.1f} over 7 days up to {week[-1].day}" if week else "no answers"
        print(f"  {name:12} {latest}; {series.missing.days} days without an answer")
    ledger = clinician.sobriety.get(patient=patient)
    print(f"  last use {ledger.last_use}, {ledger.confirmed} of {ledger.days_since_use} days confirmed")
    print(f"  longest run {ledger.longest} days, {ledger.total_confirmed} confirmed in all")
    notes = clinician.logs.list(kind="note", limit=3, patient=patient)
    for page in notes.pages():
        print(f"  {len(page.items)} latest notes")
        break
