//! Questions to people (`approvals`) and what they said (`approval_votes`).

mod view;

use jiff::Timestamp;
use plugmend_shared::{
    ids::{AttemptId, CommandId, Digest, MerchantId, PluginId},
    protocol::command::ApprovalSignature,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{SqlTimestamp, StoreError, ToSqlx as _, Tx};
use crate::domain::{
    approval::{OpsRole, Request, Standing, Yes},
    policy::ShownReason,
};

pub use view::{ApprovalView, Place, Word, find, list};

/// What people are asked about.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// A cure.
    Attempt {
        /// Which.
        id: AttemptId,
        /// Of which incident.
        incident_id: Uuid,
    },
    /// An order of a person.
    Order {
        /// As it will be given.
        asked: Value,
        /// Under this id.
        id: CommandId,
    },
}

/// A question to be asked.
#[derive(Debug)]
pub struct NewQuestion<'a> {
    /// About what.
    pub subject: Subject,
    /// Whose plugin.
    pub merchant_id: MerchantId,
    /// Which plugin.
    pub plugin_id: PluginId,
    /// What would be done to it, in a word.
    pub action: &'a str,
    /// With which product.
    pub product: Option<&'a str>,
    /// To which version.
    pub version: Option<String>,
    /// Who wants it.
    pub wanted_by: &'a str,
    /// Why, in their words.
    pub why: Option<&'a str>,
    /// Why people are asked.
    pub reasons: Vec<ShownReason>,
    /// To whom, about what exactly, and until when.
    pub request: &'a Request,
}

/// A question that is held.
#[derive(Debug, Clone)]
pub struct Question {
    /// Its id.
    pub id: Uuid,
    /// About what.
    pub subject: Subject,
    /// Whose plugin.
    pub merchant_id: MerchantId,
    /// Which plugin.
    pub plugin_id: PluginId,
    /// Who wants it: a person, or the loop.
    pub wanted_by: String,
    /// Who is asked, and what they said.
    pub request: Request,
}

/// Asks; the question's id.
///
/// # Errors
/// When the database fails.
pub async fn insert(tx: &mut Tx, new: &NewQuestion<'_>, now: Timestamp) -> Result<Uuid, StoreError> {
    let (attempt, incident, asked, command) = match &new.subject {
        Subject::Attempt { id, incident_id } => (Some(id.0), Some(*incident_id), None, None),
        Subject::Order { asked, id } => (None, None, Some(asked), Some(id.0)),
    };
    let request = new.request;
    let id = sqlx::query_scalar!(
        "INSERT INTO approvals
           (attempt_id, incident_id, order_asked, command_id, merchant_id, merchant_plugin_id, action, product, version,
            release_digest, content_digest, scope, quorum, reasons, requested_by, by_person, requested_why, requested_at,
            expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) RETURNING id",
        attempt,
        incident,
        asked,
        command,
        new.merchant_id.0,
        new.plugin_id.0,
        new.action,
        new.product,
        new.version,
        request.release.map(|digest| digest.0.to_vec()),
        &request.content.0[..],
        format!("plugin:{}", new.plugin_id),
        json!(request.quorum),
        json!(new.reasons),
        new.wanted_by,
        request.wanted_by.is_some(),
        new.why,
        now.to_sqlx() as _,
        request.expires_at.to_sqlx() as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(id)
}

/// The attempt that a question is about, if it is about one; the outer none when there is no such question. Whoever
/// answers it holds the attempt first.
///
/// # Errors
/// When the database fails.
pub async fn attempt_of(tx: &mut Tx, id: Uuid) -> Result<Option<Option<AttemptId>>, StoreError> {
    let found = sqlx::query_scalar!("SELECT attempt_id FROM approvals WHERE id = $1", id)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(found.map(|attempt| attempt.map(AttemptId)))
}

/// One question, held until the transaction ends.
///
/// # Errors
/// When the database fails or the row can not be read.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<Option<Question>, StoreError> {
    fetch(tx, Some(id), None).await
}

/// The question about an attempt that still counts, held until the transaction ends.
///
/// # Errors
/// When the database fails or the row can not be read.
pub async fn lock_live_of(tx: &mut Tx, attempt: AttemptId) -> Result<Option<Question>, StoreError> {
    fetch(tx, None, Some(attempt)).await
}

async fn fetch(tx: &mut Tx, id: Option<Uuid>, attempt: Option<AttemptId>) -> Result<Option<Question>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT id, attempt_id, incident_id, order_asked, command_id, merchant_id, merchant_plugin_id, release_digest,
             content_digest, quorum, requested_by, by_person, expires_at AS "expires_at: SqlTimestamp", status
           FROM approvals WHERE id = $1 OR attempt_id = $2 AND status IN ('pending', 'approved')
           FOR NO KEY UPDATE"#,
        id,
        attempt.map(|id| id.0)
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let words = sqlx::query!(
        r#"SELECT person, roles, at AS "at: SqlTimestamp", signature ->> 'keyid' AS signed_by FROM approval_votes
           WHERE approval_id = $1 AND says = 'yes' ORDER BY id"#,
        row.id
    )
    .fetch_all(&mut **tx)
    .await?;
    let yes = words.into_iter().map(|word| Yes {
        person: word.person,
        roles: word.roles.iter().filter_map(|role| OpsRole::from_name(role)).collect(),
        at: word.at.to_jiff(),
        signed_by: word.signed_by,
    });
    let subject = match (row.attempt_id, row.incident_id, row.order_asked, row.command_id) {
        (Some(id), Some(incident_id), _, _) => Subject::Attempt {
            id: AttemptId(id),
            incident_id,
        },
        (_, _, Some(asked), Some(id)) => Subject::Order {
            asked,
            id: CommandId(id),
        },
        _ => return Err(StoreError::corrupt("approval", "it is about nothing")),
    };
    let digest = |bytes: Vec<u8>| {
        let bytes = <[u8; 32]>::try_from(bytes);
        bytes
            .map(Digest)
            .map_err(|_| StoreError::corrupt("approval", "a digest is not 32 bytes"))
    };
    Ok(Some(Question {
        id: row.id,
        subject,
        merchant_id: row.merchant_id.into(),
        plugin_id: row.merchant_plugin_id.into(),
        request: Request {
            standing: Standing::from_name(&row.status)
                .ok_or_else(|| StoreError::corrupt("approval", "unknown status"))?,
            quorum: serde_json::from_value(row.quorum).map_err(|e| StoreError::corrupt("quorum", e))?,
            release: row.release_digest.map(digest).transpose()?,
            content: digest(row.content_digest)?,
            wanted_by: row.by_person.then(|| row.requested_by.clone()),
            expires_at: row.expires_at.to_jiff(),
            yes: yes.collect(),
        },
        wanted_by: row.requested_by,
    }))
}

/// Keeps where a question that is held stands now, and why it ended, where it did.
///
/// # Errors
/// When the database fails.
pub async fn save(tx: &mut Tx, question: &Question, why: Option<&str>, now: Timestamp) -> Result<(), StoreError> {
    let request = &question.request;
    let ended_at = (request.standing != Standing::Pending).then_some(now);
    let done = sqlx::query!(
        "UPDATE approvals SET status = $2, quorum = $3, expires_at = $4, ended_at = $5, ended_why = $6 WHERE id = $1",
        question.id,
        request.standing.as_str(),
        json!(request.quorum),
        request.expires_at.to_sqlx() as _,
        ended_at.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        why,
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Stale { what: "the approval" })
    }
}

/// Keeps what a person said.
///
/// # Errors
/// When the database fails, or they said it before.
pub async fn add_word(
    tx: &mut Tx,
    id: Uuid,
    (person, roles, says): (&str, &[OpsRole], &str),
    (comment, signature): (Option<&str>, Option<&ApprovalSignature>),
    now: Timestamp,
) -> Result<(), StoreError> {
    let roles: Vec<String> = roles.iter().map(|role| role.as_str().to_owned()).collect();
    sqlx::query!(
        "INSERT INTO approval_votes (approval_id, person, roles, says, comment, signature, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        id,
        person,
        &roles,
        says,
        comment,
        signature.map(|signature| json!(signature)),
        now.to_sqlx() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps the signature of a person who said yes before.
///
/// # Errors
/// [`StoreError::Stale`] when they signed before.
pub async fn sign_word(tx: &mut Tx, id: Uuid, person: &str, signature: &ApprovalSignature) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE approval_votes SET signature = $3
         WHERE approval_id = $1 AND person = $2 AND says = 'yes' AND signature IS NULL",
        id,
        person,
        json!(signature)
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() == 1 {
        Ok(())
    } else {
        Err(StoreError::Stale { what: "the approval" })
    }
}

/// The signatures that people gave with their yes, for the agent.
///
/// # Errors
/// When the database fails.
pub async fn signatures(tx: &mut Tx, id: Uuid) -> Result<Vec<ApprovalSignature>, StoreError> {
    let found = sqlx::query_scalar!(
        r#"SELECT signature AS "signature!" FROM approval_votes
           WHERE approval_id = $1 AND says = 'yes' AND signature IS NOT NULL ORDER BY id LIMIT 64"#,
        id
    )
    .fetch_all(&mut **tx)
    .await?;
    found
        .into_iter()
        .map(|signature| serde_json::from_value(signature).map_err(|e| StoreError::corrupt("signature", e)))
        .collect()
}

/// Holds at most `limit` questions about orders whose time is over; those that somebody answers are left to them.
///
/// # Errors
/// When the database fails or a row can not be read.
pub async fn lock_late(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<Vec<Question>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM approvals WHERE status = 'pending' AND attempt_id IS NULL AND expires_at <= $1
         ORDER BY expires_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED",
        now.to_sqlx() as _,
        limit
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut late = Vec::new();
    for id in ids {
        late.extend(lock(tx, id).await?);
    }
    Ok(late)
}
