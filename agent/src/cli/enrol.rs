//! `plugmend-agent enrol`.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt as _, path::Path};

use plugmend_shared::clock::SystemClock;
use serde_json::json;

use super::{args::Enrol, exit::Exit, say::Say};
use crate::{
    config::{Pin, Settings},
    upstream::{
        enrol::{EnrolError, EnrolOptions, TokenSource, enrol, read_token},
        identity_store::{IdentityStore, StoredIdentity},
        tls::CaTrust,
    },
};

/// Spends the token.
pub(super) fn run(args: &Enrol, settings: &Settings, say: Say) -> Exit {
    if let Err(error) = make_state_dir(&settings.state_dir) {
        let words = format!("{} can not be made: {error}", settings.state_dir.display());
        return say.failure(Exit::Failed, words);
    }
    match spend(args, settings) {
        Ok(identity) => {
            let value = json!({
                "merchant_id": identity.merchant_id,
                "plugin_id": identity.plugin_id,
                "not_after": identity.not_after,
                "renew_after": identity.renew_after,
            });
            let words = format!(
                "Enrolled as plugin {} of merchant {}.\nThe certificate is valid until {} and renews itself.\n\
                 Next: start the agent (systemctl start plugmend-agent, or plugmend-agent run); one that runs already \
                 takes the new identity up by itself.",
                identity.plugin_id, identity.merchant_id, identity.not_after
            );
            say.result(&value, words);
            Exit::Done
        }
        Err(error) => say.error(Exit::Failed, &error),
    }
}

fn spend(args: &Enrol, settings: &Settings) -> Result<StoredIdentity, EnrolError> {
    let source = if args.token_file == Path::new("-") {
        TokenSource::Stdin
    } else {
        TokenSource::File(args.token_file.clone())
    };
    let token = read_token(&source)?;
    let store = IdentityStore::open(&settings.state_dir)?;
    let options = EnrolOptions {
        url: settings.url.clone(),
        trust: match &settings.ca {
            Pin::File(path) => CaTrust::File(path.clone()),
            Pin::Sha256(digest) => CaTrust::Sha256(*digest),
        },
        product: settings.plugin.product.clone(),
        cms: settings.plugin.cms.clone(),
        plugin_version: settings.plugin.version.as_ref().map(ToString::to_string),
        anew: args.anew,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| EnrolError::Token {
        from: "the system's event queue".to_owned(),
        source,
    })?;
    runtime.block_on(enrol(&store, &options, &token, &SystemClock))
}

fn make_state_dir(dir: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}
