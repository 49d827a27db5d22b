//! A release that takes signed approvals is activated with them only, whatever the control plane says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test helpers: a panic is the report")]

mod engine_support;
#[path = "../../shared/tests/tuf_fixture/mod.rs"]
mod fixture;

use engine_support::{Releases, Shop, acked, failed, files, manifest, perform, shop_with, update, zero};
use fixture::PRODUCT;
use plugmend_agent::domain::installed::LayoutKind;
use plugmend_shared::{
    bundle::{approval::statement, manifest::Approvals},
    ids::{Digest, MerchantId},
    protocol::command::{ApprovalSignature, OutcomeStatus},
    tuf::product::ProductField,
};
use uuid::Uuid;

const VERSION: &str = "1.3.0";
const MERCHANT: MerchantId = MerchantId(Uuid::from_u128(7));

/// A shop whose repository has a release that takes two of three people's signatures; and that release.
fn shop_that_asks() -> (Shop, Digest) {
    let mut digest = Digest([0; 32]);
    let mut shop = shop_with(LayoutKind::Exchange, |releases: &mut Releases| {
        let role = releases.repo.product_role();
        let mut field = ProductField::of(role).unwrap();
        for person in ["anna", "boris", "carla"] {
            let key = fixture::key(person);
            field
                .approvers
                .insert(key.id().clone(), key.public().keyval.public.clone());
        }
        field.store(role).unwrap();
        let files = files(VERSION, VERSION);
        let asks = plugmend_shared::bundle::manifest::Manifest {
            approvals: Approvals { required: 2 },
            ..manifest(VERSION, &files)
        };
        digest = releases.add(asks, files);
    });
    shop.host.merchant = Some(MERCHANT);
    (shop, digest)
}

fn sign(person: &str, release: &Digest, merchant: MerchantId, expires: i64) -> ApprovalSignature {
    let key = fixture::key(person);
    let message = statement(&PRODUCT.parse().unwrap(), release, merchant, expires);
    ApprovalSignature {
        keyid: key.id().0.clone(),
        sig: hex::encode(key.sign(&message)),
        expires,
    }
}

#[test]
fn too_few_distinct_valid_signatures_change_nothing() {
    let (Shop { _top, host }, release) = shop_that_asks();
    let mut engine = host.open().unwrap();
    let later = fixture::now().as_second() + 3600;
    let good = |person| sign(person, &release, MERCHANT, later);
    let another = Digest::of(b"another release");
    let elsewhere = MerchantId(Uuid::from_u128(8));
    let longer = ApprovalSignature {
        expires: later + 1,
        ..good("boris")
    };
    let cases: [(&str, Vec<ApprovalSignature>); 8] = [
        ("none", Vec::new()),
        ("one", vec![good("anna")]),
        ("one twice", vec![good("anna"), good("anna")]),
        ("a stranger", vec![good("anna"), good("mallory")]),
        (
            "another release",
            vec![good("anna"), sign("boris", &another, MERCHANT, later)],
        ),
        (
            "another merchant",
            vec![good("anna"), sign("boris", &release, elsewhere, later)],
        ),
        (
            "expired",
            vec![good("anna"), sign("boris", &release, MERCHANT, later - 3601)],
        ),
        ("a longer life than was signed", vec![good("anna"), longer]),
    ];
    for (n, (what, approvals)) in (1..).zip(cases) {
        let mut order = update(n, VERSION);
        order.payload.approvals = approvals;
        let (error, retryable, outcome) = failed(perform(&mut engine, &order));
        assert!(error.starts_with("not_approved:") && !retryable, "{what}: {error}");
        assert_eq!(outcome.status, OutcomeStatus::Refused, "{what}");
        assert_eq!(host.visible(), zero(), "{what}");
    }
    let mut order = update(20, VERSION);
    order.payload.approvals = vec![good("anna"), good("mallory"), good("carla")];
    let outcome = acked(perform(&mut engine, &order));
    assert_eq!(outcome.status, OutcomeStatus::Committed);
    assert_eq!(host.visible(), files(VERSION, VERSION));
}

#[test]
fn what_ran_here_is_gone_back_to_without_new_signatures() {
    let (Shop { _top, host }, release) = shop_that_asks();
    let mut engine = host.open().unwrap();
    let later = fixture::now().as_second() + 3600;
    let mut order = update(1, VERSION);
    order.payload.approvals = ["anna", "boris"]
        .map(|person| sign(person, &release, MERCHANT, later))
        .to_vec();
    acked(perform(&mut engine, &order));
    acked(perform(
        &mut engine,
        &engine_support::command(2, plugmend_shared::protocol::command::CommandKind::Rollback, None),
    ));
    assert_eq!(host.visible(), zero());
}
