//! The acts of healing: a plugin that falls ill by a bug of its own, a cure that fails, changed files, the kill switch.

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{
    ACT_LIMIT,
    acts::give,
    case::{Case, Course},
    say::{self, Say},
    stage::{self, Stage},
};
use crate::{
    shop::currencies::{REWRITTEN, WITH_CACHE, WITH_KRONA, WITH_YEN},
    system::sql,
    wait,
};

const SWITCH_OFF: &str = "UPDATE ops_policy SET autopatch_enabled = false WHERE id = 1";
const SWITCH_ON: &str = "UPDATE ops_policy SET autopatch_enabled = true WHERE id = 1";

/// Plays them all.
pub async fn play(say: &Say, stage: &Stage) -> Result<Vec<Course>> {
    say::title(&format!(
        "5. Update to {}, whose makers rewrote a table",
        REWRITTEN.version
    ));
    stage::publish_made(stage, &REWRITTEN, false)?;
    stage::publish_made(stage, &WITH_YEN, true)?;
    say.line(&format!(
        "published: {} without a word, and {}, which says that it mends failing webhooks; nobody installs it",
        REWRITTEN.version, WITH_YEN.version
    ));
    let order = json!({"type": "update", "version": REWRITTEN.version, "reason": "demo"});
    give(say, stage, "update", &order, "completed").await?;

    let yen = cured(say, stage).await?;
    let (krona, by_a_person) = worse_than_the_illness(say, stage).await?;
    let tampered = tampered(say, stage).await?;
    let switched = switched_off(say, stage).await?;
    Ok(vec![yen, krona, by_a_person, tampered, switched])
}

/// The worked example: from the first failing webhook to a proven cure, with nobody awake.
async fn cured(say: &Say, stage: &Stage) -> Result<Course> {
    say::title("6. Customers begin to pay in yen");
    let case = Case::begin("yen", "webhook_fail_rate", stage).await?;
    stage.market.turn_to(1);
    say.line(&format!(
        "{} does not know the yen: it answers those webhooks with 500",
        REWRITTEN.version
    ));
    let course = case.follow(say, stage, "success").await?;
    installed(stage, WITH_YEN.version)?;
    ensure!(
        !course.incident["escalated_to_ops"].as_bool().unwrap_or(true),
        "people were called: {}",
        course.incident
    );
    say.line("cured with nobody awake");
    Ok(course)
}

/// A release that passes staging and fails in production; then what people do.
async fn worse_than_the_illness(say: &Say, stage: &Stage) -> Result<(Course, Course)> {
    say::title("7. Customers begin to pay in kronor, and the cure on offer is worse than the illness");
    well_again(say, stage).await?;
    stage::publish_made(stage, &WITH_CACHE, true)?;
    say.line(&format!(
        "published: {}, which says that it mends failing webhooks; its cache of amounts is never emptied",
        WITH_CACHE.version
    ));
    let case = Case::begin("kronor", "webhook_fail_rate", stage).await?;
    stage.market.turn_to(2);
    let course = case.follow(say, stage, "rolled_back").await?;
    installed(stage, WITH_YEN.version)?;
    ensure!(
        course.attempt.pointer("/staging_result/passed") == Some(&json!(true)),
        "it should have passed staging: {}",
        course.attempt
    );
    let with_people = course.until(stage, "escalated").await?;
    say.line(&format!(
        "with people: {}",
        with_people["escalation_reason"].as_str().unwrap_or_default()
    ));

    stage::publish_made(stage, &WITH_KRONA, true)?;
    let case = Case::begin("kronor, by a person", "webhook_fail_rate", stage).await?;
    let path = format!("/api/ops/plugin-incidents/{}/manual-action", course.id()?);
    let action = json!({"action": "patch", "version": WITH_KRONA.version, "reason": "the cache is out"});
    stage.control_plane.ops().post(&path, &action).await?;
    say.line(&format!("a person has {} tried and installed", WITH_KRONA.version));
    let by_a_person = case.of(course.id()?).follow(say, stage, "success").await?;
    installed(stage, WITH_KRONA.version)?;
    Ok((course, by_a_person))
}

/// Waits until the agent's own detector has let go of the last illness.
async fn well_again(say: &Say, stage: &Stage) -> Result<()> {
    let log = stage.agent.log();
    wait::until_async("the plugin to be well again", ACT_LIMIT, async || {
        let said = fs::read_to_string(&log)?;
        Ok(said.contains("the plugin is well again").then_some(()))
    })
    .await?;
    say.line("the agent's detector agrees that the plugin is well again");
    Ok(())
}

/// Changes an installed file, as an intruder would; its path and its content as signed.
fn tamper(stage: &Stage) -> Result<(PathBuf, Vec<u8>)> {
    let file = stage.shop.place().plugin.join("dist/index.js");
    let signed = fs::read(&file).context("read an installed file")?;
    let changed = [signed.as_slice(), b"\nrequire(\"node:child_process\");\n"].concat();
    fs::write(&file, changed).context("change an installed file")?;
    Ok((file, signed))
}

async fn tampered(say: &Say, stage: &Stage) -> Result<Course> {
    say::title("8. Somebody changes an installed file");
    let case = Case::begin("changed file", "signature_invalid", stage).await?;
    let (file, signed) = tamper(stage)?;
    let course = case.follow(say, stage, "success").await?;
    ensure!(fs::read(&file)? == signed, "the file is not as it was signed");
    say.line("the file is as it was signed; a copy of what was found is kept with the agent");
    course.until(stage, "closed").await?;
    Ok(course)
}

async fn switched_off(say: &Say, stage: &Stage) -> Result<Course> {
    say::title("9. It is changed again, and the kill switch is thrown in mid-flight");
    let database = stage.control_plane.database_url();
    let case = Case::begin("kill switch", "signature_invalid", stage).await?;
    let (file, signed) = tamper(stage)?;
    let executing = "SELECT id::text FROM plugin_agent_commands WHERE status = 'executing' AND attempt_id IS NOT NULL";
    wait::until_async("the order in the agent's hands", ACT_LIMIT, async || {
        Ok((!sql::texts(database, executing).await?.is_empty()).then_some(()))
    })
    .await?;
    let thrown = Instant::now();
    sql::run(database, SWITCH_OFF).await?;
    say.line("thrown while the agent tries the release once more: UPDATE ops_policy SET autopatch_enabled = false");
    let withdrawn = case.follow(say, stage, "cancelled").await?;
    ensure!(
        fs::read(&file)? != signed,
        "the plugin was changed under the kill switch"
    );
    say.line(&format!(
        "withdrawn {:.1} s later: the agent asked once more, was told no, and changed nothing",
        thrown.elapsed().as_secs_f64()
    ));
    sql::run(database, SWITCH_ON).await?;
    say.line("on again: it goes on where it stood");
    let again = Case::begin("switched on again", "signature_invalid", stage).await?;
    let course = again.of(withdrawn.id()?).follow(say, stage, "success").await?;
    ensure!(fs::read(&file)? == signed, "the file is not as it was signed");
    Ok(course)
}

fn installed(stage: &Stage, version: &str) -> Result<()> {
    let found = stage.watcher.version().context("no version can be read")?;
    ensure!(found == version, "{found} is installed, not {version}");
    Ok(())
}
