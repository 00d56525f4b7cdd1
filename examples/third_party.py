"""Another company's app reads moods with a token that may do just that, follows what changes, and notices when it ends.

The patient gives the token out and can take it back at any time; each look is written into the list that the patient reads.
Needs COMPANION_URL and COMPANION_TOKEN (a patient's).
"""

import os

from companion_sdk import Companion, InsufficientScope, Mood, Unauthenticated

URL = os.environ["COMPANION_URL"]

with Companion(URL, token=os.environ["COMPANION_TOKEN"]) as patient:
    given = patient.tokens.create("Sleep study", ["logs:read"], days=30)
    patient.logs.record(Mood(mood=4, sleep_hours=7.5))

    with Companion(URL, token=given.token) as study:
        cursor: str | None = None
        while True:
            page = study.sync.pull(cursor)
            for entry in page.changes:
                match entry.body:
                    case Mood(mood=mood, sleep_hours=hours):
                        print(entry.day, "mood", mood, "after", hours, "hours of sleep")
                    case _:
                        pass
            cursor = page.cursor
            if not page.more:
                break
        try:
            study.logs.record(Mood(mood=1))
        except InsufficientScope:
            print("may read, may not write")

        patient.tokens.revoke(given.id)
        try:
            study.sync.pull(cursor)
        except Unauthenticated:
            print("the patient has taken the token back")

    for look in patient.disclosures.list():
        print("the patient reads:", look.recipient_name, "saw", *look.categories)
