//! `dev-token`: a token for the ops API on a developer's machine.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Args;
use plugmend_shared::{
    clock::{Clock as _, SystemClock},
    ids::MerchantId,
};
use serde_json::json;

use crate::config::{self, Settings};

/// Who the token is for.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The person.
    #[arg(long, default_value = "dev")]
    sub: String,
    /// The person's roles.
    #[arg(long, value_delimiter = ',', default_value = "pay_admin,compliance_ops")]
    roles: Vec<String>,
    /// The merchant whom a `merchant_admin` looks after.
    #[arg(long)]
    merchant_id: Option<MerchantId>,
    /// How long it is good for, in seconds.
    #[arg(long, default_value_t = 3600)]
    ttl_s: i64,
}

/// Signs and prints the token.
///
/// # Errors
/// When `--dev` is not given, or the key can not be read or made.
#[expect(clippy::print_stdout, reason = "the token is this verb's output")]
pub fn print(settings: &Settings, arguments: &Arguments) -> anyhow::Result<()> {
    anyhow::ensure!(settings.dev, "dev-token works with --dev only");
    let key = config::dev::signing_key(&settings.state_dir)?;
    let now = SystemClock.now().as_second();
    let header = json!({"alg": "EdDSA", "typ": "JWT"});
    let claims = json!({
        "iss": crate::http::auth::ISSUER, "sub": arguments.sub, "roles": arguments.roles,
        "merchant_id": arguments.merchant_id,
        "iat": now, "nbf": now, "exp": now.saturating_add(arguments.ttl_s),
    });
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).as_ref());
    println!("{signed}.{signature}");
    Ok(())
}
