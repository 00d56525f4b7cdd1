"""A trend read as in a notebook: each cell answers one question, and says how sure the answer is.

Needs COMPANION_URL and COMPANION_TOKEN (a patient's, or a clinician's with COMPANION_PATIENT).
"""

# %% Where from
import os
from datetime import timedelta

from companion_sdk import Companion, Series

client = Companion(os.environ["COMPANION_URL"], token=os.environ["COMPANION_TOKEN"])
patient = os.environ.get("COMPANION_PATIENT", "me")
trends = client.trends.get(series=["mood", "anxiety", "craving"], patient=patient)
print(f"{trends.from_} to {trends.to}")


# %% What was answered, and what was not: a day without an answer has no point, and is never drawn as zero
def bars(series: Series, low: int, high: int) -> str:
    """A character a day, a space where there is no answer."""
    blocks = "▁▂▃▄▅▆▇█"
    values = {point.day: point.value for point in series.points}
    days = [trends.from_ + timedelta(days=number) for number in range((trends.to - trends.from_).days + 1)]
    return "".join(blocks[round((values[day] - low) / (high - low) * 7)] if day in values else " " for day in days)


for name, series in trends.series.items():
    low, high = (1, 5) if name == "mood" else (0, 10)
    print(f"{name:10} |{bars(series, low, high)}| {series.missing.days} days without an answer")

# %% How this week compares with the last four
for name, series in trends.series.items():
    week, month = series.means["7"], series.means["28"]
    if week and month:
        print(f"{name:10} {week[-1].value:.1f} over 7 days, {month[-1].value:.1f} over 28, up to {week[-1].day}")

# %% What cannot be said yet, and why
for name, series in trends.series.items():
    print(f"{name:10} not yet: {', '.join(series.not_yet) or 'nothing'}")

# %% Sobriety: what is confirmed and what is only silence
ledger = client.sobriety.get(patient=patient)
if ledger.days_since_use is None:
    print("no sobriety check-in yet")
else:
    print(f"{ledger.days_since_use} days since the last use: {ledger.confirmed} confirmed, {ledger.unknown} unknown")
print(f"longest run {ledger.longest}, {ledger.total_confirmed} confirmed in all")
client.close()
