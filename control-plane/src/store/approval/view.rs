//! Questions as people see them.

use jiff::Timestamp;
use plugmend_shared::ids::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::super::{Db, SqlTimestamp, StoreError, ToSqlx as _};
use crate::domain::approval::{OpsRole, Request, Standing, Yes};

/// What a person said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Word {
    /// Who.
    pub person: String,
    /// In which roles.
    pub roles: Vec<OpsRole>,
    /// `yes`, `no` or `comment`.
    pub says: String,
    /// In their words.
    pub comment: Option<String>,
    /// The key that they signed with for the agent, where they did.
    pub signed_by: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A question as people see it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns of approvals, as they are")]
pub struct ApprovalView {
    pub id: Uuid,
    pub attempt_id: Option<Uuid>,
    pub incident_id: Option<Uuid>,
    pub incident_type: Option<String>,
    pub severity: Option<String>,
    pub command_id: Option<Uuid>,
    pub merchant_id: Uuid,
    pub merchant_plugin_id: Uuid,
    pub action: String,
    pub product: Option<String>,
    pub from_version: String,
    pub version: Option<String>,
    pub scope: String,
    pub reasons: Value,
    pub requested_by: String,
    pub requested_why: Option<String>,
    pub requested_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub ended_why: Option<String>,
    /// Who is asked about what until when, and who said yes.
    pub request: Request,
    /// Everything that was said, in its order.
    pub words: Vec<Word>,
}

/// Where a page of the list ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The question's time.
    pub requested_at: Timestamp,
    /// The question.
    pub id: Uuid,
}

struct ViewRow {
    id: Uuid,
    attempt_id: Option<Uuid>,
    incident_id: Option<Uuid>,
    incident_type: Option<String>,
    severity: Option<String>,
    command_id: Option<Uuid>,
    merchant_id: Uuid,
    merchant_plugin_id: Uuid,
    action: String,
    product: Option<String>,
    from_version: String,
    version: Option<String>,
    release_digest: Option<Vec<u8>>,
    content_digest: Vec<u8>,
    scope: String,
    quorum: Value,
    reasons: Value,
    requested_by: String,
    by_person: bool,
    requested_why: Option<String>,
    requested_at: SqlTimestamp,
    expires_at: SqlTimestamp,
    status: String,
    ended_at: Option<SqlTimestamp>,
    ended_why: Option<String>,
    words: Value,
}

/// Questions by one condition, each with what it is about and what was said.
macro_rules! views {
    ($rest:tt, $($arg:expr),*) => {
        sqlx::query_as!(
            ViewRow,
            r#"SELECT approval.id, approval.attempt_id, approval.incident_id, incident.incident_type AS "incident_type?",
                 incident.severity AS "severity?", approval.command_id, approval.merchant_id,
                 approval.merchant_plugin_id, approval.action, approval.product,
                 coalesce(attempt.from_version, plugin.plugin_version) AS "from_version!", approval.version,
                 approval.release_digest, approval.content_digest, approval.scope, approval.quorum, approval.reasons,
                 approval.requested_by, approval.by_person, approval.requested_why,
                 approval.requested_at AS "requested_at: SqlTimestamp", approval.expires_at AS "expires_at: SqlTimestamp",
                 approval.status, approval.ended_at AS "ended_at: SqlTimestamp", approval.ended_why,
                 (SELECT coalesce(jsonb_agg(jsonb_build_object('person', word.person, 'roles', word.roles,
                           'says', word.says, 'comment', word.comment, 'signed_by', word.signature ->> 'keyid',
                           'at', word.at) ORDER BY word.id), '[]')
                  FROM (SELECT * FROM approval_votes vote WHERE vote.approval_id = approval.id
                        ORDER BY vote.id LIMIT 200) AS word) AS "words!"
               FROM approvals approval
               JOIN merchant_plugins plugin ON plugin.id = approval.merchant_plugin_id
               LEFT JOIN plugin_autopatch_attempts attempt ON attempt.id = approval.attempt_id
               LEFT JOIN plugin_incidents incident ON incident.id = approval.incident_id "#
                + $rest,
            $($arg),*
        )
    };
}

/// Questions of a standing, or all, after the one at `after`; newest first.
///
/// # Errors
/// When the database fails or a row can not be read.
pub async fn list(
    db: &Db,
    standing: Option<Standing>,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<ApprovalView>, StoreError> {
    let (at, id) = after.map_or((Timestamp::MAX, Uuid::max()), |place| (place.requested_at, place.id));
    let rows = match standing {
        Some(standing) => {
            views!(
                "WHERE approval.status = $1 AND (approval.requested_at, approval.id) < ($2, $3)
                 ORDER BY approval.requested_at DESC, approval.id DESC LIMIT $4",
                standing.as_str(),
                at.to_sqlx() as _,
                id,
                limit
            )
            .fetch_all(db.pool())
            .await?
        }
        None => {
            views!(
                "WHERE (approval.requested_at, approval.id) < ($1, $2)
                 ORDER BY approval.requested_at DESC, approval.id DESC LIMIT $3",
                at.to_sqlx() as _,
                id,
                limit
            )
            .fetch_all(db.pool())
            .await?
        }
    };
    rows.into_iter().map(ApprovalView::try_from).collect()
}

/// One question.
///
/// # Errors
/// When the database fails or the row can not be read.
pub async fn find(db: &Db, id: Uuid) -> Result<Option<ApprovalView>, StoreError> {
    let row = views!("WHERE approval.id = $1", id).fetch_optional(db.pool()).await?;
    row.map(ApprovalView::try_from).transpose()
}

impl TryFrom<ViewRow> for ApprovalView {
    type Error = StoreError;

    fn try_from(row: ViewRow) -> Result<Self, StoreError> {
        let words: Vec<Word> = serde_json::from_value(row.words).map_err(|e| StoreError::corrupt("vote", e))?;
        let digest = |bytes: Vec<u8>| {
            let bytes = <[u8; 32]>::try_from(bytes);
            bytes
                .map(Digest)
                .map_err(|_| StoreError::corrupt("approval", "a digest is not 32 bytes"))
        };
        let yes = words.iter().filter(|word| word.says == "yes").map(|word| Yes {
            person: word.person.clone(),
            roles: word.roles.clone(),
            at: word.at,
            signed_by: word.signed_by.clone(),
        });
        let request = Request {
            standing: Standing::from_name(&row.status)
                .ok_or_else(|| StoreError::corrupt("approval", "unknown status"))?,
            quorum: serde_json::from_value(row.quorum).map_err(|e| StoreError::corrupt("quorum", e))?,
            release: row.release_digest.map(digest).transpose()?,
            content: digest(row.content_digest)?,
            wanted_by: row.by_person.then(|| row.requested_by.clone()),
            expires_at: row.expires_at.to_jiff(),
            yes: yes.collect(),
        };
        Ok(Self {
            id: row.id,
            attempt_id: row.attempt_id,
            incident_id: row.incident_id,
            incident_type: row.incident_type,
            severity: row.severity,
            command_id: row.command_id,
            merchant_id: row.merchant_id,
            merchant_plugin_id: row.merchant_plugin_id,
            action: row.action,
            product: row.product,
            from_version: row.from_version,
            version: row.version,
            scope: row.scope,
            reasons: row.reasons,
            requested_by: row.requested_by,
            requested_why: row.requested_why,
            requested_at: row.requested_at.to_jiff(),
            ended_at: row.ended_at.map(SqlTimestamp::to_jiff),
            ended_why: row.ended_why,
            request,
            words,
        })
    }
}
