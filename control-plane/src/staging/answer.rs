//! Reading an answer, strictly: a runner that says nonsense has not said that a release is good.

use serde::Deserialize;
use serde_json::Value;

use super::{
    StagingError, StagingResult,
    types::{MAX_ERROR_BYTES, MAX_ERRORS, MAX_LOG_LINE_BYTES, MAX_LOG_LINES, MAX_TESTS},
};

/// The longest run that is believed, in ms: a day.
const MAX_DURATION_MS: u64 = 86_400_000;

/// The answer as it comes. Additional fields are left alone.
#[derive(Deserialize)]
struct Wire {
    ok: bool,
    passed: Option<bool>,
    tests_run: Option<u32>,
    duration_ms: Option<u64>,
    #[serde(default)]
    errors: Vec<String>,
    #[serde(default)]
    logs: Option<Logs>,
    #[serde(default)]
    error: Option<Value>,
}

/// One text, lines, or entries as in an attempt's log.
#[derive(Deserialize)]
#[serde(untagged)]
enum Logs {
    Text(String),
    Lines(Vec<String>),
    Entries(Vec<Entry>),
}

#[derive(Deserialize)]
struct Entry {
    message: String,
}

impl Logs {
    fn lines(self) -> Vec<String> {
        match self {
            Self::Text(text) => text.lines().map(str::to_owned).collect(),
            Self::Lines(lines) => lines,
            Self::Entries(entries) => entries.into_iter().map(|entry| entry.message).collect(),
        }
    }
}

/// The result in the body of an answer with status 200.
///
/// # Errors
/// It has another shape, is over a limit, contradicts itself, or says that the run could not be made.
pub(super) fn read(body: &[u8]) -> Result<StagingResult, StagingError> {
    let not_believed = |why: String| StagingError::NotBelieved(why);
    let wire: Wire = serde_json::from_slice(body).map_err(|e| not_believed(format!("it has another shape ({e})")))?;
    if !wire.ok {
        let words = wire.errors.first().cloned().or(wire.error.map(|e| e.to_string()));
        return Err(StagingError::Fault {
            status: 200,
            words: shortened(&words.unwrap_or_else(|| "ok is false, without a reason".to_owned())),
        });
    }
    let (Some(passed), Some(tests_run), Some(duration_ms)) = (wire.passed, wire.tests_run, wire.duration_ms) else {
        return Err(not_believed(
            "passed, tests_run and duration_ms are not all there".to_owned(),
        ));
    };
    if tests_run > MAX_TESTS || duration_ms > MAX_DURATION_MS {
        return Err(not_believed(format!("{tests_run} tests in {duration_ms} ms")));
    }
    if wire.errors.len() > MAX_ERRORS || wire.errors.iter().any(|e| e.len() > MAX_ERROR_BYTES) {
        return Err(not_believed("its errors are over their limits".to_owned()));
    }
    if passed && !wire.errors.is_empty() {
        return Err(not_believed("it passed, and has errors".to_owned()));
    }
    if passed && tests_run == 0 {
        return Err(not_believed("it passed, and no test was run".to_owned()));
    }
    let logs = wire.logs.map(Logs::lines).unwrap_or_default();
    if logs.len() > MAX_LOG_LINES || logs.iter().any(|line| line.len() > MAX_LOG_LINE_BYTES) {
        return Err(not_believed("its log is over its limits".to_owned()));
    }
    Ok(StagingResult {
        passed,
        tests_run,
        duration_ms,
        errors: wire.errors,
        logs,
    })
}

/// What an answer that is no success says, in one short line.
pub(super) fn words_of(body: &[u8]) -> String {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let field = |name: &str| {
        let found = value.as_ref().and_then(|value| value.get(name));
        found.and_then(Value::as_str).map(str::to_owned)
    };
    let said = field("detail").or_else(|| field("title")).or_else(|| field("error"));
    shortened(&said.unwrap_or_else(|| "without a reason".to_owned()))
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn said(value: &Value) -> Result<StagingResult, StagingError> {
        read(value.to_string().as_bytes())
    }

    fn good() -> Value {
        json!({"ok": true, "passed": true, "tests_run": 2, "duration_ms": 5, "errors": [], "logs": ["a"]})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut answer = good();
        answer[name] = value;
        answer
    }

    #[test]
    fn an_answer_in_order_is_the_result() {
        let result = said(&good()).unwrap();
        assert!(result.passed && result.tests_run == 2 && result.logs == ["a"]);
        assert_eq!(
            result.for_attempt(),
            json!({"passed": true, "tests_run": 2, "duration_ms": 5, "errors": []})
        );
        assert_eq!(said(&with("logs", json!("a\nb"))).unwrap().logs, ["a", "b"]);
        assert_eq!(said(&with("logs", json!([{"message": "m"}]))).unwrap().logs, ["m"]);
        assert!(said(&with("something_new", json!({}))).is_ok());
        let failed = json!({"ok": true, "passed": false, "tests_run": 1, "duration_ms": 1, "errors": ["no"]});
        assert!(!said(&failed).unwrap().passed);
    }

    #[test]
    fn what_contradicts_itself_or_has_another_shape_is_not_believed() {
        for answer in [
            with("errors", json!(["something"])),
            with("tests_run", json!(0)),
            with("tests_run", json!(-1)),
            with("tests_run", json!("2")),
            with("tests_run", json!(1_000_000)),
            with("duration_ms", json!(u64::MAX)),
            with("passed", json!("yes")),
            with("passed", json!(null)),
            with("errors", json!([{"a": 1}])),
            with("errors", json!(vec!["e"; 101])),
            with("errors", json!(["e".repeat(4097)])),
            with("logs", json!(vec!["l"; 2001])),
            with("logs", json!(7)),
            json!({"ok": true}),
            json!([]),
            json!("passed"),
        ] {
            assert!(matches!(said(&answer), Err(StagingError::NotBelieved(_))), "{answer}");
        }
    }

    #[test]
    fn a_runner_that_could_not_run_has_no_result() {
        let answer = json!({"ok": false, "errors": ["the sandbox is broken\u{1b}[31m"]});
        match said(&answer) {
            Err(error @ StagingError::Fault { .. }) => {
                assert!(error.is_transient() && error.to_string().ends_with("the sandbox is broken[31m"));
            }
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_pass_without_a_test(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(result) = read(&bytes) {
                prop_assert!(!result.passed || (result.tests_run > 0 && result.errors.is_empty()));
            }
        }
    }
}
