//! Results of orders that the control plane has not confirmed: sent again until it has.

use plugmend_shared::{
    generation::Generation,
    ids::CommandId,
    protocol::command::{Ack, Fail},
};
use serde::{Deserialize, Serialize};

use super::kept::{Kept, StoreError, key};

/// The most results that wait. The engine remembers results by itself, so an order that comes again is still answered.
const MAX_RESULTS: usize = 256;
/// Key of a result: this, then the order's id (whose order is that of time).
const KIND: u8 = b'o';

/// How an order ended, as it is to be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// `POST …/ack`.
    Ack(Ack),
    /// `POST …/fail`.
    Fail(Fail),
}

impl Answer {
    /// The try at the order that it is about.
    fn generation(&self) -> Option<Generation> {
        match self {
            Self::Ack(ack) => ack.generation,
            Self::Fail(fail) => fail.generation,
        }
    }
}

impl Kept {
    /// Whether the result of this try at an order, or of a later one, waits to be sent.
    ///
    /// # Errors
    /// When it can not be read.
    pub fn is_answer_waiting(&self, id: CommandId, generation: Generation) -> Result<bool, StoreError> {
        let waiting: Option<Answer> = self.read_json(&result_key(id))?;
        Ok(waiting
            .and_then(|answer| answer.generation())
            .is_some_and(|of| of >= generation))
    }

    /// Keeps a result until it is [`Kept::answered`].
    ///
    /// # Errors
    /// When it can not be written.
    pub fn answer(&self, id: CommandId, answer: &Answer) -> Result<(), StoreError> {
        self.write_json(&result_key(id), answer)?;
        self.on(|db| {
            let too_many = db.scan_prefix([KIND]).count().saturating_sub(MAX_RESULTS);
            for entry in db.scan_prefix([KIND]).take(too_many) {
                db.remove(entry?.0)?;
            }
            Ok(())
        })?;
        self.flush()
    }

    /// The results that wait, oldest first.
    ///
    /// # Errors
    /// When they can not be read.
    pub fn unanswered(&self) -> Result<Vec<(CommandId, Answer)>, StoreError> {
        self.on(|db| {
            let mut waiting = Vec::new();
            for entry in db.scan_prefix([KIND]) {
                let (key, value) = entry?;
                match (id_of(&key), serde_json::from_slice(&value)) {
                    (Some(id), Ok(answer)) => waiting.push((id, answer)),
                    _ => {
                        db.remove(&key)?;
                    }
                }
            }
            Ok(waiting)
        })
    }

    /// The control plane has this result, or will not have it. A newer one to the same order stays.
    ///
    /// # Errors
    /// When it can not be written.
    pub fn answered(&self, id: CommandId, answer: &Answer) -> Result<(), StoreError> {
        if self.read_json::<Answer>(&result_key(id))?.as_ref() == Some(answer) {
            self.on(|db| Ok(db.remove(result_key(id))?))?;
        }
        Ok(())
    }
}

fn result_key(id: CommandId) -> Vec<u8> {
    key(KIND, id.0.as_bytes())
}

fn id_of(key: &[u8]) -> Option<CommandId> {
    let bytes: [u8; 16] = key.get(1..)?.try_into().ok()?;
    Some(CommandId(uuid::Uuid::from_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> CommandId {
        CommandId(uuid::Uuid::from_u128(n))
    }

    fn fail(words: &str) -> Answer {
        Answer::Fail(Fail {
            error: words.to_owned(),
            retryable: Some(false),
            result: None,
            generation: None,
        })
    }

    #[test]
    fn a_result_waits_until_it_is_answered_also_through_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::open(dir.path()).unwrap().kept;
        kept.answer(id(2), &fail("second")).unwrap();
        kept.answer(id(1), &fail("first")).unwrap();
        kept.answer(id(1), &fail("first, again")).unwrap();
        drop(kept);
        let kept = Kept::open(dir.path()).unwrap().kept;
        let waiting = kept.unanswered().unwrap();
        assert_eq!(waiting, [(id(1), fail("first, again")), (id(2), fail("second"))]);
        kept.answered(id(1), &fail("first")).unwrap();
        assert_eq!(kept.unanswered().unwrap().len(), 2, "a newer result stays");
        kept.answered(id(1), &fail("first, again")).unwrap();
        assert_eq!(kept.unanswered().unwrap().len(), 1);
    }

    #[test]
    fn only_so_many_results_wait() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::open(dir.path()).unwrap().kept;
        for n in 0..u128::try_from(MAX_RESULTS).unwrap() + 5 {
            kept.answer(id(n), &fail("x")).unwrap();
        }
        let waiting = kept.unanswered().unwrap();
        assert_eq!(waiting.len(), MAX_RESULTS);
        assert_eq!(waiting[0].0, id(5));
    }
}
