"""Bring a mood diary from another app: one CSV row a day, stored under ids made from patient and day.

    python examples/import_csv.py FILE

The file has the columns ``date`` (local day) and ``mood`` (1–5). Running it again changes nothing: the same row has the same
id. Needs COMPANION_URL and COMPANION_TOKEN.
"""

import csv
import os
import sys
from datetime import datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from companion_sdk import Companion, LogIn, Mood

with Companion(os.environ["COMPANION_URL"], token=os.environ["COMPANION_TOKEN"]) as me:
    person = me.me.get()
    stored = 0
    with Path(sys.argv[1]).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if not row["mood"]:
                continue
            at = datetime.fromisoformat(f"{row['date']}T21:00").replace(tzinfo=ZoneInfo(person.zone))
            entry = LogIn(at=at, zone=person.zone, body=Mood(mood=int(row["mood"])), source="import")
            me.logs.put(uuid5(NAMESPACE_URL, f"{person.id}/mood/{row['date']}"), entry)
            stored += 1
    print(f"{stored} days are in the diary")
