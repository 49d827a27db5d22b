//! How long after the runbook's SQL the kill switch counts, at two replicas and at agents that are about to begin.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use plugmend_shared::ids::CommandId;
use tokio::task::JoinSet;

use super::table::{Table, share};
use crate::{
    kill_switch::{Stage, switch},
    members::Member,
};

/// Agents at each of two replicas.
const AT_EACH: usize = 4;
const ROUNDS: usize = 10;
/// What was promised, in ms.
const PROMISED: f64 = 2_000.0;

/// Throws the switch while every agent has an order in its hands and asks whether it still stands, and measures until
/// each has heard no.
pub async fn measure(table: &mut Table) -> Result<()> {
    let stage = Stage::start(AT_EACH).await?;
    let everybody: Vec<usize> = (0..stage.members.len()).collect();
    stage.fall_ill(&everybody).await?;
    let (mut heard, mut done) = (Vec::new(), Vec::new());
    let mut person = stage.person().await?;
    for _ in 0..ROUNDS {
        let mut orders = Vec::new();
        let mut asking = JoinSet::new();
        for who in &everybody {
            let order = stage.order(*who).await?;
            ensure!(
                stage.members[*who].client.may_go(order.id).await?.go,
                "an order was withdrawn too soon"
            );
            asking.spawn(until_no(Arc::clone(&stage.members[*who]), order.id));
            orders.push(order);
        }
        let begun = Instant::now();
        switch(&mut person, false).await?;
        done.push(begun.elapsed().as_secs_f64() * 1e3);
        while let Some(no) = asking.join_next().await {
            heard.push(no??.duration_since(begun).as_secs_f64() * 1e3);
        }
        for (who, order) in everybody.iter().zip(&orders) {
            stage.did_not_begin(*who, order).await?;
        }
        stage
            .until("plugin_autopatch_attempts", "status = 'applying'", &everybody, 0)
            .await?;
        switch(&mut person, true).await?;
        // The loop looks again within half a minute; here it need not wait for that.
        sqlx::query("UPDATE plugin_incidents SET next_look_at = now()")
            .execute(&mut person)
            .await?;
    }
    let what = "kill switch: from the SQL to the last agent's no, p95";
    table.at_most(what, share(&heard, 95), PROMISED, "ms");
    let beside = format!("{ROUNDS} times, {AT_EACH} agents with orders in hand at each of two replicas");
    table.shown("the same: p50", share(&heard, 50), "ms", &beside);
    table.shown("the same: until the statement is done, p95", share(&done, 95), "ms", "");
    Ok(())
}

/// Asks, as an agent does right before it begins, until the answer is no; when it was.
async fn until_no(member: Arc<Member>, order: CommandId) -> Result<Instant> {
    while member.client.may_go(order).await?.go {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(Instant::now())
}
