//! Questions about orders of people.

use jiff::{SignedDuration, Timestamp};
use plugmend_shared::{
    ids::{CommandId, Digest, PluginId},
    protocol::command::CommandKind,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ApprovalError, audit, end};
use crate::{
    domain::{
        approval::{Content, Quorum, Request, Standing},
        policy::{Policy, Reason, ShownReason, asks_for_signatures, asks_of_release},
    },
    service::{
        command::{GiveError, NewOrder, give_in},
        once::OnceError,
    },
    store::{
        self, Db, StoreError, Tx,
        approval::{NewQuestion, Question, Subject},
        audit::Actor,
        plugin::Plugin,
    },
};

/// How long people may take.
const LASTS: SignedDuration = SignedDuration::from_hours(24);

/// Everything that an order would do; none when what is kept of it can not be read.
pub fn content(plugin: PluginId, asked: &Value) -> Option<Digest> {
    let order: NewOrder = serde_json::from_value(asked.clone()).ok()?;
    Some(content_of(plugin, &order))
}

fn content_of(plugin: PluginId, order: &NewOrder) -> Digest {
    let payload = &order.payload;
    let content = Content {
        action: order.kind.as_str(),
        plugin,
        product: payload.product.as_ref(),
        version: payload.version.as_ref(),
        release: payload.release_digest.as_ref(),
        settings: payload.config.as_ref(),
        reinstall: payload.reinstall,
    };
    content.digest()
}

/// Whom the policy wants for an order that names its release, and why. What runs there already takes nobody, and a plugin
/// that has not said yet what it runs is being set up.
///
/// # Errors
/// When the database fails.
async fn wanted(
    tx: &mut Tx,
    policy: &Policy,
    plugin: PluginId,
    order: &NewOrder,
    now: Timestamp,
) -> Result<Option<(Quorum, Vec<Reason>)>, StoreError> {
    let payload = &order.payload;
    let is_change = matches!(order.kind, CommandKind::Update | CommandKind::Rollback);
    let (Some(product), Some(version), true) = (&payload.product, &payload.version, is_change) else {
        return Ok(None);
    };
    let situation = store::attempt::plugin(tx, plugin, None, now).await?;
    if payload.release_digest.is_some() && payload.release_digest == situation.installed {
        return Ok(None);
    }
    let release = store::attempt::release(tx, (product, version), plugin).await?;
    let from = situation.facts.current_version.as_ref().unwrap_or(version);
    let mut asked = asks_of_release(
        policy,
        Some(from),
        Some(version),
        release.as_ref().map(|release| release.impact),
    );
    // Signatures may have come with the order; agents look at them for what is new to the plugin only.
    let signed = u32::try_from(payload.approvals.len()).unwrap_or(u32::MAX);
    let required = release.map_or(0, |release| release.approvals_required);
    if order.kind == CommandKind::Update && signed < required {
        asked.extend(asks_for_signatures(required));
    }
    let (reasons, quorums): (Vec<Reason>, Vec<Quorum>) = asked.into_iter().unzip();
    let of = quorums.into_iter().reduce(|one, other| one.and(&other));
    Ok(of.map(|of| (of, reasons)))
}

/// Asks people about an order of a person, where the policy wants that: the question's id, and until when they may answer.
/// The order is complete: it names exactly one release.
///
/// # Errors
/// When the database fails.
pub async fn ask(
    tx: &mut Tx,
    who: &str,
    plugin: &Plugin,
    order: &NewOrder,
    id: CommandId,
    now: Timestamp,
) -> Result<Option<(Uuid, Timestamp)>, StoreError> {
    let policy = store::policy::load_in(tx).await?;
    let Some((of, reasons)) = wanted(tx, &policy, plugin.id, order, now).await? else {
        return Ok(None);
    };
    let request = Request {
        standing: Standing::Pending,
        quorum: of.clone(),
        release: order.payload.release_digest,
        content: content_of(plugin.id, order),
        wanted_by: Some(who.to_owned()),
        expires_at: now.checked_add(LASTS).unwrap_or(Timestamp::MAX),
        yes: Vec::new(),
    };
    let asked = serde_json::to_value(order).map_err(|e| StoreError::corrupt("order", e))?;
    let subject = Subject::Order { asked, id };
    let new = NewQuestion {
        subject: subject.clone(),
        merchant_id: plugin.merchant_id,
        plugin_id: plugin.id,
        action: order.kind.as_str(),
        product: plugin.product.as_deref(),
        version: order.payload.version.as_ref().map(ToString::to_string),
        wanted_by: who,
        why: order.payload.reason.as_deref(),
        reasons: reasons.iter().map(ShownReason::from).collect(),
        request: &request,
    };
    let question = Question {
        id: store::approval::insert(tx, &new, now).await?,
        subject,
        merchant_id: plugin.merchant_id,
        plugin_id: plugin.id,
        wanted_by: who.to_owned(),
        request,
    };
    let details = json!({ "quorum": of, "reasons": reasons, "type": order.kind.as_str(),
        "version": order.payload.version, "release_digest": order.payload.release_digest,
        "content_digest": question.request.content, "reason": order.payload.reason });
    audit(
        tx,
        &Actor::Ops(who.to_owned()),
        &question,
        "approval_requested",
        details,
    )
    .await?;
    Ok(Some((question.id, question.request.expires_at)))
}

/// Gives the order that enough people said yes to, in the transaction of the last of them: it is given once. Where the policy
/// wants more people by now, it goes on waiting; where it can not be given any more, the question is void.
///
/// # Errors
/// When the database fails.
pub async fn give_approved(tx: &mut Tx, question: &mut Question, now: Timestamp) -> Result<(), ApprovalError> {
    let Subject::Order { asked, id } = question.subject.clone() else {
        return Ok(());
    };
    let mut order: NewOrder = serde_json::from_value(asked).map_err(|e| StoreError::corrupt("order", e))?;
    let policy = store::policy::load_in(tx).await?;
    if let Some((of, _)) = wanted(tx, &policy, question.plugin_id, &order, now).await? {
        let of = of.and(&question.request.quorum);
        let expires_at = question.request.expires_at;
        question.request.ask(&of, expires_at);
    }
    store::approval::save(tx, question, None, now).await?;
    if question.request.standing != Standing::Approved {
        return Ok(());
    }
    order
        .payload
        .approvals
        .extend(store::approval::signatures(tx, question.id).await?);
    let actor = Actor::Ops(question.wanted_by.clone());
    match give_in(tx, &actor, &question.wanted_by, question.plugin_id, order, id, now).await {
        Ok(_) => Ok(()),
        Err(GiveError::Once(OnceError::Store(error))) => Err(error.into()),
        Err(refused) => {
            let why = format!("it can not be given any more: {refused}");
            Ok(end(tx, question, Standing::Void, &why, now).await?)
        }
    }
}

/// Ends at most `limit` questions about orders that nobody decided in time; how many.
///
/// # Errors
/// When the database fails; nothing is changed then.
pub async fn expire_late(db: &Db, now: Timestamp, limit: u16) -> Result<u16, StoreError> {
    let mut tx = db.begin().await?;
    let late = store::approval::lock_late(&mut tx, now, i64::from(limit)).await?;
    let count = u16::try_from(late.len()).unwrap_or(u16::MAX);
    for mut question in late {
        end(
            &mut tx,
            &mut question,
            Standing::Expired,
            "nobody decided it in time",
            now,
        )
        .await?;
    }
    tx.commit().await?;
    Ok(count)
}
