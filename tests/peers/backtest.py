"""The back-test of docs/examples/backtest-oulad.md in pandas and plain Python, as JSON on stdout.

Usage: python backtest.py question.json

The question names the `events` (Parquet or CSV), the `labels` (CSV), the `days` after the start of
a presentation and the `period_days` of features. The answer holds a row for each presentation and
day, and for all presentations of a day together (presentation null): students, those who withdraw
later, and the area under the ROC curve of three features. Who compares them with Vitalog is the
test `health_peers`.
"""

import json
import sys

import pandas

DAY = pandas.Timedelta(days=1)
MEMBER = ["account_id", "user_id"]


def area(values, labels):
    """From the mean ranks of those whose label is true (Mann and Whitney)."""
    pairs = sorted(zip(values, labels))
    positives = sum(labels)
    negatives = len(pairs) - positives
    total, start = 0.0, 0
    while start < len(pairs):
        end = start
        while end < len(pairs) and pairs[end][0] == pairs[start][0]:
            end += 1
        rank = (start + 1 + end) / 2
        total += rank * sum(label for _, label in pairs[start:end])
        start = end
    return (total - positives * (positives + 1) / 2) / (positives * negatives)


def at(events, labels, start, day, period):
    """The students of presentations that began at `start`, as they stand at the end of a day."""
    as_of = start + (day + 1) * DAY
    seen = events[events.event_time < as_of]
    recent = seen[seen.event_time >= as_of - period * DAY]
    recent = recent.groupby(MEMBER).agg(
        raw=("event_time", "size"), active_days=("event_time", "nunique")
    )
    # All students who clicked in these weeks, of whatever presentation, are the scale.
    peg = recent.raw.quantile(0.9, interpolation="linear")
    last = seen.groupby(MEMBER).event_time.max().rename("last")
    students = labels[
        (labels.presentation_start == start)
        & (labels.registered_date < as_of)
        & ~(labels.unregistered_date < as_of)
    ]
    students = students.join(recent, on=MEMBER).join(last, on=MEMBER)
    raw = students.raw.fillna(0)
    inactive = (as_of - DAY - students["last"]).dt.days
    return pandas.DataFrame(
        {
            "presentation": students.presentation,
            "day": day,
            "days_inactive": inactive.fillna(999),
            "active_days": students.active_days.fillna(0),
            "score": 1 + 110 * (1 - 10 ** -(raw / peg).clip(upper=1)),
            "withdraws": students.churned == 1,
        }
    )


def row(presentation, day, students):
    labels = students.withdraws.tolist()
    return {
        "presentation": presentation,
        "day": day,
        "students": len(students),
        "withdraw": sum(labels),
        "days_inactive": area(students.days_inactive.tolist(), labels),
        "active_days": area((-students.active_days).tolist(), labels),
        "score": area((-students.score).tolist(), labels),
    }


def answer(question):
    columns = ["event_time", *MEMBER]
    if question["events"].endswith(".csv"):
        events = pandas.read_csv(question["events"], usecols=columns, dtype={"user_id": str})
    else:
        events = pandas.read_parquet(question["events"], columns=columns)
    # Clicks are known by the day, so each distinct time is an active day.
    events["event_time"] = pandas.to_datetime(events.event_time).dt.tz_localize(None)
    dates = ["registered_date", "unregistered_date", "presentation_start"]
    labels = pandas.read_csv(question["labels"], dtype={"user_id": str}, parse_dates=dates)
    rows = []
    for day in question["days"]:
        starts = labels.presentation_start.unique()
        parts = [at(events, labels, start, day, question["period_days"]) for start in starts]
        students = pandas.concat(parts)
        rows.append(row(None, day, students))
        for presentation, part in students.groupby("presentation"):
            rows.append(row(presentation, day, part))
    return rows


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        json.dump(answer(json.load(file)), sys.stdout)
