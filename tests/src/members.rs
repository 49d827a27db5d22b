//! Many agents' connections to one gateway: real certificates, real TLS, the real client.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use anyhow::{Context, Result};
use plugmend_agent::upstream::{
    client::{Client, ClientOptions},
    enrol::{self, EnrolOptions},
    identity_store::IdentityStore,
    tls::CaTrust,
};
use plugmend_shared::{
    clock::{Clock as _, SystemClock},
    ids::BootId,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;

use crate::system::{ControlPlane, ops};

/// One agent, as far as the gateway can tell.
pub struct Member {
    /// Its connection.
    pub client: Client,
    /// This life of it.
    pub boot_id: BootId,
    /// The number of its next heartbeat.
    pub seq: AtomicU64,
}

/// Enrols `count` agents of `product` at one replica, each with a token, a key and a plugin of its own.
pub async fn enrol(replica: &ControlPlane, product: &str, home: &Path, count: usize) -> Result<Vec<Arc<Member>>> {
    let ops = replica.ops();
    let merchant = ops.post("/api/ops/merchants", &json!({"name": "A fleet"})).await?;
    let wanted = json!({"merchant_id": ops::text(&merchant, "id")?, "product": product, "cms": "php"});
    let mut fleet = Vec::new();
    for number in 0..count {
        let token = ops.post("/api/ops/enrolment-tokens", &wanted).await?;
        let folder = home.join(number.to_string());
        std::fs::create_dir_all(&folder)?;
        let store = IdentityStore::open(&folder)?;
        let options = EnrolOptions {
            url: replica.gateway_url(),
            trust: CaTrust::Sha256(ops::text(&token, "ca_sha256")?.parse()?),
            product: product.parse()?,
            cms: "php".to_owned(),
            plugin_version: Some("1.0.0".to_owned()),
            anew: false,
        };
        let secret = ops::text(&token, "token")?.into();
        enrol::enrol(&store, &options, &secret, &SystemClock).await?;
        fleet.push(Arc::new(member(&options.url, store)?));
    }
    Ok(fleet)
}

fn member(url: &str, store: IdentityStore) -> Result<Member> {
    let mut random = [0; 10];
    SystemRandom::new().fill(&mut random).ok().context("no randomness")?;
    let boot_id = BootId::from_parts(SystemClock.now(), random);
    let options = ClientOptions {
        url: url.to_owned(),
        boot_id,
    };
    Ok(Member {
        client: Client::open(&options, store, Arc::new(SystemClock))?,
        boot_id,
        seq: AtomicU64::new(1),
    })
}
