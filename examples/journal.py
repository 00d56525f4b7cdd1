"""An offline journal for the terminal: writes without a network, syncs when there is one, says where each entry stands.

    journal.py sign-in CODE                        once, with the code of an invite
    journal.py mood 4 "slept well"
    journal.py urge 8 --skill "a walk" --after 3
    journal.py sober                               and: journal.py used alcohol
    journal.py plan "People I can call" "Mia"      adds a part to the crisis plan
    journal.py list --kind mood
    journal.py sync
    journal.py refused                             words that the service did not take; --discard lets go of them
    journal.py sign-out

Needs COMPANION_URL; JOURNAL_ZONE where the machine is set to UTC. JOURNAL names the file (journal.db); a JOURNAL_PASSPHRASE
seals it, for which ``companion-sdk[sealed]`` must be installed. A phone would keep the token in its key store.
"""

import argparse
import os
import sys
from pathlib import Path

from companion_sdk import Body, Companion, Coping, Diary, Entry, Mood, PlanSection, SafetyPlan, Sobriety, SyncReport, Use

FILE = Path(os.environ.get("JOURNAL", "journal.db"))
TOKEN = FILE.with_suffix(".token")
MARKS = {"kept": "○", "sent": "●", "needs attention": "!"}


def commands() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Your journal, with or without a network.")
    chosen = parser.add_subparsers(dest="command", required=True)
    chosen.add_parser("sign-in").add_argument("code")
    mood = chosen.add_parser("mood")
    mood.add_argument("mood", type=int, choices=range(1, 6))
    mood.add_argument("note", nargs="?")
    mood.add_argument("--safe", choices=["yes", "unsure", "no"])
    urge = chosen.add_parser("urge")
    urge.add_argument("before", type=int, choices=range(11))
    urge.add_argument("--skill", required=True)
    urge.add_argument("--after", type=int, choices=range(11))
    chosen.add_parser("sober")
    chosen.add_parser("used").add_argument("substance")
    plan = chosen.add_parser("plan")
    plan.add_argument("title")
    plan.add_argument("text")
    chosen.add_parser("list").add_argument("--kind")
    chosen.add_parser("sync")
    chosen.add_parser("refused").add_argument("--discard", action="store_true")
    chosen.add_parser("sign-out").add_argument("--discard-unsent", action="store_true")
    return parser


def body_of(asked: argparse.Namespace, diary: Diary) -> Body | None:
    """What a command writes down, if it writes."""
    match asked.command:
        case "mood":
            return Mood(mood=asked.mood, note=asked.note, safe=asked.safe)
        case "urge":
            return Coping(skill=asked.skill, urge_before=asked.before, urge_after=asked.after)
        case "sober":
            return Sobriety(sober=True)
        case "used":
            return Sobriety(sober=False, uses=[Use(substance=asked.substance)])
        case "plan":
            plan = diary.safety_plan()
            before = plan.body.sections if plan is not None and isinstance(plan.body, SafetyPlan) else ()
            return SafetyPlan(sections=[*before, PlanSection(title=asked.title, text=asked.text)])
        case _:
            return None


def show(entry: Entry) -> None:
    print(MARKS[entry.state], entry.day, entry.kind, entry.body if entry.body is not None else "(of a newer version)")
    if entry.crisis is not None:
        print(entry.crisis.text)
        for resource in entry.crisis.resources:
            print(f"  {resource.name}: {resource.call or resource.text or resource.chat}")


def tell(report: SyncReport) -> None:
    away = f"; not reached: {report.error}" if report.error is not None else ""
    print(f"{report.applied} sent, {report.pulled} received, {report.unsent} wait{away}")


def refused(diary: Diary, discard: bool) -> None:
    for one in diary.needs_attention():
        print("!", one.reason, one.detail, one.body)
        if discard:
            diary.discard(one)


def main(arguments: list[str]) -> int:
    asked = commands().parse_args(arguments)
    token = TOKEN.read_text() if TOKEN.exists() else None
    with (
        Companion(os.environ["COMPANION_URL"], token=token, deadline=10) as client,
        Diary(FILE, client, zone=os.environ.get("JOURNAL_ZONE"), passphrase=os.environ.get("JOURNAL_PASSPHRASE")) as diary,
    ):
        body = body_of(asked, diary)
        if body is not None:
            show(diary.record(body))
        match asked.command:
            case "sign-in":
                signed = diary.sign_in(asked.code, device="Terminal")
                TOKEN.touch(0o600)
                TOKEN.write_text(signed.access_token)
                print("signed in as", signed.me.name)
            case "list":
                for entry in diary.entries(kind=asked.kind):
                    show(entry)
            case "refused":
                refused(diary, asked.discard)
            case "sign-out":
                diary.sign_out(discard_unsent=asked.discard_unsent)
                TOKEN.unlink(missing_ok=True)
                return 0
            case _:
                pass
        if TOKEN.exists():
            tell(diary.sync())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
