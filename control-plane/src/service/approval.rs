//! Questions to people: answered, talked about, and ended.
//!
//! A cure that waits is asked about by the loop ([`ask_about_cure`]), an order of a person before it is given
//! ([`order::ask`]). Whoever answers holds what it is about first: attempt, incident, question, plugin, in this order.

mod cure;
pub mod order;
mod signature;

use jiff::Timestamp;
use plugmend_shared::{
    ids::{Digest, PluginId},
    protocol::command::ApprovalSignature,
};
use serde_json::{Value, json};
use thiserror::Error;
use uuid::Uuid;

use super::healing::Person;
use crate::{
    domain::{
        approval::{Refused, Standing, Yes},
        attempt::Attempt,
    },
    repo::RepoError,
    store::{
        self, Db, StoreError, Tx,
        approval::{ApprovalView, Question, Subject},
        audit::{self, Actor},
        incident::Held,
    },
};

pub use cure::{ask_about_cure, quorum_kept};
pub use order::expire_late;
pub use signature::verify;

/// The longest comment, in bytes.
pub const LONGEST_COMMENT: usize = 1000;

/// Why it was not done.
#[derive(Debug, Error)]
pub enum ApprovalError {
    /// There is no such question.
    #[error("there is no such approval")]
    Unknown,
    /// The word does not count.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Nothing is said, or too much.
    #[error("say why, in 1 to {LONGEST_COMMENT} bytes")]
    Comment,
    /// The signature is not one that agents would take.
    #[error("agents would not take this signature: {0}")]
    Signature(String),
    /// The release repository can not be read.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a person says.
#[derive(Debug, Clone)]
pub enum Spoken {
    /// Yes.
    Yes {
        /// In their words.
        comment: Option<String>,
        /// For the agent.
        signature: Option<ApprovalSignature>,
    },
    /// No, and why: that ends it.
    No {
        /// Why.
        why: String,
    },
    /// Something else.
    Comment {
        /// What.
        comment: String,
    },
}

/// What a person looked at, where they say so.
#[derive(Debug, Clone, Copy, Default)]
pub struct LookedAt {
    /// The release.
    pub release: Option<Digest>,
    /// Everything that would be done.
    pub content: Option<Digest>,
}

/// What a word came to.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The question, as it is now.
    pub view: ApprovalView,
    /// Whose orders are to be looked at.
    pub plugin_id: PluginId,
}

/// A question with what it is about, all held.
pub struct Asked {
    /// The question.
    pub question: Question,
    /// The cure, where it is about one that is still there.
    pub cure: Option<(Attempt, Held)>,
}

/// Takes what a person says about a question.
///
/// # Errors
/// When it does not count.
pub async fn speak(
    db: &Db,
    who: &Person,
    id: Uuid,
    (spoken, looked_at): (Spoken, LookedAt),
    now: Timestamp,
) -> Result<Answered, ApprovalError> {
    check(&spoken)?;
    let mut tx = db.begin().await?;
    let mut asked = hold(&mut tx, id).await?.ok_or(ApprovalError::Unknown)?;
    match spoken {
        Spoken::Yes { comment, signature } => {
            let word = (comment.as_deref(), signature.as_ref());
            if let Err(error) = say_yes(&mut tx, who, &mut asked, looked_at, word, now).await {
                return Err(settle(tx, error).await);
            }
        }
        Spoken::No { why } => {
            if let Err(error) = say_no(&mut tx, who, &mut asked, looked_at, &why, now).await {
                return Err(settle(tx, error).await);
            }
        }
        Spoken::Comment { comment } => {
            let by = (who.subject.as_str(), who.roles.as_slice(), "comment");
            store::approval::add_word(&mut tx, id, by, (Some(&comment), None), now).await?;
            let actor = Actor::Ops(who.subject.clone());
            audit(
                &mut tx,
                &actor,
                &asked.question,
                "approval_commented",
                json!({ "comment": comment }),
            )
            .await?;
        }
    }
    tx.commit().await.map_err(StoreError::from)?;
    let view = store::approval::find(db, id).await?.ok_or(ApprovalError::Unknown)?;
    Ok(Answered {
        view,
        plugin_id: asked.question.plugin_id,
    })
}

/// What was found out on the way to a refusal (it is void) is kept; the rest is as if nobody had spoken.
async fn settle(tx: Tx, error: ApprovalError) -> ApprovalError {
    if matches!(error, ApprovalError::Refused(Refused::Changed))
        && let Err(failed) = tx.commit().await
    {
        return StoreError::from(failed).into();
    }
    error
}

fn check(spoken: &Spoken) -> Result<(), ApprovalError> {
    let fits = |text: &str| !text.trim().is_empty() && text.len() <= LONGEST_COMMENT;
    let is_fine = match spoken {
        Spoken::Yes { comment, .. } => comment.as_deref().is_none_or(fits),
        Spoken::No { why: text } | Spoken::Comment { comment: text } => fits(text),
    };
    if is_fine { Ok(()) } else { Err(ApprovalError::Comment) }
}

/// A question with what it is about, held in the order of locks.
async fn hold(tx: &mut Tx, id: Uuid) -> Result<Option<Asked>, StoreError> {
    let cure = match store::approval::attempt_of(tx, id).await? {
        None => return Ok(None),
        Some(None) => None,
        Some(Some(attempt)) => cure::hold(tx, attempt).await?,
    };
    let question = store::approval::lock(tx, id).await?;
    Ok(question.map(|question| Asked { question, cure }))
}

/// What would be done, as it is now; none when it is not there any more.
fn content_now(asked: &Asked) -> Option<Digest> {
    match (&asked.question.subject, &asked.cure) {
        (Subject::Attempt { .. }, Some((attempt, _))) => Some(attempt.content()),
        (Subject::Attempt { .. }, None) => None,
        (Subject::Order { asked: order, .. }, _) => order::content(asked.question.plugin_id, order),
    }
}

/// Finds out whether a question is still about what would be done; where not, it ends.
async fn still_so(
    tx: &mut Tx,
    asked: &mut Asked,
    looked_at: LookedAt,
    now: Timestamp,
) -> Result<Digest, ApprovalError> {
    let bound = (asked.question.request.release, asked.question.request.content);
    if looked_at.release.is_some_and(|release| Some(release) != bound.0)
        || looked_at.content.is_some_and(|content| content != bound.1)
    {
        return Err(Refused::Changed.into());
    }
    let content = content_now(asked);
    if content != Some(bound.1) {
        end(
            tx,
            &mut asked.question,
            Standing::Void,
            "what would be done has changed",
            now,
        )
        .await?;
        return Err(Refused::Changed.into());
    }
    Ok(bound.1)
}

/// Takes a yes to a question that is held with what it is about.
///
/// # Errors
/// When it does not count. What was found out on the way is in the transaction.
pub async fn say_yes(
    tx: &mut Tx,
    who: &Person,
    asked: &mut Asked,
    looked_at: LookedAt,
    (comment, signature): (Option<&str>, Option<&ApprovalSignature>),
    now: Timestamp,
) -> Result<(), ApprovalError> {
    let content = still_so(tx, asked, looked_at, now).await?;
    let yes = Yes {
        person: who.subject.clone(),
        roles: who.roles.clone(),
        at: now,
        signed_by: signature.map(|signature| signature.keyid.clone()),
    };
    let said_before = asked.question.request.yes.iter().any(|said| said.person == who.subject);
    let standing = asked.question.request.say_yes(yes, &content)?;
    let question = &asked.question;
    if let Some(signature) = signature.filter(|_| said_before) {
        store::approval::sign_word(tx, question.id, &who.subject, signature).await?;
    } else {
        let by = (who.subject.as_str(), who.roles.as_slice(), "yes");
        store::approval::add_word(tx, question.id, by, (comment, signature), now).await?;
    }
    let details = json!({ "comment": comment, "signed_by": signature.map(|signature| &signature.keyid), "roles": who.roles,
        "release_digest": question.request.release, "content_digest": content, "status": standing });
    audit(
        tx,
        &Actor::Ops(who.subject.clone()),
        question,
        "approval_given",
        details,
    )
    .await?;
    if let Some((attempt, _)) = &asked.cure {
        let approvals = question.request.approvals();
        for approval in approvals.iter().filter(|approval| approval.user_id == who.subject) {
            store::attempt::approve(tx, attempt.id, approval, now).await?;
        }
    }
    if standing == Standing::Approved {
        if matches!(question.subject, Subject::Order { .. }) {
            return order::give_approved(tx, &mut asked.question, now).await;
        }
        store::approval::save(tx, &asked.question, None, now).await?;
    }
    Ok(())
}

async fn say_no(
    tx: &mut Tx,
    who: &Person,
    asked: &mut Asked,
    looked_at: LookedAt,
    why: &str,
    now: Timestamp,
) -> Result<(), ApprovalError> {
    let content = still_so(tx, asked, looked_at, now).await?;
    asked.question.request.say_no(&who.roles, &content, now)?;
    let question = &asked.question;
    let by = (who.subject.as_str(), who.roles.as_slice(), "no");
    store::approval::add_word(tx, question.id, by, (Some(why), None), now).await?;
    let words = format!("rejected by {}: {why}", who.subject);
    store::approval::save(tx, question, Some(&words), now).await?;
    let actor = Actor::Ops(who.subject.clone());
    audit(tx, &actor, question, "approval_rejected", json!({ "comment": why })).await?;
    if let Some((attempt, held)) = &asked.cure {
        super::healing::rejected(tx, held, attempt, &words, now).await?;
    }
    Ok(())
}

/// Ends a question that nobody decided.
async fn end(
    tx: &mut Tx,
    question: &mut Question,
    as_what: Standing,
    why: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    if !question.request.end(as_what) {
        return Ok(());
    }
    store::approval::save(tx, question, Some(why), now).await?;
    let action = format!("approval_{}", as_what.as_str());
    audit(tx, &Actor::System, question, &action, json!({ "why": why })).await
}

/// Writes what is done about a question.
async fn audit(
    tx: &mut Tx,
    actor: &Actor,
    question: &Question,
    action: &str,
    mut details: Value,
) -> Result<(), StoreError> {
    if let Some(fields) = details.as_object_mut() {
        fields.insert("approval_id".to_owned(), json!(question.id));
        match &question.subject {
            Subject::Attempt { id, incident_id } => {
                fields.insert("attempt_id".to_owned(), json!(id));
                fields.insert("incident_id".to_owned(), json!(incident_id));
            }
            Subject::Order { id, .. } => {
                fields.insert("command_id".to_owned(), json!(id));
            }
        }
    }
    let entry = audit::Entry {
        actor,
        action,
        merchant_id: Some(question.merchant_id),
        plugin_id: Some(question.plugin_id),
        details,
    };
    audit::log(tx, &entry).await
}
