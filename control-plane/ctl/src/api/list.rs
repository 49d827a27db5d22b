//! Lists, page by page.

use clap::Args;
use serde_json::{Map, Value};

use super::{Api, Query};
use crate::output::{self, Output};

/// How many entries a page is asked to have.
const PAGE: usize = 500;
/// As many as `--all` lists; longer ones are for programs of one's own.
const MOST: u32 = 100_000;

/// How much of a list.
#[derive(Debug, Args)]
pub struct Extent {
    /// The most that are listed.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    limit: u32,
    /// Everything, up to 100,000.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Where to go on: the `next` of the list before.
    #[arg(long, value_name = "NEXT")]
    after: Option<String>,
}

/// A list, or its beginning.
#[derive(Debug)]
pub struct Listed {
    name: &'static str,
    /// What is in it.
    pub entries: Vec<Value>,
    /// Where it goes on; `None` when this is all.
    pub next: Option<Value>,
}

impl Api {
    /// The part of a list that is wanted: `{<name>: [...], next}`, where `next` goes on as `?after=`.
    ///
    /// # Errors
    /// When it can not be reached or refuses.
    pub fn list(&self, query: &Query, name: &'static str, extent: &Extent) -> anyhow::Result<Listed> {
        let most = if extent.all { MOST } else { extent.limit };
        let most = usize::try_from(most)?;
        let mut entries = Vec::new();
        let mut next = extent.after.clone().map(Value::String);
        loop {
            let limit = (most - entries.len()).min(PAGE);
            let after = next.as_ref().map(cursor);
            let mut page = self.find(&query.clone().with("limit", limit).maybe("after", after))?;
            let found = page.get_mut(name).and_then(Value::as_array_mut).map(std::mem::take);
            let found = found.unwrap_or_default();
            // A server that says 'next' behind an empty page would keep us for ever.
            let is_empty = found.is_empty();
            entries.extend(found.into_iter().take(limit));
            next = page
                .get_mut("next")
                .map(Value::take)
                .filter(|next| !next.is_null() && !is_empty);
            if next.is_none() || entries.len() >= most {
                return Ok(Listed { name, entries, next });
            }
        }
    }

    /// Takes a list page by page, at most `most` of them, until `take` has enough (false); whether it goes on.
    ///
    /// # Errors
    /// When it can not be reached or refuses, or `take` does.
    pub fn pages(
        &self,
        query: &Query,
        name: &str,
        most: usize,
        take: &mut dyn FnMut(Vec<Value>) -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        let mut page = self.find(query)?;
        for read in 1.. {
            let entries = page.get_mut(name).and_then(Value::as_array_mut).map(std::mem::take);
            let wants_more = take(entries.unwrap_or_default())?;
            let Some(next) = page.get("next").filter(|next| !next.is_null()) else {
                break;
            };
            if !wants_more || read >= most {
                return Ok(true);
            }
            page = self.find(&query.clone().with("after", cursor(next)))?;
        }
        Ok(false)
    }
}

/// A cursor is a text, or (an id, a place) a number.
fn cursor(next: &Value) -> String {
    next.as_str().map_or_else(|| next.to_string(), str::to_owned)
}

impl Listed {
    /// A table of it; as data, `{<name>: [...], next}` as the control plane says it.
    pub fn output(self, header: &[&str], row: impl Fn(&Value) -> Vec<String>) -> Output {
        let mut words = output::table(header, self.entries.iter().map(row));
        if let Some(next) = &self.next {
            words = format!(
                "{words}\n\nthe list goes on: --limit, --all, or --after {}",
                output::plain(&cursor(next))
            );
        }
        let mut data = Map::new();
        data.insert(self.name.to_owned(), Value::Array(self.entries));
        data.insert("next".to_owned(), self.next.unwrap_or_default());
        Output::new(words, Value::Object(data))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_that_goes_on_says_how() {
        let listed = Listed {
            name: "things",
            entries: vec![json!({ "id": 1 })],
            next: Some(json!("abc")),
        };
        let said = format!("{:?}", listed.output(&["ID"], |thing| vec![thing["id"].to_string()]));
        assert!(said.contains("--after abc"), "{said}");
    }
}
