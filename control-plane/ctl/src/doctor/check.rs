//! What the doctor finds.

use serde_json::{Value, json};

use crate::{
    exit::Exit,
    output::{Lines, Output, Tone, plain, tinted},
};

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Fine.
    Ok,
    /// It works, but not for long or not as well as it should.
    Warn,
    /// It does not work.
    Fail,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    name: &'static str,
    /// How it is.
    pub level: Level,
    says: String,
    todo: Option<String>,
    exit: Exit,
}

impl Check {
    /// It is fine.
    pub fn ok(name: &'static str, says: impl Into<String>) -> Self {
        Self {
            name,
            level: Level::Ok,
            says: says.into(),
            todo: None,
            exit: Exit::Done,
        }
    }

    /// It works, but somebody should do something.
    pub fn warn(name: &'static str, says: impl Into<String>, todo: impl Into<String>) -> Self {
        Self {
            level: Level::Warn,
            todo: Some(todo.into()),
            ..Self::ok(name, says)
        }
    }

    /// It does not work; `exit` is what other verbs would end with.
    pub fn fail(name: &'static str, says: impl Into<String>, todo: impl Into<String>, exit: Exit) -> Self {
        Self {
            level: Level::Fail,
            exit,
            ..Self::warn(name, says, todo)
        }
    }
}

/// All that was found; it ends as the first thing that does not work.
pub fn report(checks: &[Check]) -> Output {
    let mut words = Lines::default();
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in checks {
        let level = check.level.as_str();
        let shown = tinted(&format!("{level:4}"), Tone::of(level));
        words.add(format_args!("{shown}  {:width$}  {}", check.name, plain(&check.says)));
        if let Some(todo) = &check.todo {
            words.add(format_args!("      {:width$}  do: {todo}", ""));
        }
    }
    let failed = checks.iter().find(|check| check.level == Level::Fail);
    let list: Vec<Value> = checks
        .iter()
        .map(|check| {
            json!({ "check": check.name, "result": check.level.as_str(), "says": check.says, "do": check.todo })
        })
        .collect();
    let data = json!({ "ok": failed.is_none(), "checks": list });
    Output::new(words, data).ending(failed.map_or(Exit::Done, |check| check.exit))
}
