WITH counted AS (
  SELECT event, coalesce(weight, 1.0) AS weight,
         count(*) FILTER (WHERE event_time >= TIMESTAMP '{since}') AS count,
         count(*) FILTER (WHERE event_time < TIMESTAMP '{since}') AS previous
  FROM events LEFT JOIN {weights} ON event = name
  WHERE account_id = '{account}' AND event NOT IN ('$group', '$identify')
    AND event_time >= TIMESTAMP '{previous}' AND event_time < TIMESTAMP '{until}'
  GROUP BY event, weight
), raws AS (
  SELECT account_id, sum(coalesce(weight, 1.0)) AS raw
  FROM events LEFT JOIN {weights} ON event = name
  WHERE event_time >= TIMESTAMP '{since}' AND event_time < TIMESTAMP '{until}'
    AND event NOT IN ('$group', '$identify') AND account_id IN (
      SELECT account_id FROM accounts WHERE churned_at IS NULL OR churned_at >= TIMESTAMP '{until}')
  GROUP BY account_id
), peg AS (
  SELECT health_peg(CAST(raw AS DOUBLE)) AS peg FROM raws
), score AS (
  SELECT coalesce(sum(count * weight), 0) AS raw,
         health_score(CAST(coalesce(sum(count * weight), 0) AS DOUBLE), max(peg)) AS score
  FROM counted CROSS JOIN peg
)
SELECT event, count, previous AS count_before, weight,
       count * weight AS contribution,
       round(100 * ratio(count * weight, raw), 1) AS share_pct,
       round(coalesce((score - 1) * ratio(count * weight, raw), 0), 2) AS points
FROM counted CROSS JOIN score
ORDER BY contribution DESC, previous DESC, event
