"""THE list of what follows what: an event to the functions that follow, inside the same unit of work.

Only what *must* commit with the event stands here. What is derived follows no event: it is recomputed.
"""

from .core.db import Reactions
from .logs.events import LogRecorded
from .nudges import making as nudges
from .people.events import ZoneChanged

REACTIONS: Reactions = {
    LogRecorded: (nudges.on_log,),
    ZoneChanged: (nudges.on_zone,),
}
