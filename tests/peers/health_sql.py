"""What DuckDB's SQL answers to the questions of customer health, as JSON on stdout.

Usage: python health_sql.py question.json

The question names the Parquet `file`, the `model` (TOML without name and period: features, steps,
key event and weights, whose `where` is SQL that both sides read alike), for `scores` instants with
their periods in days, for `days` instants, each asked for all `periods`, a `funnel` of events with
its `window_us`, and the `gap_us` of sessions. Instants are microseconds, all days are those of UTC.
The answer holds rows as objects, by the name of the question; who compares them with Vitalog is
the test `health_peers`.
"""

import json
import sys
import tomllib
from decimal import Decimal

import duckdb

DAY_US = 24 * 60 * 60 * 1_000_000
KEYS = {
    "account": ["account_id"],
    "user": ["user_id"],
    "member": ["account_id", "user_id"],
}
# Weeks after the first that a cohort is followed.
WEEKS = 8


def text(value):
    return "'" + value.replace("'", "''") + "'"


def texts(values):
    return "(" + ", ".join(text(value) for value in values) + ")"


def known(entity):
    return " AND ".join(f"{key} IS NOT NULL" for key in KEYS[entity])


class Peer:
    def __init__(self, question):
        self.question = question
        self.model = tomllib.loads(question["model"], parse_float=Decimal)
        self.connection = duckdb.connect()
        self.connection.register("file", self.connection.read_parquet(question["file"]))
        self.connection.execute(
            "CREATE TABLE events AS SELECT account_id, user_id, event, value, properties,"
            f" epoch_us(event_time) AS t, epoch_us(event_time) // {DAY_US} AS day FROM file"
        )
        rule, cap, units = self.rules()
        self.connection.execute(
            f"CREATE TABLE weighed AS SELECT *, {cap} AS cap, {units} AS units"
            f" FROM (SELECT *, {rule} AS rule FROM events)"
        )

    def rows(self, sql):
        cursor = self.connection.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]

    def rules(self):
        """The rule of an event, its cap, and its weight in units of 1e-4, as SQL."""
        rule, cap, units = "CASE", "CASE rule", "CASE rule"
        for position, weight in enumerate(self.model["weight"]):
            events = weight.get("events", [weight.get("event")])
            matched = "TRUE" if events == ["*"] else f"event IN {texts(events)}"
            if "where" in weight:
                matched += f" AND ({weight['where']})"
            rule += f" WHEN {matched} THEN {position}"
            cap += f" WHEN {position} THEN {weight.get('daily_cap', 'NULL')}"
            whole = int(Decimal(weight["weight"]) * 10_000)
            by_value = weight.get("times_value", False)
            units += f" WHEN {position} THEN {whole}{' * coalesce(value, 0)' if by_value else ''}"
        return f"{rule} END", f"{cap} END", f"{units} END"

    def raw(self, entity, period, moment):
        """The entities known before the moment, with raw score, peg and score of its period."""
        keys = ", ".join(KEYS[entity])
        today = (moment - 1) // DAY_US
        since = (today - period + 1) * DAY_US
        valued = self.by_value()
        return f"""
          SELECT {keys}, raw, peg, peg_n, {score("raw", "peg")} AS score
          FROM (
            SELECT *, quantile_cont(CASE WHEN raw > 0 THEN raw END, 0.9) OVER () AS peg,
                   count(*) FILTER (raw > 0) OVER () AS peg_n
            FROM (
              SELECT {keys}, coalesce(units, 0)::DOUBLE / 10000 AS raw
              FROM (SELECT DISTINCT {keys} FROM events WHERE {known(entity)} AND t < {moment})
              LEFT JOIN (
                SELECT {keys}, sum(least(n, coalesce(cap, n)) * units + by_value)::HUGEINT AS units
                FROM (
                  SELECT account_id, user_id, event, rule, day, count(*) AS n,
                         any_value(cap) AS cap,
                         CASE WHEN rule IN {valued} THEN 0 ELSE any_value(units) END AS units,
                         CASE WHEN rule IN {valued} THEN sum(units) ELSE 0 END AS by_value
                  FROM weighed WHERE {known(entity)} AND t >= {since} AND t < {moment}
                  GROUP BY account_id, user_id, event, rule, day
                )
                GROUP BY {keys}
              ) USING ({keys})
            )
          )
        """

    def by_value(self):
        """The rules that multiply the value, as a list of SQL."""
        weights = enumerate(self.model["weight"])
        found = [str(at) for at, weight in weights if weight.get("times_value", False)]
        return "(" + ", ".join([*found, "-1"]) + ")"

    def scores(self, entity, period, moment):
        keys = ", ".join(KEYS[entity])
        today = (moment - 1) // DAY_US
        since = (today - period + 1) * DAY_US
        features, steps = self.model["features"], self.model["steps"]
        members = "NULL::BIGINT AS members, NULL::BIGINT AS active_members"
        if entity == "account":
            members = (
                "count(DISTINCT user_id) AS members,"
                f" count(DISTINCT user_id) FILTER (t >= {since}) AS active_members"
            )
        return self.rows(
            f"""
            WITH now AS ({self.raw(entity, period, moment)}),
            before AS ({self.raw(entity, period, moment - period * DAY_US)}),
            activity AS (
              SELECT {keys}, min(t) AS first_active, max(t) AS last_active, {members},
                     count(DISTINCT day) FILTER (t >= {since}) AS active_days,
                     count(DISTINCT event)
                       FILTER (t >= {since} AND event IN {texts(features)}) AS used,
                     count(DISTINCT event) FILTER (event IN {texts(steps)}) AS done,
                     min(t) FILTER (event = {text(self.model["key_event"])}) AS key_time
              FROM events WHERE {known(entity)} AND t < {moment} GROUP BY {keys}
            )
            SELECT {keys}, now.raw, now.peg, now.peg_n, now.score,
                   CASE WHEN now.score >= 85 THEN 'green' WHEN now.score <= 20 THEN 'red'
                        WHEN now.score IS NOT NULL THEN 'yellow' END AS band,
                   active_days, active_days / {period} AS usage_frequency,
                   first_active, last_active, {today} - last_active // {DAY_US} AS days_inactive,
                   {today} - first_active // {DAY_US} AS tenure_days,
                   100 * used / {len(features)} AS feature_adoption,
                   100 * done / {len(steps)} AS activation_rate,
                   (key_time - first_active) / {DAY_US} AS time_to_first,
                   members, active_members,
                   100 * active_members / nullif(members, 0) AS active_user_pct,
                   now.score - before.score AS trend,
                   now.score - {score("before.raw", "now.peg")} AS trend_own,
                   CASE WHEN trend_own >= 10 THEN 'up' WHEN trend_own <= -10 THEN 'down'
                        WHEN trend_own IS NOT NULL THEN 'flat' END AS direction
            FROM now JOIN activity USING ({keys}) LEFT JOIN before USING ({keys})
            """
        )

    def days(self, entity, periods, moment):
        """Active days in periods, last activity, and the longest gap between active days."""
        keys = ", ".join(KEYS[entity])
        today = (moment - 1) // DAY_US
        counts = ", ".join(
            f"count(*) FILTER (day > {today - period}) AS days_{period}" for period in periods
        )
        return self.rows(
            f"""
            SELECT {keys}, {counts}, max(latest) AS last, max(day - previous) AS longest_gap
            FROM (SELECT {keys}, day, max(t) AS latest,
                         lag(day) OVER (PARTITION BY {keys} ORDER BY day) AS previous
                  FROM events WHERE {known(entity)} AND t < {moment} GROUP BY {keys}, day)
            GROUP BY {keys}
            """
        )

    def sessions(self, gap):
        return self.rows(
            f"""
            SELECT account_id, user_id, min(t) AS start_at, max(t) AS end_at,
                   (max(t) - min(t)) / 60000000 AS minutes, count(*) AS events
            FROM (SELECT *, sum(begins) OVER member AS session
                  FROM (SELECT *, coalesce(t - lag(t) OVER member > {gap}, TRUE)::INT AS begins
                        FROM events WINDOW member AS (PARTITION BY account_id, user_id ORDER BY t))
                  WINDOW member AS (PARTITION BY account_id, user_id ORDER BY t))
            GROUP BY account_id, user_id, session
            """
        )

    def session_ids(self):
        """The sessions that the file itself names."""
        return self.rows(
            """
            SELECT account_id, user_id, min(t) AS start_at, max(t) AS end_at, count(*) AS events
            FROM (SELECT *, properties->>'session_id' AS session FROM events)
            WHERE session IS NOT NULL GROUP BY account_id, user_id, session
            """
        )

    def funnel(self, entity, events, window):
        """Each first step with the next second one, and the next third one after that."""
        key = KEYS[entity][0]
        steps = [
            f"SELECT DISTINCT {key}, t FROM events WHERE {known(entity)} AND event = {text(event)}"
            for event in events
        ]
        return self.rows(
            f"""
            WITH a AS ({steps[0]}), b AS ({steps[1]}), c AS ({steps[2]}),
            ab AS (SELECT a.{key}, a.t AS first, min(b.t) AS second
                   FROM a LEFT JOIN b ON a.{key} = b.{key} AND b.t >= a.t GROUP BY ALL),
            abc AS (SELECT ab.*, min(c.t) AS third
                    FROM ab LEFT JOIN c ON ab.{key} = c.{key} AND c.t >= ab.second GROUP BY ALL),
            depths AS (SELECT {key}, CASE WHEN third <= first + {window} THEN 3
                                          WHEN second <= first + {window} THEN 2
                                          ELSE 1 END AS depth
                       FROM abc)
            SELECT {key}, coalesce(max(depth), 0) AS depth
            FROM (SELECT DISTINCT {key} FROM events WHERE {known(entity)})
            LEFT JOIN depths USING ({key}) GROUP BY {key}
            """
        )

    def retention(self):
        """Users of the week of their first event that came in each week from then on."""
        week = "(day + 3) // 7"
        weeks = ", ".join(
            f"count(DISTINCT user_id) FILTER (week = cohort + {after}) AS week_{after}"
            for after in range(WEEKS + 1)
        )
        return self.rows(
            f"""
            SELECT (cohort * 7 - 3) * {DAY_US} AS cohort, {weeks}
            FROM (SELECT user_id, {week} AS week, min({week}) OVER (PARTITION BY user_id) AS cohort
                  FROM events WHERE user_id IS NOT NULL)
            GROUP BY cohort
            """
        )

    def answer(self):
        question = self.question
        answers = {}
        for entity in KEYS:
            for moment, periods in question["scores"]:
                for period in periods:
                    name = f"scores {entity} {period} {moment}"
                    answers[name] = self.scores(entity, period, moment)
            for moment in question["days"]:
                name = f"days {entity} {moment}"
                answers[name] = self.days(entity, question["periods"], moment)
        funnel = question["funnel"], question["window_us"]
        for entity in ["account", "user"]:
            answers[f"funnel {entity}"] = self.funnel(entity, *funnel)
        answers["retention"] = self.retention()
        answers["sessions"] = self.sessions(question["gap_us"])
        answers["session ids"] = self.session_ids()
        return answers


def score(raw, peg):
    """The score at the 90th percentile: 1 + 110 * (1 - 10^(-x))."""
    return (
        f"CASE WHEN {raw} IS NULL THEN NULL WHEN {raw} <= 0 THEN 1.0::DOUBLE"
        f" ELSE 1 + 110 * (1 - pow(10, -least({raw} / {peg}, 1))) END"
    )


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        json.dump(Peer(json.load(file)).answer(), sys.stdout)
