//! The OpenAPI 3.1 document of port 8112, made from the handlers' annotations and the table of endpoints, and the pages
//! that show it. Nothing of it needs the internet.

mod answers;
mod complete;
mod serve;

pub use answers::{Absent, Changed, Conflict, Unprocessable};
pub use complete::complete;
pub use serve::{Document, router};

use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};

/// The document before any endpoint is in it.
pub fn blank() -> OpenApi {
    let description = "What people, the console and plugins without agent ask of the control plane. Errors are \
        `application/problem+json` (RFC 9457) with a stable `error`. Lists page by `after` and `next`. Writes that take an \
        `Idempotency-Key` are done once, however often they are sent.";
    let info = InfoBuilder::new()
        .title("Plugmend")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(description))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ));
    OpenApiBuilder::new().info(info.build()).build()
}
