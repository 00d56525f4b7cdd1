"""A patient's diary in five lines: sign in with a token, log, list, read a trend.

Needs COMPANION_URL and COMPANION_TOKEN; ``companion demo`` prints both.
"""

import os

from companion_sdk import Companion, Mood

with Companion(os.environ["COMPANION_URL"], token=os.environ["COMPANION_TOKEN"]) as me:
    me.logs.record(Mood(mood=4, note="slept well"))
    for entry in me.logs.list(kind="mood"):
        print(entry.day, entry.body)
    print(me.trends.get(series=["mood"]).series["mood"].means["7"])
