//! The newest events, so that many who watch cost the database one read.

use std::{collections::VecDeque, sync::Arc};

use plugmend_shared::ids::MerchantId;

use super::Part;
use crate::store::ops_event::OpsEvent;

/// Events that are remembered; a few hundred bytes each.
const REMEMBERED: usize = 4096;

/// The newest events, without a gap behind `from`.
#[derive(Debug, Default)]
pub(super) struct Memory {
    from: i64,
    events: VecDeque<Arc<OpsEvent>>,
}

impl Memory {
    /// Remembers from a position on.
    pub fn begin(&mut self, from: i64) {
        self.from = from;
        self.events.clear();
    }

    /// Remembers events that follow what is remembered.
    pub fn push(&mut self, events: Vec<OpsEvent>) {
        for event in events {
            if self.events.len() == REMEMBERED
                && let Some(oldest) = self.events.pop_front()
            {
                self.from = oldest.position;
            }
            self.events.push_back(Arc::new(event));
        }
    }

    /// The part behind a position; none when it is not all remembered.
    pub fn since(&self, position: i64, merchant_id: Option<MerchantId>, most: usize) -> Option<Part> {
        if position < self.from || self.events.is_empty() && position != self.from {
            return None;
        }
        let begin = self.events.partition_point(|event| event.position <= position);
        let mut part = Part {
            events: Vec::new(),
            reached: position,
        };
        for event in self.events.range(begin..) {
            if part.events.len() == most {
                break;
            }
            part.reached = event.position;
            if merchant_id.is_none() || event.merchant_id == merchant_id {
                part.events.push(Arc::clone(event));
            }
        }
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(position: i64, merchant: Option<u128>) -> OpsEvent {
        OpsEvent {
            position,
            kind: "incident.opened".to_owned(),
            merchant_id: merchant.map(|n| MerchantId(uuid::Uuid::from_u128(n))),
            plugin_id: None,
            data: serde_json::Value::Null,
            at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn positions(part: &Part) -> Vec<i64> {
        part.events.iter().map(|event| event.position).collect()
    }

    #[test]
    fn a_merchant_sees_its_own_and_gets_past_the_others() {
        let mut memory = Memory::default();
        memory.begin(10);
        memory.push(vec![event(11, Some(1)), event(12, Some(2)), event(14, None)]);
        let own = memory.since(10, Some(MerchantId(uuid::Uuid::from_u128(1))), 9).unwrap();
        assert_eq!((positions(&own), own.reached), (vec![11], 14));
        let all = memory.since(11, None, 1).unwrap();
        assert_eq!((positions(&all), all.reached), (vec![12], 12));
        assert!(
            memory.since(9, None, 9).is_none(),
            "what came before is in the database"
        );
    }

    #[test]
    fn it_forgets_the_oldest_and_knows_it() {
        let mut memory = Memory::default();
        memory.begin(0);
        let many = i64::try_from(REMEMBERED).unwrap() + 5;
        memory.push((1..=many).map(|n| event(n, None)).collect());
        assert!(memory.since(4, None, 9).is_none());
        assert_eq!(positions(&memory.since(5, None, 2).unwrap()), [6, 7]);
    }
}
