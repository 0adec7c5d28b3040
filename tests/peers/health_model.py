"""A health model read and answered in plain Python, event by event, as JSON on stdout.

Usage: python health_model.py question.json

The question names the `file` of events (Parquet or JSON Lines, in the order in which they came),
the `model` (TOML) and `questions`, each an `entity` and an `as_of`, a date or an instant. The
answer holds for each question the `scores` and the rows of the `explanation`; who compares them
with Vitalog is the test `health_peers`. Nothing here is fast, and nothing is shared with Vitalog:
days come from zoneinfo, weights and sums are decimals, the peg is a fraction, `to_green` is found
by trying.
"""

import json
import math
import re
import sys
import tomllib
from collections import defaultdict
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
US = timedelta(microseconds=1)
TRAITS = {"$group", "$identify"}


def microseconds(text):
    return (datetime.fromisoformat(text) - EPOCH) // US


class Event:
    def __init__(self, row, seq):
        moment = row["event_time"]
        self.t = microseconds(moment) if isinstance(moment, str) else (moment - EPOCH) // US
        self.seq = seq
        self.event = row["event"]
        self.account_id = row.get("account_id")
        self.user_id = row.get("user_id")
        self.value = row.get("value")
        properties = row.get("properties")
        self.properties = json.dumps(properties) if isinstance(properties, dict) else properties

    def key(self, entity):
        """The account, the user, or both; None where the event does not say."""
        key = {
            "account": (self.account_id,),
            "user": (self.user_id,),
            "member": (self.account_id, self.user_id),
        }[entity]
        return None if None in key else key


def read(path):
    if path.endswith(".parquet"):
        import pyarrow.parquet

        rows = pyarrow.parquet.read_table(path).to_pylist()
    else:
        with open(path) as file:
            rows = [json.loads(line) for line in file]
    return [Event(row, seq) for seq, row in enumerate(rows)]


def holds(condition, row):
    """A condition of one comparison, or of several joined by OR or by AND; None is unknown."""
    for word, decisive in [(" OR ", True), (" AND ", False)]:
        if word in condition:
            parts = [holds(part, row) for part in condition.split(word)]
            if decisive in parts:
                return decisive
            return None if None in parts else not decisive
    name, operator, literal = re.fullmatch(
        r"\s*(\w+) (IS NULL|<>|<=|>=|<|>|=|NOT LIKE|LIKE) ?(.*?)\s*", condition
    ).groups()
    value = row.get(name) if isinstance(row, dict) else getattr(row, name)
    if operator == "IS NULL":
        return value is None
    if value is None:
        return None
    if operator.endswith("LIKE"):
        pattern = ".*".join(re.escape(part) for part in literal.strip("'").split("%"))
        return (re.fullmatch(pattern, value, re.DOTALL) is not None) == (operator == "LIKE")
    other = literal.strip("'") if literal.startswith("'") else float(literal)
    return {
        "=": value == other,
        "<>": value != other,
        "<": value < other,
        "<=": value <= other,
        ">": value > other,
        ">=": value >= other,
    }[operator]


class Rule:
    def __init__(self, table, position):
        self.position = position
        self.events = table.get("events", [table.get("event")])
        self.where = table.get("where")
        self.weight = Decimal(table["weight"])
        self.by_value = table.get("times_value", False)
        self.cap = table.get("daily_cap")

    def takes(self, event):
        named = self.events == ["*"] or event.event in self.events
        return named and (self.where is None or holds(self.where, event) is True)


class Model:
    def __init__(self, text):
        table = tomllib.loads(text, parse_float=Decimal)
        self.entity = table.get("entity", "account")
        self.filter = table.get("filter")
        self.event_filter = table.get("event_filter")
        self.days = table.get("period_days", 30)
        self.zone = ZoneInfo(table.get("time_zone", "UTC"))
        self.p = float(table.get("percentile", 0.9))
        curve = table.get("curve")
        self.k = -math.log(1 - self.p) if curve is None else float(curve)
        self.floor = None if "peg_floor" not in table else float(table["peg_floor"])
        self.least = table.get("min_population", 1)
        self.features = table.get("features", [])
        self.steps = table.get("steps", [])
        weights = table.get("weight", [{"event": "*", "weight": 1}])
        self.rules = [Rule(weight, at) for at, weight in enumerate(weights, 1)]
        self.green = 85.0

    def score(self, raw, peg):
        if raw is None:
            return None
        if raw <= 0:
            return 1.0
        if peg is None:
            return None
        x = raw / peg
        if x >= 1:
            return 100.0
        if self.k == 0:
            return 1 + 99 * x
        return 1 + 99 * math.expm1(-self.k * x) / math.expm1(-self.k)

    def peg(self, raws):
        """Type 7, at least the floor; the floor where too few have a raw score above 0."""
        above = sorted(Fraction(raw) for raw in raws if raw > 0)
        if len(above) < self.least or not above:
            return self.floor
        place = Fraction(self.p) * (len(above) - 1)
        low = math.floor(place)
        high = min(low + 1, len(above) - 1)
        peg = float(above[low] + (above[high] - above[low]) * (place - low))
        return peg if self.floor is None else max(peg, self.floor)

    def day(self, t):
        """The local day of an instant, as a number."""
        return (EPOCH + t * US).astimezone(self.zone).date().toordinal()

    def start(self, day):
        """The first instant of a local day that midnight begins."""
        begins = datetime.combine(date.fromordinal(day), time(), self.zone)
        return (begins.astimezone(timezone.utc) - EPOCH) // US

    def moment(self, as_of):
        """An instant; of a date the end of its day."""
        if len(as_of) == 10:
            return self.start(date.fromisoformat(as_of).toordinal() + 1)
        return microseconds(as_of)

    def earlier(self, moment):
        """The same local time a period ago, or after the gap where clocks skip it."""
        local = (EPOCH + moment * US).astimezone(self.zone)
        # A local time carries its day and hour, not its offset: zoneinfo finds that of the day.
        back = (local.replace(tzinfo=None) - timedelta(days=self.days)).replace(tzinfo=self.zone)
        return (back.astimezone(timezone.utc) - EPOCH) // US


class Question:
    """A model's answer about entities at a moment."""

    def __init__(self, model, events, entity, moment):
        self.model = model
        self.entity = entity
        self.seen = [event for event in events if event.t < moment]
        self.today = model.day(moment - 1)
        self.since = model.start(self.today - model.days + 1)
        self.moment = moment
        self.activity = [
            event
            for event in self.seen
            if event.event not in TRAITS
            and (model.event_filter is None or holds(model.event_filter, event) is True)
        ]
        self.members = {
            (event.account_id, event.user_id)
            for event in self.seen
            if event.account_id is not None and event.user_id is not None
        }
        self.entities = self.population()
        self.tally()

    def accounts(self):
        """The accounts that the model takes, by the latest value of each trait."""
        traits = defaultdict(dict)
        for event in sorted(self.seen, key=lambda event: (event.t, event.seq)):
            if event.account_id is not None:
                of_account = traits[event.account_id]
                if event.event == "$group":
                    of_account.update(json.loads(event.properties or "{}"))
        taken = set()
        for account, found in traits.items():
            churned = found.get("churned_at")
            left = churned is not None and microseconds(churned) < self.moment
            row = {"plan": found.get("plan")}
            if not left and (self.model.filter is None or holds(self.model.filter, row) is True):
                taken.add(account)
        return taken

    def population(self):
        accounts = self.accounts()
        if self.entity == "account":
            return {(account,) for account in accounts}
        members = {member for member in self.members if member[0] in accounts}
        if self.entity == "member":
            return members
        if self.model.filter is not None:
            return {(user,) for _, user in members}
        return {event.key("user") for event in self.seen} - {None}

    def tally(self):
        """Counts by event and rule, then raw scores, the peg and scores."""
        by_day = defaultdict(int)
        by_value = defaultdict(Decimal)
        self.active_days = defaultdict(set)
        self.used = defaultdict(set)
        for event in self.activity:
            key = event.key(self.entity)
            if key not in self.entities or event.t < self.since:
                continue
            day = self.model.day(event.t)
            self.active_days[key].add(day)
            self.used[key].add(event.event)
            rule = next((rule for rule in self.model.rules if rule.takes(event)), None)
            if rule is None:
                continue
            member = (event.account_id, event.user_id)
            by_day[key, event.event, rule.position, member, day] += 1
            if rule.by_value and event.value is not None:
                product = Decimal(repr(event.value)) * rule.weight
                by_value[key, event.event, rule.position] += product
        self.counts = defaultdict(lambda: [0, 0])
        for (key, event, position, _, _), count in by_day.items():
            cap = self.model.rules[position - 1].cap
            counts = self.counts[key, event, position]
            counts[0] += count
            counts[1] += count if cap is None else min(count, cap)
        self.contributions = {}
        for (key, event, position), (_, counted) in self.counts.items():
            rule = self.model.rules[position - 1]
            found = by_value[key, event, position] if rule.by_value else counted * rule.weight
            self.contributions[key, event, position] = found
        raws = defaultdict(Decimal)
        for (key, _, _), contribution in self.contributions.items():
            raws[key] += contribution
        self.raws = {key: float(raws[key]) for key in self.entities}
        self.peg = self.model.peg(self.raws.values())
        self.peg_n = sum(raw > 0 for raw in self.raws.values())
        self.scores = {key: self.model.score(raw, self.peg) for key, raw in self.raws.items()}

    def names(self, key):
        """The key as columns."""
        account, user = {
            "account": lambda: (key[0], None),
            "user": lambda: (None, key[0]),
            "member": lambda: key,
        }[self.entity]()
        return {"account_id": account, "user_id": user}

    def score_rows(self, events):
        model = self.model
        before = Question(model, events, self.entity, model.earlier(self.moment))
        healthy = defaultdict(list)
        if self.entity == "account":
            of_members = Question(model, events, "member", self.moment)
            for (account, _), score in of_members.scores.items():
                if score is not None:
                    healthy[account,].append(score >= model.green)
        firsts, lasts, done = {}, {}, defaultdict(set)
        for event in self.activity:
            key = event.key(self.entity)
            firsts[key] = min(firsts.get(key, event.t), event.t)
            lasts[key] = max(lasts.get(key, event.t), event.t)
            done[key].add(event.event)
        rows = []
        for key in self.entities:
            score, was, raw_was = self.scores[key], before.scores.get(key), before.raws.get(key)
            own = model.score(raw_was, self.peg)
            last, first = lasts.get(key), firsts.get(key)
            members = self.active_members(key)
            rows.append(
                self.names(key)
                | {
                    "raw": self.raws[key],
                    "peg": self.peg,
                    "peg_n": self.peg_n,
                    "score": score,
                    "band": band(score, model.green),
                    "active_days": len(self.active_days[key]),
                    "usage_frequency": len(self.active_days[key]) / model.days,
                    "first_active": first,
                    "last_active": last,
                    "days_inactive": None if last is None else self.today - model.day(last),
                    "feature_adoption": percent(self.used[key], model.features),
                    "activation_rate": percent(done[key], model.steps),
                    "members": None if members is None else members[0],
                    "active_members": None if members is None else members[1],
                    "healthy_user_pct": share(healthy[key]) if self.entity == "account" else None,
                    "trend": None if None in (score, was) else score - was,
                    "trend_own": None if None in (score, own) else score - own,
                }
            )
        return rows

    def active_members(self, key):
        if self.entity != "account":
            return None
        of_account = {member for member in self.members if member[0] == key[0]}
        active = {
            (event.account_id, event.user_id) for event in self.activity if event.t >= self.since
        }
        return len(of_account), len(of_account & active)

    def explanation_rows(self):
        named = {
            (event, rule.position)
            for rule in self.model.rules
            for event in rule.events
            if event != "*"
        }
        occurred = defaultdict(set)
        for key, event, position in self.counts:
            occurred[key].add((event, position))
        rows = []
        for key in self.entities:
            raw, score = self.raws[key], self.scores[key]
            points = []
            for event, position in named | occurred[key]:
                rule = self.model.rules[position - 1]
                count, counted = self.counts.get((key, event, position), (0, 0))
                contribution = float(self.contributions.get((key, event, position), 0))
                points.append(self.points(raw, score, contribution))
                rows.append(
                    self.names(key)
                    | {
                        "event": event,
                        "position": position,
                        "count": count,
                        "counted": counted,
                        "weight": float(rule.weight),
                        "contribution": contribution,
                        "share": None if raw == 0 else contribution / raw,
                        "points": points[-1],
                        "to_green": self.to_green(raw, score, rule),
                    }
                )
            if raw > 0 and score is not None:
                assert abs(math.fsum(points) - (score - 1)) < 1e-9, (key, points, score)
        return rows

    @staticmethod
    def points(raw, score, contribution):
        if score is None:
            return None
        return 0.0 if raw <= 0 else (score - 1) * contribution / raw

    def to_green(self, raw, score, rule):
        """The least number of further counts that makes the score green, found by bisection."""
        if score is not None and score >= self.model.green:
            return 0
        if rule.weight <= 0 or rule.by_value or self.peg is None:
            return None

        def is_green(count):
            return self.model.score(raw + count * float(rule.weight), self.peg) >= self.model.green

        high = 1
        while not is_green(high):
            high *= 2
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if is_green(middle) else (middle, high)
        return high


def band(score, green):
    if score is None:
        return None
    return "green" if score >= green else "red" if score <= 20 else "yellow"


def percent(found, catalogue):
    if not catalogue:
        return None
    return 100 * len(found & set(catalogue)) / len(set(catalogue))


def share(values):
    return None if not values else 100 * sum(values) / len(values)


def answer(asked):
    events = read(asked["file"])
    model = Model(asked["model"])
    answers = []
    for about in asked["questions"]:
        question = Question(model, events, about["entity"], model.moment(about["as_of"]))
        answers.append(
            {"scores": question.score_rows(events), "explanation": question.explanation_rows()}
        )
    return answers


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        json.dump(answer(json.load(file)), sys.stdout)
