//! The OpenAPI document is reviewed: what it says is in `docs/openapi.json`, and a change shows there.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::{collections::BTreeSet, env, fs, path::Path};

use plugmend_control_plane::http::{
    self,
    auth::table::{Access, TABLE},
};
use serde_json::Value;
use support::plane::Plane;

const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
const ANEW: &str = "PLUGMEND_SNAPSHOT=write cargo test -p plugmend-control-plane --test openapi";

fn document() -> Value {
    serde_json::from_slice(http::document().unwrap().bytes()).unwrap()
}

/// Each operation, as `METHOD /path`, with what the document says of it.
fn operations(document: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((format!("{} {path}", method.to_uppercase()), operation.clone()));
        }
    }
    all
}

#[test]
fn the_reviewed_document_is_what_is_served() {
    let document = http::document().unwrap();
    if env::var("PLUGMEND_SNAPSHOT").is_ok_and(|wish| wish == "write") {
        fs::write(SNAPSHOT, document.bytes()).unwrap();
    }
    let reviewed = fs::read(Path::new(SNAPSHOT)).unwrap_or_default();
    assert!(
        reviewed == document.bytes(),
        "docs/openapi.json is not what is served. If the change is meant, write it anew, and review it:\n  {ANEW}"
    );
}

#[test]
fn every_endpoint_is_in_the_document_and_nothing_else() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let described: BTreeSet<String> = operations(&document).into_iter().map(|(name, _)| name).collect();
    let rows = TABLE.iter().filter(|row| row.access != Access::Page);
    let known: BTreeSet<String> = rows
        .map(|row| format!("{} {}", row.method, row.path.replace("{*", "{")))
        .collect();
    assert_eq!(described, known);
}

#[test]
fn every_operation_has_a_name_of_its_own_words_and_its_refusals() {
    let document = document();
    let mut names = BTreeSet::new();
    for (which, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap().to_owned();
        assert!(names.insert(name.clone()), "{which}: there are two {name}");
        assert!(operation["summary"].is_string(), "{which} says nothing of itself");
        let answers = operation["responses"].as_object().unwrap();
        assert!(
            answers.keys().any(|status| status.starts_with('2')),
            "{which} never answers"
        );
        for status in ["429", "500", "503"] {
            assert!(answers.contains_key(status), "{which} lacks {status}");
        }
        let people = operation["x-roles"].is_array();
        assert_eq!(people, answers.contains_key("403"), "{which}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|inner| references(inner, found));
            }
            Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test]
async fn it_is_served_to_everybody_with_pages_that_need_no_internet() {
    let plane = Plane::start().await;
    let served = plane.api.send_with("GET", "/api/openapi.json", &[], "").await;
    assert_eq!((served.status, served.body), (200, document()));
    let page = plane.api.send_with("GET", "/api/docs/", &[], "").await;
    let text = String::from_utf8_lossy(&page.bytes).into_owned();
    assert!(page.status == 200 && text.contains("swagger-ui-bundle.js"), "{text}");
    for place in ["src=\"http", "href=\"http", "src=\"//", "href=\"//"] {
        assert!(!text.contains(place), "{text}");
    }
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self'"));
    for file in ["swagger-ui-bundle.js", "swagger-ui.css", "swagger-initializer.js"] {
        let got = plane.api.send_with("GET", &format!("/api/docs/{file}"), &[], "").await;
        assert!(got.status == 200 && !got.bytes.is_empty(), "{file}");
    }
}
