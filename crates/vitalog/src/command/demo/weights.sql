(VALUES
  ('record_created', 5.0), ('task_completed', 5.0), ('automation_run', 4.0),
  ('dashboard_created', 8.0), ('teammate_invited', 10.0), ('report_exported', 4.0),
  ('comment_added', 3.0), ('dashboard_viewed', 2.0), ('report_viewed', 2.0),
  ('search_performed', 1.0), ('record_opened', 1.0), ('record_updated', 2.0),
  ('page_viewed', 0.5), ('login', 0.0), ('ticket_opened', -3.0)
) AS weights (name, weight)
