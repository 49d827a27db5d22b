//! Between the columns of a row and the states of an order.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    generation::Generation,
    ids::{CommandId, PluginId},
    protocol::command::CommandKind,
};
use serde_json::Value;
use uuid::Uuid;

use super::super::{Db, SqlTimestamp, StoreError};
use crate::domain::command::{InFlight, LIFETIME, MAX_RETRIES, Order, Retries, Stage, State};

/// The columns that make an order.
pub struct OrderRow {
    pub id: Uuid,
    pub merchant_plugin_id: Uuid,
    pub command_type: String,
    pub command_payload: Value,
    pub status: String,
    pub generation: Option<i64>,
    pub sent_at: Option<SqlTimestamp>,
    pub completed_at: Option<SqlTimestamp>,
    pub response: Option<Value>,
    pub error_message: Option<String>,
    pub retry_count: Option<i32>,
    pub max_retries: Option<i32>,
    pub next_retry_at: Option<SqlTimestamp>,
    pub expires_at: Option<SqlTimestamp>,
    pub deadline_at: Option<SqlTimestamp>,
    pub created_at: SqlTimestamp,
}

impl TryFrom<OrderRow> for Order {
    type Error = StoreError;

    fn try_from(row: OrderRow) -> Result<Self, StoreError> {
        let state = read_state(&row)?;
        let kind: CommandKind = serde_json::from_value(Value::String(row.command_type))
            .map_err(|error| StoreError::corrupt("command's type", error))?;
        let payload = serde_json::from_value(row.command_payload)
            .map_err(|error| StoreError::corrupt("command's payload", error))?;
        let count = |value: Option<i32>, absent: u32| value.and_then(|n| u32::try_from(n).ok()).unwrap_or(absent);
        // Rows of the reference system have no expiry: they get the default, from their own beginning.
        let created_at = row.created_at.to_jiff();
        let expires_at = row
            .expires_at
            .map_or_else(|| later(created_at, LIFETIME), SqlTimestamp::to_jiff);
        Ok(Self {
            id: CommandId(row.id),
            plugin_id: PluginId(row.merchant_plugin_id),
            kind,
            payload,
            expires_at,
            retries: Retries {
                count: count(row.retry_count, 0),
                max: count(row.max_retries, MAX_RETRIES),
            },
            state,
        })
    }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn read_state(row: &OrderRow) -> Result<State, StoreError> {
    let generation = row.generation.and_then(|n| u64::try_from(n).ok()).map(Generation);
    let ended = row
        .completed_at
        .map_or_else(|| row.created_at.to_jiff(), SqlTimestamp::to_jiff);
    let error = || row.error_message.clone().unwrap_or_default();
    let in_flight = |stage| {
        let sent_at = row.sent_at.unwrap_or(row.created_at).to_jiff();
        State::InFlight(InFlight {
            generation: generation.unwrap_or_default(),
            sent_at,
            stage,
            deadline: row
                .deadline_at
                .map_or_else(|| later(sent_at, SignedDuration::from_hours(2)), SqlTimestamp::to_jiff),
        })
    };
    Ok(match row.status.as_str() {
        "pending" => State::Pending {
            last: generation,
            not_before: row.next_retry_at.map(SqlTimestamp::to_jiff),
        },
        "sent" => in_flight(Stage::Sent),
        "acknowledged" => in_flight(Stage::Acknowledged),
        "executing" => in_flight(Stage::Executing),
        "completed" => State::Completed {
            at: ended,
            result: row.response.clone().unwrap_or(Value::Null),
        },
        "failed" => State::Failed {
            at: ended,
            error: error(),
            result: row.response.clone(),
        },
        "timeout" => State::TimedOut {
            at: ended,
            error: error(),
            last: generation,
        },
        other => {
            return Err(StoreError::corrupt(
                "command's status",
                format!("unknown status '{other}'"),
            ));
        }
    })
}

/// What a state writes; what it does not own is NULL.
#[derive(Default)]
pub struct StateColumns {
    pub generation: Option<i64>,
    pub sent_at: Option<Timestamp>,
    pub deadline: Option<Timestamp>,
    pub not_before: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub response: Option<Value>,
    pub error: Option<String>,
}

impl StateColumns {
    pub fn of(state: &State) -> Self {
        let mut columns = Self::default();
        match state {
            State::Pending { not_before, .. } => columns.not_before = *not_before,
            State::InFlight(flight) => {
                columns.generation = i64::try_from(flight.generation.0).ok();
                columns.sent_at = Some(flight.sent_at);
                columns.deadline = Some(flight.deadline);
            }
            State::Completed { at, result } => {
                columns.completed_at = Some(*at);
                columns.response = Some(result.clone());
            }
            State::Failed { at, error, result } => {
                columns.completed_at = Some(*at);
                columns.error = Some(error.clone());
                columns.response.clone_from(result);
            }
            State::TimedOut { at, error, .. } => {
                columns.completed_at = Some(*at);
                columns.error = Some(error.clone());
            }
        }
        columns
    }
}

/// An order as people see it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of plugin_agent_commands, as they are")]
pub struct OrderView {
    pub id: Uuid,
    pub merchant_plugin_id: Uuid,
    pub merchant_id: Uuid,
    pub command_type: String,
    pub command_payload: Value,
    pub status: String,
    pub generation: Option<i64>,
    pub sent_at: Option<SqlTimestamp>,
    pub acknowledged_at: Option<SqlTimestamp>,
    pub executing_at: Option<SqlTimestamp>,
    pub completed_at: Option<SqlTimestamp>,
    pub progress: Option<Value>,
    pub response: Option<Value>,
    pub error_message: Option<String>,
    pub retry_count: Option<i32>,
    pub max_retries: Option<i32>,
    pub next_retry_at: Option<SqlTimestamp>,
    pub expires_at: Option<SqlTimestamp>,
    pub created_by: Option<String>,
    pub created_at: SqlTimestamp,
}

/// Reads one for people.
pub async fn view(db: &Db, id: CommandId) -> Result<Option<OrderView>, StoreError> {
    let found = sqlx::query_as!(
        OrderView,
        r#"SELECT id, merchant_plugin_id, merchant_id AS "merchant_id!", command_type, command_payload, status, generation,
             sent_at AS "sent_at: SqlTimestamp", acknowledged_at AS "acknowledged_at: SqlTimestamp",
             executing_at AS "executing_at: SqlTimestamp", completed_at AS "completed_at: SqlTimestamp", progress,
             response, error_message, retry_count AS "retry_count?", max_retries AS "max_retries?",
             next_retry_at AS "next_retry_at: SqlTimestamp", expires_at AS "expires_at: SqlTimestamp", created_by,
             created_at AS "created_at: SqlTimestamp"
           FROM plugin_agent_commands WHERE id = $1"#,
        id.0
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(found)
}
