//! Completes the document by what the table of endpoints says, so that no handler says it again.

use plugmend_shared::protocol::problem::Problem;
use utoipa::{
    PartialSchema as _,
    openapi::{
        Components, OpenApi, RefOr,
        extensions::ExtensionsBuilder,
        path::{Operation, PathItem},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use super::answers;
use crate::http::auth::table::{self, Access, Leaves, Reach, Row};

/// Adds who may ask, under what name, and the refusals that follow from an endpoint's row and shape.
pub fn complete(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            if let Some(row) = table::find(method, path) {
                describe(row, operation);
            }
        }
    }
    // A path's rest is written otherwise in OpenAPI.
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths
        .into_iter()
        .map(|(path, item)| (path.replace("{*", "{"), item))
        .collect();
    let components = document.components.get_or_insert_with(Components::new);
    components.responses.extend(answers::components());
    components.schemas.insert("Problem".to_owned(), Problem::schema());
    for (name, words) in [
        ("person", "A token of Molam ID."),
        ("plugin_secret", "The secret of a plugin without agent."),
        ("runner", "The staging runner's token."),
    ] {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(words));
        components
            .security_schemes
            .insert(name.to_owned(), RefOr::T(SecurityScheme::Http(scheme.build())));
    }
    document
}

/// Each operation of a path, with its method.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("GET", item.get.as_mut()),
        ("PUT", item.put.as_mut()),
        ("POST", item.post.as_mut()),
        ("PATCH", item.patch.as_mut()),
        ("DELETE", item.delete.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.map(|operation| (method, operation)))
}

fn describe(row: &Row, operation: &mut Operation) {
    // Handlers of many subjects are called `list` and `show`.
    if let (Some(tag), Some(name)) = (operation.tags.iter().flatten().next(), &operation.operation_id) {
        operation.operation_id = Some(format!("{}_{name}", tag.replace(['-', ' '], "_")));
    }
    operation.security = Some(security(row.access));
    let mut extensions = ExtensionsBuilder::new();
    if let Access::People { roles, reach } = row.access {
        let mut names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        if reach == Reach::Own {
            names.push("merchant_admin");
        }
        extensions = extensions.add("x-roles", names);
    }
    if let Leaves::Entry(actions) = row.leaves {
        extensions = extensions.add("x-audit", actions);
    }
    operation.extensions = Some(extensions.build());
    for status in refusals(row, operation) {
        if let Some(refusal) = answers::refusal(status) {
            operation
                .responses
                .responses
                .entry(status.to_owned())
                .or_insert(refusal);
        }
    }
}

fn security(access: Access) -> Vec<SecurityRequirement> {
    let name = match access {
        Access::Anyone | Access::Page => return Vec::new(),
        Access::PluginSecret => "plugin_secret",
        Access::Runner => "runner",
        Access::People { .. } => "person",
    };
    vec![SecurityRequirement::new(name, Vec::<String>::new())]
}

/// The refusals of an endpoint that follow from its row and its shape.
fn refusals(row: &Row, operation: &Operation) -> Vec<&'static str> {
    let mut statuses = vec!["429", "500", "503"];
    if operation
        .parameters
        .as_ref()
        .is_some_and(|parameters| !parameters.is_empty())
    {
        statuses.push("400");
    }
    if operation.request_body.is_some() {
        statuses.extend(["400", "413", "415"]);
    }
    if row.path.contains('{') {
        statuses.push("404");
    }
    match row.access {
        Access::Anyone | Access::Page => {}
        Access::PluginSecret | Access::Runner => statuses.push("401"),
        Access::People { .. } => statuses.extend(["401", "403"]),
    }
    statuses
}
