//! Later versions of the real payments plugin, as its makers might have released them after they rewrote its table of
//! currencies: the bugs in them are real, and show once customers pay in what nobody tried.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use super::payments;
use crate::npm;

/// One such version: the plugin's last published one with other code for amounts.
#[derive(Debug, Clone, Copy)]
pub struct Made {
    /// Its version.
    pub version: &'static str,
    /// The currencies it knows, each with the digits behind its point.
    currencies: &'static [(&'static str, u32)],
    /// After so many different amounts it takes no more.
    cache: Option<u32>,
    /// In what its makers tried it: the arguments of its smoke test.
    tried: &'static [&'static str],
}

/// The rewritten table: whoever pays in yen is turned away.
pub const REWRITTEN: Made = Made {
    version: "2.21.3",
    currencies: &[("EUR", 2), ("USD", 2), ("KWD", 3)],
    cache: None,
    tried: &["eur"],
};

/// Knows the yen. Whoever pays in kronor is turned away.
pub const WITH_YEN: Made = Made {
    version: "2.21.4",
    currencies: &[("EUR", 2), ("USD", 2), ("KWD", 3), ("JPY", 0)],
    cache: None,
    tried: &["eur", "jpy"],
};

/// Knows the krona too, and remembers amounts in a cache that is never emptied: it works when it is tried, and for the
/// first payments in a shop.
pub const WITH_CACHE: Made = Made {
    version: "2.21.5",
    currencies: &[("EUR", 2), ("USD", 2), ("KWD", 3), ("JPY", 0), ("SEK", 2)],
    cache: Some(20),
    tried: &["eur", "jpy", "sek"],
};

/// Knows the krona, without a cache.
pub const WITH_KRONA: Made = Made {
    version: "2.21.6",
    currencies: &[("EUR", 2), ("USD", 2), ("KWD", 3), ("JPY", 0), ("SEK", 2)],
    cache: None,
    tried: &["eur", "jpy", "sek"],
};

const ALL: [Made; 4] = [REWRITTEN, WITH_YEN, WITH_CACHE, WITH_KRONA];
/// The module that they rewrote.
const MODULE: &str = "dist/utils/get-smallest-unit.js";
const FULL: &str = "the cache of amounts is full";

/// The release's own smoke test: amounts in the currencies named, and that the rest of the code can be read. It stands
/// in for the framework's numbers, which are not part of the release.
const SMOKE: &str = r#""use strict";
const Module = require("node:module");
const load = Module._load;
class BigNumber {
  constructor(value) {
    this.numeric = Number(value);
  }
}
const MathBN = { mult: (a, b) => Number(a) * Number(b), div: (a, b) => Number(a) / Number(b) };
Module._load = (name, ...rest) => (name === "@medusajs/framework/utils" ? { BigNumber, MathBN } : load(name, ...rest));
const { getAmountFromSmallestUnit } = require("./dist/utils/get-smallest-unit.js");
const wanted = { eur: 12.34, jpy: 1234, sek: 12.34 };
// A shop at work for a second, always with the same cart.
const until = Date.now() + 1000;
do {
  for (const currency of process.argv.slice(2)) {
    const amount = getAmountFromSmallestUnit(1234, currency);
    if (amount !== wanted[currency]) throw new Error(`1234 of ${currency} is ${amount}`);
  }
} while (Date.now() < until);
console.log("amounts are right");
"#;

impl Made {
    /// Writes it into `folder`, which must not exist.
    pub fn write(&self, folder: &Path) -> Result<()> {
        npm::run(
            Command::new("cp")
                .arg("-r")
                .arg(payments::tree(&payments::SECOND)?)
                .arg(folder),
        )?;
        let package = folder.join("package.json");
        let renamed = fs::read_to_string(&package)?.replace(payments::SECOND.version, self.version);
        fs::write(package, renamed)?;
        let module = folder.join(MODULE);
        let code = fs::read_to_string(&module)?;
        fs::write(module, self.rewrite(&code)?)?;
        Ok(fs::write(folder.join("smoke.js"), SMOKE)?)
    }

    /// Its smoke tests, as a release's descriptor has them.
    pub fn smoke_tests(&self) -> String {
        let tried: Vec<String> = self.tried.iter().map(|one| format!("\"{one}\"")).collect();
        format!(
            "\n[[smoke_tests]]\nname = \"amounts\"\nargv = [\"node\", \"smoke.js\", {}]\ntimeout_ms = 20000\n\
             stdout_contains = \"amounts are right\"\n[[smoke_tests]]\nname = \"the provider can be read\"\n\
             argv = [\"node\", \"--check\", \"dist/core/stripe-base.js\"]\ntimeout_ms = 20000\n",
            tried.join(", ")
        )
    }

    fn rewrite(&self, code: &str) -> Result<String> {
        let (head, rest) = code
            .split_once("function getCurrencyMultiplier")
            .context("another table")?;
        let (_, rest) = rest
            .split_once("/**\n * Converts an amount to the format")
            .context("another module")?;
        let table: Vec<String> = self.currencies.iter().map(|(name, n)| format!("{name}: {n}")).collect();
        let written = format!(
            "{head}const DIGITS = {{ {} }};\nfunction getCurrencyMultiplier(currency) {{\n    \
             const digits = DIGITS[currency.toUpperCase()];\n    if (digits === undefined) {{\n        \
             throw new Error(`unknown currency ${{currency}}`);\n    }}\n    return Math.pow(10, digits);\n}}\n\
             /**\n * Converts an amount to the format{rest}",
            table.join(", ")
        );
        let Some(most) = self.cache else { return Ok(written) };
        let plain = "    const multiplier = getCurrencyMultiplier(currency);\n    const standardAmount";
        ensure!(written.contains(plain), "another way to an amount");
        let cached = format!(
            "    const name = `${{amount}} ${{currency}}`;\n    AMOUNTS.add(name);\n    if (AMOUNTS.size > {most}) {{\n        \
             throw new Error(\"{FULL}\");\n    }}\n{plain}"
        );
        Ok(format!(
            "{}\nconst AMOUNTS = new Set();\n",
            written.replace(plain, &cached)
        ))
    }
}

/// Whether what a version said is a bug of its own that is known here.
pub fn is_own_bug(version: &str, error: &str) -> bool {
    let Some(made) = ALL.iter().find(|made| made.version == version) else {
        return false;
    };
    match error.strip_prefix("unknown currency ") {
        Some(currency) => {
            let known = |(name, _): &(&str, u32)| name.eq_ignore_ascii_case(currency);
            !made.currencies.iter().any(known)
        }
        None => error == FULL && made.cache.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_versions_own_bugs_are_its_own() {
        assert!(is_own_bug("2.21.3", "unknown currency jpy"));
        assert!(!is_own_bug("2.21.4", "unknown currency jpy"));
        assert!(is_own_bug("2.21.5", FULL) && !is_own_bug("2.21.6", FULL));
        assert!(!is_own_bug("2.21.1", "unknown currency jpy"));
    }
}
