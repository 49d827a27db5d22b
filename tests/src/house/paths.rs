//! Which of a crate's top-level modules a source text names, by `crate::` and by `super::` chains.

use std::collections::BTreeSet;

/// `text` with comments blanked, so that prose may name what code may not.
pub fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let code = line
            .find("//")
            .filter(|at| !inside_quotes(&line[..*at]))
            .map_or(line, |at| &line[..at]);
        out.push_str(code);
        out.push('\n');
    }
    out
}

/// Whether an odd number of quotes precedes: then the `//` is part of a text, say of an address.
fn inside_quotes(before: &str) -> bool {
    before.matches('"').count() % 2 == 1
}

/// The top-level modules that `text` names, where `depth` is how deep its module lies below the crate's root (1 for
/// `engine/mod.rs`, 2 for `engine/fetch.rs`).
pub fn crate_roots_named(text: &str, depth: usize) -> BTreeSet<String> {
    let text = without_comments(text);
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let before = text[..at].chars().next_back();
        if !before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            heads(&text[at + "crate::".len()..], &mut names);
        }
    }
    climbing(&text, depth, &mut names);
    names
}

/// The first names of a path's rest: one name, or those of a braced group.
fn heads(rest: &str, names: &mut BTreeSet<String>) {
    let Some(group) = rest.strip_prefix('{') else {
        names.extend(identifier(rest));
        return;
    };
    let mut nesting = 0_usize;
    let mut at_start = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => nesting += 1,
            '}' if nesting == 0 => return,
            '}' => nesting -= 1,
            ',' if nesting == 0 => at_start = true,
            c if c.is_whitespace() => {}
            _ if at_start && nesting == 0 => {
                names.extend(identifier(&group[at..]));
                at_start = false;
            }
            _ => {}
        }
    }
}

/// `super::super::name` that climbs to the crate's root says the same as `crate::name`. Inside an inline test module
/// one more step is needed, and a shorter chain stays below the root: so chains of `depth` steps and more count.
fn climbing(text: &str, depth: usize, names: &mut BTreeSet<String>) {
    let mut rest = text;
    while let Some(at) = rest.find("super::") {
        let mut tail = &rest[at..];
        let mut steps = 0;
        while let Some(next) = tail.strip_prefix("super::") {
            steps += 1;
            tail = next;
        }
        if steps >= depth {
            heads(tail, names);
        }
        rest = tail;
    }
}

fn identifier(text: &str) -> Option<String> {
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str, depth: usize) -> Vec<String> {
        crate_roots_named(text, depth).into_iter().collect()
    }

    #[test]
    fn plain_and_grouped_imports_are_seen() {
        assert_eq!(named("use crate::store::Db;", 2), ["store"]);
        let text = "use crate::{domain::{a, b}, engine, pki::{self, x::{y, z}}};";
        assert_eq!(named(text, 2), ["domain", "engine", "pki"]);
        assert_eq!(
            named("fn f() -> crate::tasks::T { crate::app::run() }", 2),
            ["app", "tasks"]
        );
    }

    #[test]
    fn comments_are_not_imports() {
        assert!(named("/// see crate::tasks\n//! [`crate::app`]\n// crate::x", 2).is_empty());
        assert_eq!(named("f(\"http://x\", crate::app::y)", 2), ["app"]);
    }

    #[test]
    fn climbing_to_the_root_by_super_is_an_import_too() {
        assert_eq!(named("use super::super::tasks::T;", 2), ["tasks"]);
        assert!(named("use super::sibling::T;", 2).is_empty());
        assert_eq!(named("use super::tasks::T;", 1), ["tasks"]);
    }
}
