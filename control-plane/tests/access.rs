//! A walk over every endpoint: whom it lets in, and what it leaves.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use axum::{Router, routing::get};
use plugmend_control_plane::http::{
    self, AppState,
    auth::{
        Role, guarded,
        rates::CallerRates,
        table::{Access, Leaves, Reach, Row, TABLE},
    },
};
use secrecy::SecretString;
use serde_json::json;
use support::{http::HttpClient, people, plane::Plane, walk};

/// What stands in for an id: nothing is called so.
const NOBODYS: &str = "0198c0de-0000-7000-8000-0000000000ff";

fn path_of(row: &Row) -> String {
    let mut path = String::new();
    for part in row.path.split('/').skip(1) {
        path.push('/');
        path.push_str(if part.starts_with('{') { NOBODYS } else { part });
    }
    path
}

fn token(plane: &Plane, role: Option<Role>) -> String {
    let roles: Vec<&str> = role.iter().map(|role| role.as_str()).collect();
    let mut claims = people::claims("eve", &roles, plane.now());
    claims["merchant_id"] = json!(NOBODYS);
    people::sign(&claims)
}

/// With everything that port 8112 can serve.
fn whole_api(plane: &mut Plane) -> HttpClient {
    let runner = SecretString::from("the runner's token");
    let router = http::api_router_with_repository(plane.state.clone(), &runner).unwrap();
    plane.serve(router)
}

#[tokio::test]
async fn every_endpoint_lets_in_whom_its_row_names_and_nobody_else() {
    let mut plane = Plane::start().await;
    let api = whole_api(&mut plane);
    for row in TABLE {
        let (which, path) = (format!("{} {}", row.method, row.path), path_of(row));
        let nobody = api.send_with(row.method, &path, &[], "").await;
        match row.access {
            Access::Anyone | Access::Page => assert!(nobody.status < 500 && nobody.status != 403, "{which}"),
            _ => assert_eq!(nobody.status, 401, "{which} lets in nobody in particular"),
        }
        for role in [None].into_iter().chain(Role::ALL.map(Some)) {
            let answer = api.send(row.method, &path, &token(&plane, role), "").await;
            let is_let_in = !matches!(answer.status, 401 | 403);
            let may = match (row.access, role) {
                (Access::Anyone | Access::Page, _) => true,
                (Access::PluginSecret | Access::Runner, _) | (_, None) => false,
                (Access::People { reach, .. }, Some(Role::MerchantAdmin)) => reach == Reach::Own,
                (Access::People { roles, .. }, Some(role)) => roles.contains(&role),
            };
            assert_eq!(is_let_in, may, "{which} for {role:?}: {}", answer.body);
            assert!(answer.status < 500, "{which} for {role:?}: {}", answer.body);
        }
    }
    plane.stop().await;
}

#[tokio::test]
async fn every_write_leaves_the_entry_that_its_row_names() {
    for row in TABLE {
        let Leaves::Entry(actions) = row.leaves else { continue };
        let which = format!("{} {}", row.method, row.path);
        let (plane, answer) = walk::done(row.method, row.path).await;
        assert!(matches!(answer.status, 200..=204), "{which}: {}", answer.body);
        let quoted: Vec<String> = actions.iter().map(|action| format!("'{action}'")).collect();
        let people = matches!(row.access, Access::People { .. });
        let sql = format!(
            "SELECT count(*) FROM plugin_audit WHERE action IN ({}) AND actor_type = '{}'",
            quoted.join(", "),
            if people { "ops" } else { "merchant" },
        );
        assert!(plane.database.number(&sql).await > 0, "{which} leaves no {actions:?}");
        plane.stop().await;
    }
}

#[tokio::test]
async fn a_route_without_a_row_is_refused_whoever_asks() {
    let mut plane = Plane::start().await;
    let forgotten: Router<AppState> = Router::new().route("/api/ops/forgotten", get(async || "secret"));
    let router = guarded(forgotten, &plane.state, CallerRates::default()).with_state(plane.state.clone());
    let api = plane.serve(router);
    let token = token(&plane, Some(Role::PayAdmin));
    api.send("GET", "/api/ops/forgotten", &token, "")
        .await
        .refuses(403, "forbidden");
    plane.stop().await;
}
