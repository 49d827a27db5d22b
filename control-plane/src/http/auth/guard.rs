//! Before any handler: looks up the endpoint's row, and lets in whom it names.

use std::sync::Arc;

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};

use super::{
    Caller, Person, Role, Scope, bearer,
    rates::CallerRates,
    table::{self, Access, Leaves, Reach},
};
use crate::http::{ApiError, AppState, address_rates::too_many};

/// Puts the guard before every route. A route without a row is refused, whoever asks.
pub fn guarded(routes: Router<AppState>, state: &AppState, rates: CallerRates) -> Router<AppState> {
    let keeper = Keeper {
        state: state.clone(),
        rates: Arc::new(rates),
    };
    routes.route_layer(middleware::from_fn_with_state(keeper, guard))
}

#[derive(Clone)]
struct Keeper {
    state: AppState,
    rates: Arc<CallerRates>,
}

async fn guard(State(keeper): State<Keeper>, mut request: Request, next: Next) -> Response {
    // No name, word or path holds it, and the database can not either.
    if request
        .uri()
        .path_and_query()
        .is_some_and(|asked| asked.as_str().contains("%00"))
    {
        let refusal = ApiError::bad_request("invalid_query", "The request can not be read");
        return refusal.detail("it holds a NUL character").into_response();
    }
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
        // Owned: a request can not be held across a wait.
        let token = bearer(request.headers()).map(str::to_owned);
        let person = person(&keeper.state, token.as_deref()).await;
        let caller = match person.and_then(|person| admit(person, roles, reach)) {
            Ok(caller) => caller,
            Err(error) => return error.into_response(),
        };
        let is_write = matches!(row.leaves, Leaves::Entry(_));
        if let Err(wait) = keeper.rates.count(&caller.subject, is_write) {
            return too_many(wait);
        }
        request.extensions_mut().insert(caller);
    }
    next.run(request).await
}

async fn person(state: &AppState, token: Option<&str>) -> Result<Person, ApiError> {
    let token =
        token.ok_or_else(|| unauthorized().detail("send 'Authorization: Bearer <token>' with a token of Molam ID"))?;
    state.tokens.check(token, state.clock.now()).await.map_err(|error| {
        // Why is for us to know: the same words for all tell nobody how far a forged token came.
        tracing::info!(%error, "a token was refused");
        unauthorized().detail("the token is not valid here, or not now; get a new one of Molam ID")
    })
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
