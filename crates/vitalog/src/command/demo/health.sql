WITH usage AS (
  SELECT account_id,
         sum(coalesce(weight, 1.0)) AS raw,
         count(DISTINCT user_id) AS active_users,
         usage_frequency(event_time, TIMESTAMP '{since}', TIMESTAMP '{until}') AS frequency,
         feature_adoption(event, ['dashboard_viewed', 'report_viewed', 'search_performed',
           'comment_added', 'record_created', 'report_exported', 'task_completed',
           'chart_created', 'automation_run', 'dashboard_created']) AS adoption
  FROM events LEFT JOIN {weights} ON event = name
  WHERE event_time >= TIMESTAMP '{since}' AND event_time < TIMESTAMP '{until}'
    AND event NOT IN ('$group', '$identify') AND account_id IS NOT NULL
  GROUP BY account_id
), history AS (
  SELECT account_id, days_inactive(event_time, TIMESTAMP '{until}') AS days_inactive
  FROM events
  WHERE event_time < TIMESTAMP '{until}' AND event NOT IN ('$group', '$identify')
  GROUP BY account_id
), members AS (
  SELECT account_id, count(*) AS members FROM memberships WHERE removed_at IS NULL GROUP BY account_id
), scored AS (
  SELECT a.account_id, coalesce(a.name, a.account_id) AS account, a.plan, a.mrr,
         coalesce(u.raw, 0) AS raw,
         health_normalize(CAST(coalesce(u.raw, 0) AS DOUBLE)) OVER () AS score,
         coalesce(u.frequency, 0) AS frequency, h.days_inactive, coalesce(u.adoption, 0) AS adoption,
         100 * ratio(coalesce(u.active_users, 0), m.members) AS active_user_pct
  FROM accounts a
  LEFT JOIN usage u ON u.account_id = a.account_id
  LEFT JOIN history h ON h.account_id = a.account_id
  LEFT JOIN members m ON m.account_id = a.account_id
  WHERE a.churned_at IS NULL OR a.churned_at >= TIMESTAMP '{until}'
)
SELECT account_id, account, plan, round(mrr, 0) AS mrr, round(raw, 1) AS raw,
       round(score, 1) AS score, health_band(score, 20.0, 85.0) AS band,
       round(frequency, 2) AS frequency, days_inactive,
       round(adoption, 0) AS adoption_pct, round(active_user_pct, 0) AS active_user_pct,
       health_status([health_band(score, 20.0, 85.0), health_band(days_inactive, 30, 7),
                      health_band(adoption, 30.0, 70.0)]) AS status
FROM scored
ORDER BY score, account
