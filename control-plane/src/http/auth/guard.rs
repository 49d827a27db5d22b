//! Before any handler: looks up the endpoint's row, and lets in whom it names.

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};

use super::{
    Caller, Person, Role, Scope, bearer,
    table::{self, Access, Reach},
};
use crate::http::{ApiError, AppState};

/// Puts the guard before every route. A route without a row is refused, whoever asks.
pub fn guarded(routes: Router<AppState>, state: &AppState) -> Router<AppState> {
    routes.route_layer(middleware::from_fn_with_state(state.clone(), guard))
}

async fn guard(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    // GET routes answer HEAD as well.
    let method = match request.method() {
        &Method::HEAD => Method::GET,
        other => other.clone(),
    };
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let Some(row) = path.and_then(|path| table::find(method.as_str(), path)) else {
        tracing::error!(%method, path, "a route has no row in the table of endpoints");
        return forbidden("nobody may ask this").into_response();
    };
    // Proofs other than a person's token are checked where they are of use.
    if let Access::People { roles, reach } = row.access {
        match person(&state, request.headers()).and_then(|person| admit(person, roles, reach)) {
            Ok(caller) => request.extensions_mut().insert(caller),
            Err(error) => return error.into_response(),
        };
    }
    next.run(request).await
}

fn person(state: &AppState, headers: &HeaderMap) -> Result<Person, ApiError> {
    let token = bearer(headers)
        .ok_or_else(|| unauthorized().detail("send 'Authorization: Bearer <token>' with a token of Molam ID"))?;
    let checked = state.tokens.check(token, state.clock.now());
    checked.map_err(|error| unauthorized().detail(error.to_string()))
}

/// Who somebody is at an endpoint for these roles. Whoever has one of them sees the fleet; else, where the endpoint
/// knows what is whose, whoever looks after a merchant sees that merchant's.
fn admit(person: Person, roles: &[Role], reach: Reach) -> Result<Caller, ApiError> {
    let mut counting = person.roles.clone();
    counting.retain(|role| roles.contains(role));
    if !counting.is_empty() {
        return Ok(Caller {
            subject: person.subject,
            roles: counting,
            scope: Scope::Fleet,
        });
    }
    match person.merchant_id {
        Some(own) if reach == Reach::Own && person.roles.contains(&Role::MerchantAdmin) => Ok(Caller {
            subject: person.subject,
            roles: [Role::MerchantAdmin].into(),
            scope: Scope::Merchant(own),
        }),
        _ => {
            let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
            Err(forbidden(&format!("the role {} is wanted", names.join(" or "))))
        }
    }
}

fn unauthorized() -> ApiError {
    ApiError::problem(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "Who you are could not be established",
    )
}

fn forbidden(detail: &str) -> ApiError {
    ApiError::problem(StatusCode::FORBIDDEN, "forbidden", "Your roles do not allow this").detail(detail)
}

#[cfg(test)]
mod tests {
    use plugmend_shared::ids::MerchantId;
    use uuid::Uuid;

    use super::*;

    fn person(roles: &[Role], merchant: Option<u128>) -> Person {
        Person {
            subject: "ada".to_owned(),
            roles: roles.iter().copied().collect(),
            merchant_id: merchant.map(|n| MerchantId(Uuid::from_u128(n))),
        }
    }

    #[test]
    fn a_role_of_the_fleet_goes_before_a_merchants_own() {
        let both = person(&[Role::OpsViewer, Role::MerchantAdmin], Some(1));
        let readers = [Role::PayAdmin, Role::OpsViewer];
        assert_eq!(admit(both.clone(), &readers, Reach::Own).unwrap().scope, Scope::Fleet);
        let writers = [Role::PayAdmin];
        let own = admit(both.clone(), &writers, Reach::Own).unwrap();
        assert_eq!(own.scope.only(), both.merchant_id);
        assert!(admit(both, &writers, Reach::Fleet).is_err());
    }

    #[test]
    fn a_merchants_role_without_a_merchant_opens_nothing() {
        assert!(admit(person(&[Role::MerchantAdmin], None), &[Role::PayAdmin], Reach::Own).is_err());
        assert!(admit(person(&[], Some(1)), &[Role::PayAdmin], Reach::Own).is_err());
    }
}
