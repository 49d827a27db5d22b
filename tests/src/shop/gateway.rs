//! A made-up PHP payments plugin of many parts, each of which says its version; and its customers.

use std::{fs, path::Path};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde::Deserialize;

use crate::load::{Customer, Verdict};

/// How many parts the plugin's entry file loads.
const PARTS: usize = 16;

/// The folder, inside the plugin, that is the plugin's own: it writes orders there too.
pub const OWN_DATA: &str = "orders";

/// Writes version `version` of the plugin into `folder`, which must not exist.
pub fn write(folder: &Path, version: &str) -> Result<()> {
    fs::create_dir_all(folder.join("lib"))?;
    fs::create_dir_all(folder.join("assets"))?;
    let loads = each_part(|n| format!("require __DIR__ . '/lib/part{n}.php';\n"));
    let asks = each_part(|n| format!(", shop_gateway_part{n}()"));
    let entry = format!(
        "<?php\n/**\n * Plugin Name: Shop Gateway\n * Version: {version}\n */\n{loads}\n\
         function shop_gateway_parts(): array\n{{\n    return ['{version}'{asks}];\n}}\n\n\
         function shop_gateway_pay(string $file, string $order): void\n{{\n\
         \x20   file_put_contents($file, \"$order\\n\", FILE_APPEND | LOCK_EX);\n\
         \x20   file_put_contents(__DIR__ . '/{OWN_DATA}/log', \"$order\\n\", FILE_APPEND | LOCK_EX);\n}}\n"
    );
    fs::write(folder.join("plugin.php"), entry)?;
    for n in 0..PARTS {
        let code = format!("<?php\nfunction shop_gateway_part{n}(): string\n{{\n    return '{version}';\n}}\n");
        fs::write(folder.join(format!("lib/part{n}.php")), code)?;
    }
    for n in 0..40 {
        fs::write(
            folder.join(format!("assets/icon{n}.svg")),
            format!("<svg id=\"{n}\"/>\n"),
        )?;
    }
    Ok(())
}

fn each_part(text: impl Fn(usize) -> String) -> String {
    (0..PARTS).map(text).collect::<Vec<_>>().concat()
}

/// Writes a version whose last part is cut off, as a bad build would leave it: loading it is a fatal error.
pub fn write_broken(folder: &Path, version: &str) -> Result<()> {
    write(folder, version)?;
    let last = folder.join(format!("lib/part{}.php", PARTS - 1));
    let code = fs::read_to_string(&last)?;
    Ok(fs::write(&last, &code[..code.len() / 2])?)
}

/// Customers: three of four look, the fourth pays.
#[derive(Debug, Default)]
pub struct Customers;

/// The order that the `number`th customer pays, when it pays one.
pub fn order(number: u64) -> Option<String> {
    (number % 4 == 3).then(|| format!("order-{number}"))
}

#[derive(Deserialize)]
struct Answer {
    parts: Vec<String>,
    #[serde(default)]
    order: Option<String>,
}

impl Customer for Customers {
    fn request(&self, number: u64) -> Request<Full<Bytes>> {
        let request = match order(number) {
            Some(order) => Request::post(format!("/?order={order}")),
            None => Request::get("/"),
        };
        request
            .header("host", "shop.test")
            .body(Full::default())
            .unwrap_or_default()
    }

    fn judge(&self, number: u64, status: StatusCode, body: &[u8]) -> Verdict {
        let answer = match serde_json::from_slice::<Answer>(body) {
            Ok(answer) if status == 200 => answer,
            _ => {
                return Verdict::Failed(format!(
                    "{status}: {}",
                    String::from_utf8_lossy(&body[..body.len().min(200)])
                ));
            }
        };
        let Some((first, rest)) = answer.parts.split_first() else {
            return Verdict::Failed("a plugin without parts".to_owned());
        };
        if rest.len() != PARTS || rest.iter().any(|part| part != first) {
            return Verdict::Mixed(format!("parts {:?}", answer.parts));
        }
        if answer.order != order(number) {
            return Verdict::Failed(format!("order {:?} instead of {:?}", answer.order, order(number)));
        }
        Verdict::Right(first.clone())
    }
}
