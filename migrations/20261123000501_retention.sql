-- What is old is forgotten, oldest first, in small batches that go on where the last one ended.
CREATE INDEX plugin_agent_commands_age ON plugin_agent_commands (created_at, id);
CREATE INDEX sira_decisions_by_age ON sira_decisions (created_at, id);
DROP INDEX sira_decisions_age;
CREATE INDEX sira_learning_feedback_age ON sira_learning_feedback (created_at, id);
CREATE INDEX plugin_autopatch_attempts_age ON plugin_autopatch_attempts (created_at, id);
CREATE INDEX plugin_incidents_age ON plugin_incidents (created_at, id);
CREATE INDEX plugin_version_changes_age ON plugin_version_changes (at, plugin_id);

-- Whether anything still names what is to be forgotten.
CREATE INDEX sira_learning_feedback_of_incident ON sira_learning_feedback (incident_id);
CREATE INDEX sira_learning_feedback_of_decision ON sira_learning_feedback (decision_id);
CREATE INDEX sira_lessons_due_of_attempt ON sira_lessons_due (attempt_id);
CREATE INDEX release_quarantines_of_attempt ON release_quarantines (attempt_id) WHERE attempt_id IS NOT NULL;
CREATE INDEX plugin_incidents_duplicates ON plugin_incidents (duplicate_of) WHERE duplicate_of IS NOT NULL;
